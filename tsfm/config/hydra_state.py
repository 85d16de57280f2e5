"""Hydra keeps process-wide state; here it is put aside and restored, so that an app of the caller is not disturbed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime
from hydra.version import VersionBase


@contextmanager
def own_hydra() -> Iterator[None]:
    """Let Hydra be initialized inside, also within a `hydra.main` app, and restore its state afterwards."""
    app, job, runtime, version = (
        GlobalHydra.instance(),
        HydraConfig.instance(),
        JobRuntime.instance(),
        VersionBase.instance(),
    )
    saved = [(holder, dict(vars(holder))) for holder in (app, job, runtime, version)]
    runtime.conf = copy.deepcopy(runtime.conf)
    app.clear()
    try:
        yield
    finally:
        GlobalHydra.set_instance(app)
        for holder, state in saved:
            vars(holder).clear()
            vars(holder).update(state)


@contextmanager
def temporary_configs(configs: dict[str, Any]) -> Iterator[None]:
    """Store configs by name in Hydra's ConfigStore, and remove them afterwards."""
    store = ConfigStore.instance()
    for name, node in configs.items():
        store.store(name=name, node=node)
    try:
        yield
    finally:
        for name in configs:
            store.repo.pop(f"{name}.yaml", None)
