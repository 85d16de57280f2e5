"""CPU threads: how many there are, and how they wait for work."""

from __future__ import annotations

import os
import sys
import warnings

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")  # environment variables that OpenMP reads when torch is imported


def waiting_policy(spin_count: int = 10_000) -> dict[str, str]:
    """Return the environment variables of a process whose idle threads spin `spin_count` rounds and then sleep."""
    return {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": str(spin_count)}


def set_threads(num_threads: int | None = None, *, spin_count: int = 10_000) -> None:
    """Set the number of CPU threads of torch, and how long an idle thread waits actively before it sleeps.

    Call it before the first import of torch: the OpenMP runtime reads how its threads wait when it is loaded. The
    command line calls it; importing tsfm changes nothing. It sets the environment variables `OMP_WAIT_POLICY` and
    `GOMP_SPINCOUNT`, unless one of them is set already.

    Parameters
    ----------
    num_threads
        Threads of one operation. None leaves their number as it is (one per core, or `OMP_NUM_THREADS`).
    spin_count
        Rounds that an idle thread of GNU OpenMP spins before it sleeps; other runtimes let threads sleep at once. If
        other processes use the same cores, threads that spin for long make a training step two to ten times slower.
        Threads that sleep at once make a forecast half as slow again. The default is a fraction of a millisecond.

    Raises
    ------
    ValueError
        If `num_threads` is less than 1 or `spin_count` is negative.

    Warns
    -----
    RuntimeWarning
        If torch is imported already, so that the waiting of its threads can no longer be changed.

    Examples
    --------
    >>> import tsfm
    >>> tsfm.set_threads(4)  # doctest: +SKIP
    """
    if num_threads is not None and num_threads < 1:
        raise ValueError(f"num_threads is {num_threads}; expected at least 1, or None to leave it as it is")
    if spin_count < 0:
        raise ValueError(f"spin_count is {spin_count}; expected a number of rounds, at least 0")
    torch = sys.modules.get("torch")
    if not any(name in os.environ for name in WAITING):
        if torch is None:
            os.environ |= waiting_policy(spin_count)
        else:
            message = "torch is imported already, so how its threads wait stays as it is; call set_threads earlier"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
    if num_threads is not None:
        if torch is None:
            os.environ["OMP_NUM_THREADS"] = str(num_threads)
        else:
            torch.set_num_threads(num_threads)
