"""Sides of a comparison in processes of their own, so that what a library does to its process (its allocator's pages,
its waiting threads) helps or hurts nobody else. They take turns; each tells the seconds that its own clock counted, of
the second of two calls: the first finds threads asleep and the cache full of what the other side did."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch

from peers.measure import Clock, Step

Make = Callable[..., tuple[Mapping[Hashable, Step], Any]]


class Apart:
    """A process that makes its steps by `make(*given)`, a function of a module, which returns them by name and a note
    about them. It does not see the environment variables `unset`."""

    def __init__(self, make: Make, *given: Any, threads: int, clock: Clock, unset: Sequence[str] = ()):
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, make, given, threads, clock), daemon=True)
        hidden = {name: os.environ.pop(name) for name in unset if name in os.environ}
        self._process.start()
        os.environ |= hidden
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
            step = steps[pipe.recv()]
            step()
            pipe.send((True, clock(step)))
    except EOFError:
        return
    except Exception:  # noqa: BLE001  whatever fails is reported to the other process
        pipe.send((False, traceback.format_exc()))
