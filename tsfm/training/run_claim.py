"""The claim of a process to a run directory: what is written when a run begins, and removed if it is refused."""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tsfm.config import RunConfig, plain
from tsfm.files import is_draft, write_text
from tsfm.files.drafts import remove
from tsfm.files.locks import LOCK, FolderInUseError, locked
from tsfm.training.environment import environment
from tsfm.training.run_record import COMMAND, CONFIG, DATA, ENVIRONMENT, RESULT, read_config

log = logging.getLogger("tsfm")

RUN_NAME = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-seed-?\d+(-\d+)?")  # of a folder whose name tsfm chose


def rank() -> int:
    """Return the rank of this process among those that train together, as torchrun or Lightning set it."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)


@dataclass
class RunClaim:
    """The directory of a run, which belongs to this process.

    Attributes
    ----------
    run_dir
        The directory.
    checkpoint
        The state to resume from, if there is one.
    result
        Of a finished run of the same settings, data, first weights and version; nothing is left to do then.
    extended
        The new configuration of a run that becomes longer.
    made
        What was made and is removed if training does not begin.
    """

    run_dir: Path
    checkpoint: Path | None = None
    result: dict[str, Any] | None = None
    extended: RunConfig | None = None
    made: list[Path] = field(default_factory=list)  # folders and files that go again if the run is refused

    def begin(self, fingerprint: str, *, init_digest: str | None = None) -> None:
        """Record the digests of the data and of the first weights; from now on the directory stays.

        Parameters
        ----------
        fingerprint
            Of the data.
        init_digest
            Of the weights of the model that the run starts from.

        Raises
        ------
        ValueError
            If the run was begun with other data or another model.
        """
        if rank() == 0:
            file = self.run_dir / DATA
            known, record = read_config(file), {"fingerprint": fingerprint}
            if init_digest is not None:
                record["init"] = init_digest
            for key, name in (("fingerprint", "the data"), ("init", "the weights of init.from")):
                if known.get(key, record.get(key)) != record.get(key):
                    raise ValueError(
                        f"{name} changed since the run in {self.run_dir} was begun; restore them, or use another "
                        "run_dir"
                    )
            if known != record:  # new, or of a version that did not record the first weights
                write_text(file, json.dumps(record) + "\n")
            if self.extended is not None:
                (self.run_dir / RESULT).unlink(missing_ok=True)  # first: it is not the result of the longer run
                write_text(self.run_dir / CONFIG, _as_yaml(self.extended))
        self.made.clear()

    def make_folders(self, folder: Path) -> None:
        """Make a folder and those above, and note the new ones."""
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            with suppress(FileExistsError):
                path.mkdir()
                self.made.append(path)
        if not folder.is_dir():
            folder.mkdir()  # raises what is wrong

    def write_records(self, config: RunConfig, command: str) -> None:
        """Write how the run was begun; config.yaml comes last, and makes the folder a run."""
        records = {
            COMMAND: command + "\n",
            ENVIRONMENT: json.dumps(environment(), indent=2) + "\n",
            CONFIG: _as_yaml(config),
        }
        for name, text in records.items():
            self.made.append(self.run_dir / name)
            write_text(self.run_dir / name, text)

    def remove_files(self) -> None:
        """Remove the files that were made, if training has not begun."""
        for path in self.made:
            if not path.is_dir():
                path.unlink(missing_ok=True)

    def remove_folders(self) -> None:
        """Remove the empty folders that were made, if training has not begun."""
        for path in reversed(self.made):
            with suppress(OSError):
                path.rmdir()


def _as_yaml(config: RunConfig) -> str:
    return yaml.safe_dump(plain(config), sort_keys=False)


def remove_abandoned(root: Path) -> None:
    """Remove the folders below `root` of runs that were killed before they had a config.yaml.

    The caller holds the lock of `root`, as all do that make such a folder.
    """
    for folder in sorted(root.iterdir()):
        if not RUN_NAME.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
            continue
        with suppress(OSError, FolderInUseError):
            with locked(folder):
                entries = [path for path in folder.iterdir() if path.name != LOCK]
                if not all(path.name in (COMMAND, ENVIRONMENT) or is_draft(path) for path in entries):
                    continue
                for path in entries:
                    remove(path)
            folder.rmdir()
            log.info("%s is removed: its run was killed before it began", folder)
