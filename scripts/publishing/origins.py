"""What a published model records of the run that it started from; the sketch of its corpus must cover that run too."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tsfm.contamination.sketch_files import part_fingerprints
from tsfm.model.checkpoint import CONFIG, read_config

KEPT_OUT = ("run_dir=", "resume=", "trainer.progress=", "init.from=")  # of the command in the card


def experiment_of(command: str) -> str | None:
    """Return the experiment that a command of `tsfm train` names; None where it names none."""
    match = re.search(r"\bexperiment=(\S+)", command)
    return match[1] if match else None


def card_command(command: str, *, experiment: str, init: dict[str, Any] | None, folder: Path) -> str:
    """Return the command that makes a model, without directories of this machine.

    Parameters
    ----------
    command
        Of the run.
    init
        As from `origin_record`.
    folder
        Of the published models.
    """
    tokens = [token for token in command.partition("  #")[0].split() if "=" in token]
    settings = [token for token in tokens if not token.startswith(("experiment=", *KEPT_OUT))]
    origin = []
    if init is not None:
        name = init["from"]
        origin = [f"init.from={name}" if (folder / name).is_dir() else f"init.from=<run of {name.partition(',')[0]}>"]
    return " ".join(["tsfm train", f"experiment={experiment}", *origin, *settings])


def origin_record(
    init: dict[str, Any],
    *,
    experiment: str | None,
    fingerprints: Collection[str],
    names: Collection[str],
    parts: list[str],
    folder: Path,
) -> dict[str, Any]:
    """Return what a model records about the weights that its run started from.

    Parameters
    ----------
    init
        Of the training record of the run: `from`, `method`, and `fingerprints` of series where they are known.
    experiment
        Of the run that it started from, where the user names it.
    fingerprints, names
        Of the series and of the data sets of the corpus.
    parts
        Fingerprints of the parts of the sketch.
    folder
        Of the published models.

    Raises
    ------
    ValueError
        If those weights are not known, or were trained on data that the sketch does not cover.
    """
    source, known = str(init.get("from")), set(init.get("fingerprints", ()))
    if not known <= set(fingerprints):
        raise ValueError(
            "the run that this one started from was trained on series that are not in its corpus; publish neither"
        )
    name = experiment
    if Path(source).name == source and (folder / source / CONFIG).is_file():
        name = source
        if missing := set(part_fingerprints(_trained_on(folder / source))) - set(parts):
            raise ValueError(
                f"this run started from {source}, whose sketch has parts that this corpus does not cover "
                f"({', '.join(sorted(missing))}); use the corpus of that model, or a larger one"
            )
    elif (Path(source) / CONFIG).is_file():
        name = _check_directory(
            Path(source), experiment, fingerprints=fingerprints, names=names, parts=parts, folder=folder
        )
    elif experiment is None or not known:
        raise ValueError(
            f"this run started from {source}, which is not there any more; restore it, or name its experiment by "
            "--init-experiment where the run records the series of that one"
        )
    return {"from": name, "method": init["method"], "sketch": parts}


def _check_directory(
    path: Path, experiment: str | None, *, fingerprints: Collection[str], names: Collection[str], **rest: Any
) -> str:
    """Return the name of the run of a model directory, after checking its own data and origin."""
    trained = _trained_on(path)
    sets = (trained.get("data") or {}).get("sets")
    if sets is not None and (unknown := set(sets) - set(names)):
        raise ValueError(f"{path} was trained on {', '.join(sorted(unknown))}, which are not in this corpus")
    name = experiment or experiment_of(str(read_config(path).get("about", {}).get("command", "")))
    if name is None:
        raise ValueError(f"{path} does not say which experiment made it; name it by --init-experiment")
    if init := trained.get("init"):
        inner = origin_record(init, experiment=None, fingerprints=fingerprints, names=names, **rest)
        name += f", itself from {inner['from']}"
    return name


def _trained_on(path: Path) -> dict[str, Any]:
    return read_config(path).get("about", {}).get("trained_on") or {}
