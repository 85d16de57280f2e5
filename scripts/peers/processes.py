"""Run each side of a comparison in a process of its own, so that the settings of one library (memory allocator, waiting
threads) do not change the speed of the other.

The sides take turns. A process runs a step twice and measures the second run, because before the first run threads
sleep and the cache holds the data of the other side.
"""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch

from peers.measure import Step, Timer

Make = Callable[..., tuple[Mapping[Hashable, Step], Any]]


class StepProcess:
    """A process that runs steps.

    Parameters
    ----------
    make
        A function of a module; called in the process, it returns the steps by name, and a note about them.
    *arguments
        Of `make`.
    threads
        Of torch.
    unset
        Environment variables that the process does not get.
    """

    def __init__(self, make: Make, *arguments: Any, threads: int, timer: Timer, unset: Sequence[str] = ()):
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, make, arguments, threads, timer), daemon=True)
        hidden = {name: os.environ.pop(name) for name in unset if name in os.environ}
        self._process.start()
        os.environ |= hidden
        other.close()
        names, self.note = self._receive()
        self.steps: dict[Hashable, Callable[[], float]] = {name: partial(self._seconds, name) for name in names}

    def _seconds(self, name: Hashable) -> float:
        self._pipe.send(name)
        return self._receive()

    def _receive(self) -> Any:
        try:
            succeeded, answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(f"the process of one side ended with code {self._process.exitcode}") from None
        if not succeeded:
            raise RuntimeError(f"the process of one side failed:\n{answer}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()


def _serve(pipe: Connection, make: Make, arguments: tuple[Any, ...], threads: int, timer: Timer) -> None:
    """Run the steps whose names arrive, until the pipe is closed."""
    try:
        torch.set_num_threads(threads)
        steps, note = make(*arguments)
        pipe.send((True, (list(steps), note)))
        while True:
            step = steps[pipe.recv()]
            step()
            pipe.send((True, timer(step)))
    except EOFError:
        return
    except Exception:  # noqa: BLE001  whatever fails is reported to the other process
        pipe.send((False, traceback.format_exc()))
