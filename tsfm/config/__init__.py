"""Configuration of whole runs: settings in, checked dataclasses out. The settings of a part are defined next to it."""

from tsfm.config.composition import (
    compose,
    count_jobs,
    job_number,
    job_overrides,
    plain,
    sweep,
    swept_overrides,
    typed,
)
from tsfm.config.errors import ConfigError, explain
from tsfm.config.folder import conf_dir, options
from tsfm.config.overrides import as_overrides, combine_overrides, quote
from tsfm.config.schemas import EvalConfig, Expect, RunConfig, default_init

__all__ = [
    "ConfigError",
    "EvalConfig",
    "Expect",
    "RunConfig",
    "as_overrides",
    "combine_overrides",
    "compose",
    "conf_dir",
    "count_jobs",
    "default_init",
    "explain",
    "job_number",
    "job_overrides",
    "options",
    "plain",
    "quote",
    "sweep",
    "swept_overrides",
    "typed",
]
