"""Sides of a comparison in processes of their own, so that what a library does to its process (its allocator's pages,
its caches) helps or hurts nobody else. They take turns; each tells the seconds that its own clock counted."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch

from peers.measure import Clock, Step

Make = Callable[..., tuple[Mapping[Hashable, Step], Any]]


class Apart:
    """A process that makes its steps by `make(*given)`, a function of a module, which returns them by name and a note
    about them."""

    def __init__(self, make: Make, *given: Any, threads: int, clock: Clock):
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, make, given, threads, clock), daemon=True)
        self._process.start()
        other.close()
        names, self.note = self._answer()
        self.steps: dict[Hashable, Callable[[], float]] = {name: partial(self._seconds, name) for name in names}

    def _seconds(self, name: Hashable) -> float:
        self._pipe.send(name)
        return self._answer()

    def _answer(self) -> Any:
        try:
            good, answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"the process of one side ended with code {self._process.exitcode}") from None
        if not good:
            raise RuntimeError(f"the process of one side failed:\n{answer}")
        return answer

    def close(self) -> None:
        self._pipe.close()
        self._process.join()


def _serve(pipe: Connection, make: Make, given: tuple[Any, ...], threads: int, clock: Clock) -> None:
    try:
        torch.set_num_threads(threads)
        steps, note = make(*given)
        pipe.send((True, (list(steps), note)))
        while True:
            pipe.send((True, clock(steps[pipe.recv()])))
    except EOFError:
        return
    except Exception:
        pipe.send((False, traceback.format_exc()))
