"""When two runs are the same: settings, data and version that decide the weights; and which runs can be extended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING
from functools import reduce
from pathlib import Path
from typing import Any

from tsfm.config import RunConfig, default_init, plain
from tsfm.model.config_file import weights_digest
from tsfm.training.init_config import InitConfig, checkpoint_directory
from tsfm.training.optim import OptimConfig, needs_last_step

# settings that may differ between a run and its continuation
IGNORED = ("resume", "run_dir", "run_root", "results", "expect", "bench")
IGNORED_TRAINER = ("progress", "loggers", "max_time", "packed", "prefetch")
ABSENT = "absent"  # stands for the value of a setting that a configuration does not have
SOURCE = "init.from"
LENGTH = ("trainer.max_epochs", "trainer.max_steps")


def comparable_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that decide the weights of a run, from its plain configuration."""
    kept = {key: value for key, value in config.items() if key not in IGNORED}
    if isinstance(trainer := kept.get("trainer"), dict):
        trainer = {"keep": "best"} | trainer  # runs of version 0.1.0 have neither `keep` nor `init`
        kept["trainer"] = {key: value for key, value in trainer.items() if key not in IGNORED_TRAINER}
    if kept:
        init = kept.get("init") or {}
        kept["init"] = default_init() | init if isinstance(init, dict) else init
    return kept


def differing_settings(
    old: Mapping[str, Any], new: Mapping[str, Any], *, above: str = ""
) -> dict[str, tuple[Any, Any]]:
    """Return old and new value of each setting that differs, by its full name; ABSENT where there is none."""
    differing: dict[str, tuple[Any, Any]] = {}
    for key in sorted(old.keys() | new.keys(), key=str):  # in a damaged file a key may be a number
        before, after = old.get(key, ABSENT), new.get(key, ABSENT)
        if isinstance(before, dict) and isinstance(after, dict):
            differing |= differing_settings(before, after, above=f"{above}{key}.")
        elif before != after:
            differing[f"{above}{key}"] = (before, after)
    return differing


def changed_settings(
    old: dict[str, Any], config: RunConfig, *, init_digest: str | None = None
) -> dict[str, tuple[Any, Any]]:
    """Return the settings that decide the weights and differ, see `differing_settings`.

    A setting that the old configuration does not have is one of a newer version: it does not differ at its default.

    Parameters
    ----------
    old
        The plain configuration of the earlier run.
    config
        Of the run to compare it with.
    init_digest
        Of the weights that the earlier run started from: `init.from` does not differ if it is another name for them.
    """
    differing = differing_settings(comparable_config(old), comparable_config(plain(config)))
    if init_digest is not None and SOURCE in differing and init_digest == source_digest(config):
        del differing[SOURCE]
    return {
        name: (before, after)
        for name, (before, after) in differing.items()
        if before != ABSENT or after != _default(config, name)
    }


def source_digest(config: RunConfig) -> str | None:
    """Return the digest of the weights that a run starts from; None if they are random, or cannot be read."""
    init = InitConfig.of(config.init)
    try:
        return None if init.source is None else weights_digest(checkpoint_directory(init))
    except (OSError, ValueError):  # training reports what is wrong
        return None


def _default(config: RunConfig, name: str) -> Any:
    """Return the default of a setting; ABSENT if it has none."""
    *groups, key = name.split(".")
    owner = reduce(lambda group, name: getattr(group, name, None), groups, config)
    setting = getattr(type(owner), "__dataclass_fields__", {}).get(key)
    if setting is None:
        return ABSENT
    return setting.default if setting.default_factory is MISSING else setting.default_factory()


def check_continues(run_dir: Path, old: dict[str, Any], config: RunConfig, *, init_digest: str | None = None) -> bool:
    """Refuse to continue a run of other settings, and return whether it is to become longer.

    Parameters
    ----------
    run_dir
        Of the run, for messages.
    old
        The plain configuration that the run was begun with; empty if it cannot be read.
    config
        The configuration to go on with.
    init_digest
        See `changed_settings`.

    Raises
    ------
    ValueError
        If a setting differs that decides the weights; the message names it, with both values.
    """
    if not old:
        raise ValueError(f"{run_dir / 'config.yaml'} cannot be read, so the run cannot be resumed; use another run_dir")
    changed = changed_settings(old, config, init_digest=init_digest)
    others = {name: values for name, values in changed.items() if name not in LENGTH}
    if others:
        listed = ", ".join(f"{name}: {before}, now {after}" for name, (before, after) in list(others.items())[:5])
        raise ValueError(f"{run_dir} was run with another config (differs in: {listed}); use another run_dir")
    for name, (before, after) in changed.items():
        _check_longer(run_dir, name, before, after, config.optim)
    return bool(changed)


def _check_longer(run_dir: Path, name: str, before: Any, after: Any, optim: OptimConfig) -> None:
    """Refuse another length of a run if it would not end as a run that had this length from the start."""
    if isinstance(before, bool) or not isinstance(before, int):
        raise ValueError(
            f"{run_dir / 'config.yaml'} has {name}: {before!r}; expected a whole number, use another run_dir"
        )
    if after != -1 and (before == -1 or after < before):
        raise ValueError(
            f"{run_dir} was run with {name}={before}, and it cannot become shorter ({after}); use another run_dir"
        )
    if setting := needs_last_step(optim):
        raise ValueError(
            f"{run_dir} was run with {name}={before}, and with {after} it would have had other learning rates from the "
            f"start, because {setting} depends on the last step; train the longer run from the start in another run_dir"
        )
