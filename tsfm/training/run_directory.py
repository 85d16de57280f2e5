"""The directory of a training run: one process has it at a time, and a later one goes on where it ended.

It holds config.yaml, command.txt, environment.json, fingerprint.json, metrics.csv, checkpoints/, model/ and
result.json, written completely or not at all.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from tsfm.config import RunConfig
from tsfm.files import write_error
from tsfm.files.locks import enter_lock, locked
from tsfm.training.checkpoint_file import FOLDER, LAST
from tsfm.training.run_claim import RunClaim, rank, remove_abandoned
from tsfm.training.run_identity import changed_settings, check_continues
from tsfm.training.run_record import (
    CONFIG,
    begun_by,
    read_config,
    read_init_digest,
    read_result,
    why_not_begun,
    why_not_repeated,
)
from tsfm.version import __version__

log = logging.getLogger("tsfm")

RUN_DIR_VARIABLE = "TSFM_RUN_DIR"  # environment variable for the other processes of a run
ELSEWHERE = ", or set run_dir=... to another folder"
HINT = "or set run_dir=... or run_root=..."


@contextmanager
def claimed_run(config: RunConfig, *, command: str, fingerprint: Callable[[], str]) -> Iterator[RunClaim]:
    """Claim the directory of a run during the `with` block: no other process trains in it meanwhile.

    Without `run_dir` it is a new folder; with `resume=auto` the newest one of the same settings, where there is one.

    Parameters
    ----------
    config
        Of the run.
    command
        The command line, for the records of the run.
    fingerprint
        Returns that of the data; called only to compare it with that of a finished run.

    Raises
    ------
    FileExistsError
        If the directory holds a run and `resume` is not `auto`.
    FolderInUseError
        If another process has it.
    ValueError
        If the run in it had other settings or data, or `name` leads out of `run_root`.
    OSError
        If it cannot be written.
    """
    if rank() > 0:  # the first process decides
        yield _claim_of_first_process(config)
        return
    claim = RunClaim(Path())
    with ExitStack() as stack:
        stack.callback(claim.remove_folders)  # after the lock is released, whose file is in one of them
        try:
            _claim(claim, config, stack, fingerprint, command)
            yield claim
        finally:
            claim.remove_files()


def _claim(claim: RunClaim, config: RunConfig, stack: ExitStack, fingerprint: Callable[[], str], command: str) -> None:
    try:
        if config.run_dir is not None:
            _claim_named(claim, Path(config.run_dir), config, stack, fingerprint, command)
        else:
            _claim_chosen(claim, run_folder(config), config, stack, fingerprint, command)
    except OSError as error:
        if error.errno is None:
            raise  # a check of our own
        raise write_error(claim.run_dir, error, hint=HINT) from None


def run_folder(config: RunConfig) -> Path:
    """Return the folder of all runs with this name, below `run_root`.

    Raises
    ------
    ValueError
        If the name leads out of `run_root`.
    """
    name = Path(config.name)
    if (
        name.is_absolute()
        or not name.parts
        or {"..", "~"} & set(name.parts)
        or "\\" in config.name
        or "\0" in config.name
    ):
        raise ValueError(
            f"name is {config.name!r}; expected the name of a folder below run_root, such as sales/small: "
            "set run_root=... or run_dir=... to write somewhere else"
        )
    return Path(config.run_root) / name


def _claim_of_first_process(config: RunConfig) -> RunClaim:
    run_dir = os.environ.get(RUN_DIR_VARIABLE) or config.run_dir
    if run_dir is None:
        raise ValueError("processes that were started from outside need one run directory; give run_dir=...")
    checkpoint = Path(run_dir) / FOLDER / LAST
    return RunClaim(Path(run_dir), checkpoint if config.resume == "auto" and checkpoint.is_file() else None)


def _claim_named(
    claim: RunClaim, run_dir: Path, config: RunConfig, stack: ExitStack, fingerprint: Callable[[], str], command: str
) -> None:
    """Claim `run_dir`."""
    claim.run_dir = run_dir
    if config.resume == "auto" and _take_result(claim, config, fingerprint, named=True):
        return
    _lock(claim, stack, wait=False)
    if not (run_dir / CONFIG).exists():
        return claim.write_records(config, command)
    if config.resume != "auto":
        raise FileExistsError(f"{run_dir} holds a run already; use resume=auto to continue it, or another run_dir")
    if not _take_result(claim, config, fingerprint, named=True):  # its owner may have ended it before it was locked
        _resume(claim, config)


def _lock(claim: RunClaim, stack: ExitStack, *, wait: bool) -> bool:
    """Make the folder of a claim and lock it; False where the file system has no locks."""
    return enter_lock(stack, claim.run_dir, make=lambda: claim.make_folders(claim.run_dir), wait=wait, advice=ELSEWHERE)


def _claim_chosen(
    claim: RunClaim, root: Path, config: RunConfig, stack: ExitStack, fingerprint: Callable[[], str], command: str
) -> None:
    """Claim the newest run of the same settings below `root`, or a new folder.

    `root` is locked meanwhile: two processes that search at the same time would both begin a run, and a folder without
    a configuration is one of a process that was killed.
    """
    claim.run_dir = root
    with ExitStack() as search:
        if _lock(claim, search, wait=True):
            remove_abandoned(root)
        if config.resume == "auto" and _claim_earlier(claim, root, config, stack, fingerprint):
            return
        _claim_new(claim, root, config, stack, command)


def _claim_earlier(
    claim: RunClaim, root: Path, config: RunConfig, stack: ExitStack, fingerprint: Callable[[], str]
) -> bool:
    """Claim the newest run below `root` that is unfinished, or whose result is that of the new run; False: none."""
    for file in sorted(root.glob(f"*/{CONFIG}"), reverse=True):
        claim.run_dir = file.parent
        old = {} if file.parent.is_symlink() else read_config(file)
        if not old or changed_settings(old, config, init_digest=read_init_digest(file.parent)):
            continue
        if read_result(file.parent) is None:
            if reason := why_not_begun(file.parent, config):
                log.info("%s is not continued: %s", file.parent, reason)
                continue
            stack.enter_context(locked(file.parent, advice=ELSEWHERE))
            if read_result(file.parent) is None:  # unless it has just ended
                _resume(claim, config)
                return True
        if _take_result(claim, config, fingerprint, named=False):
            return True
    return False


def _claim_new(claim: RunClaim, root: Path, config: RunConfig, stack: ExitStack, command: str) -> None:
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}-seed{config.seed}"
    for number in range(10_000):
        claim.run_dir = root / (f"{name}-{number}" if number else name)
        with suppress(FileExistsError):
            claim.run_dir.mkdir()  # fails where another process has made it, even in the same instant
            claim.made.append(claim.run_dir)
            stack.enter_context(locked(claim.run_dir))
            return claim.write_records(config, command)
    raise ValueError(f"{root} has 10,000 runs of this second; use another name")


def _take_result(claim: RunClaim, config: RunConfig, fingerprint: Callable[[], str], *, named: bool) -> bool:
    """Take the result of the run in the directory if it is what this run would give; else say why not."""
    result = read_result(claim.run_dir)
    if result is None or (named and _becomes_longer(claim.run_dir, config)):
        return False
    if reason := why_not_repeated(claim.run_dir, config, fingerprint):
        if named:
            raise ValueError(f"{claim.run_dir} is finished and {reason}")
        log.info("%s is not used: it is finished and %s", claim.run_dir, reason)
        return False
    model = claim.run_dir / "model"  # a run that was copied or renamed has its old place in its result
    claim.result = result | {"run_dir": str(claim.run_dir), "model": str(model)}
    return True


def _becomes_longer(run_dir: Path, config: RunConfig) -> bool:
    return check_continues(run_dir, read_config(run_dir / CONFIG), config, init_digest=read_init_digest(run_dir))


def _resume(claim: RunClaim, config: RunConfig) -> None:
    """Go on with an unfinished run, or make a run longer."""
    run_dir = claim.run_dir
    if _becomes_longer(run_dir, config):
        claim.extended = config
    if (version := begun_by(run_dir)) != __version__:
        log.warning("%s was begun by tsfm %s; this is %s, whose results may differ", run_dir, version, __version__)
    checkpoint = run_dir / FOLDER / LAST
    claim.checkpoint = checkpoint if os.path.lexists(checkpoint) else None


@contextmanager
def shared_with_ranks(run_dir: Path) -> Iterator[None]:
    """Give the run directory to the processes that Lightning starts from this one."""
    before = os.environ.get(RUN_DIR_VARIABLE)
    os.environ[RUN_DIR_VARIABLE] = str(run_dir)
    try:
        yield
    finally:
        del os.environ[RUN_DIR_VARIABLE]
        if before is not None:
            os.environ[RUN_DIR_VARIABLE] = before
