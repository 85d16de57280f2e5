"""A job of `tsfm train` or `tsfm eval`: its identity, and its rows in a results store, so that it is computed once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tsfm.bench.predictors import is_model
from tsfm.bench.protocol import Protocol
from tsfm.bench.run_scores import protocol_of_task
from tsfm.commands.errors import describe_error
from tsfm.commands.eval_settings import deciding_settings
from tsfm.commands.sweep_state import REUSED
from tsfm.config import EvalConfig, RunConfig, plain
from tsfm.fingerprint import joint_fingerprint
from tsfm.model.checkpoint import find
from tsfm.model.config_file import weights_digest
from tsfm.registry import PROTOCOLS
from tsfm.results import Provenance, ResultStore, failed_row, job_identity, measured_rows
from tsfm.results.rows import Measure
from tsfm.results.schema import DONE, FAILED
from tsfm.training.components import data_fingerprint
from tsfm.training.environment import environment
from tsfm.training.run_claim import rank
from tsfm.training.run_identity import comparable_config, source_digest

log = logging.getLogger("tsfm")
SHOWN_ELSEWHERE = (  # settings that have columns of their own, or do not decide a score
    "experiment", "data", "data.dataset", "predictor", "seed", "name", "context", "horizon", "model.context",
    "model.horizon", "backbone", "suite", "bench", "results", "run_dir", "run_root", "resume", "out", "device",
    "trainer.progress", "trainer.loggers",
)  # fmt: skip


class FailedBeforeError(ValueError):
    """The job failed in an earlier sweep."""


@dataclass(frozen=True)
class Recording:
    """Where the rows of jobs go.

    Attributes
    ----------
    store
        The results store.
    sweep, suite
        As in the columns of the store.
    retry_failed
        Whether a job that failed before is run again.
    """

    store: ResultStore
    sweep: str = ""
    suite: str = ""
    retry_failed: bool = False


@dataclass(frozen=True)
class Job:
    """A training run or an evaluation that is about to be computed.

    Attributes
    ----------
    config
        A typed configuration.
    command, overrides
        The command line, and the settings in it.
    """

    config: RunConfig | EvalConfig
    command: str = ""
    overrides: Sequence[str] = ()

    @cached_property
    def identity(self) -> str:
        """Return the digest of what decides the result."""
        return _identity(self.config, self.weights)

    @property
    def kind(self) -> str:
        """Return `train` or `eval`."""
        return "train" if isinstance(self.config, RunConfig) else "eval"

    @cached_property
    def weights(self) -> str | None:
        """Return the digest of the weights that are scored, or that a run starts from; None where there are none."""
        if isinstance(self.config, RunConfig):
            return source_digest(self.config)
        models = [name for name in _members(self.config.predictor) if is_model(name)]
        digests = [weights_digest(find(name)) for name in models]
        return None if not digests else digests[0] if len(digests) == 1 else joint_fingerprint(digests)

    def provenance(self, recording: Recording) -> Provenance:
        """Return what the rows of the job have in common."""
        config, protocol = self.config, scoring_protocol(self.config)
        trains = isinstance(config, RunConfig)
        return Provenance(
            job=self.identity,
            kind=self.kind,
            model=config.backbone.name if isinstance(config, RunConfig) else model_name(config.predictor),
            experiment=config.name if trains else "",
            protocol=protocol.config.name,
            data=config.data.dataset if isinstance(config, RunConfig) else protocol.data_name(config),
            context=config.model.context if isinstance(config, RunConfig) else config.context,
            horizon=config.model.horizon if isinstance(config, RunConfig) else config.horizon,
            setting=setting_text(self.overrides),
            seed=config.seed,
            command=self.command,
            config=plain(config),
            environment=environment(),
            suite=recording.suite,
            sweep=recording.sweep,
            weights=self.weights,
        )


def run_job(job: Job, work: Callable[..., dict[str, Any]], recording: Recording | None) -> dict[str, Any]:
    """Return the result of a job: that of the store where there is one, else that of `work`, which is recorded.

    Another process that runs the same job with the same store waits, and then finds the result.

    Parameters
    ----------
    job
        The job.
    work
        Called with the typed config and, as `command`, the command line.
    recording
        None: nothing is recorded.

    Raises
    ------
    FailedBeforeError
        If the job failed before, and failed jobs are not to be run again.
    """
    if recording is None or rank() > 0:  # the first of several processes of a run records it
        return work(job.config, command=job.command)
    with recording.store.claimed(job.identity):
        earlier = recording.store.job_rows(job.identity)
        if len(earlier) and earlier["status"].iloc[0] == DONE:
            log.info("job %s is in %s already", job.identity, recording.store.folder)
            recording.store.add_to_suite(earlier, suite=recording.suite)
            return stored_result(earlier)
        if len(earlier) and earlier["status"].iloc[0] == FAILED and not recording.retry_failed:
            raise FailedBeforeError(f"failed before: {earlier['error'].iloc[0]}; --retry-failed runs it again")
        return _compute(job, work, recording)


def _compute(job: Job, work: Callable[..., dict[str, Any]], recording: Recording) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        result = work(job.config, command=job.command)
    except Exception as error:
        row = failed_row(job.provenance(recording), describe_error(error), seconds=time.perf_counter() - start)
        recording.store.append([row])
        raise
    sources = {claim.metric: claim.source for claim in job.config.expect}
    recording.store.append(
        measured_rows(job.provenance(recording), measures(job.config, result), result, sources=sources)
    )
    return result | {"job": job.identity}


def stored_result(rows: Any) -> dict[str, Any]:
    """Return the result of a finished job from its rows in a store: the metrics of the whole, and what they are of."""
    first, whole = rows.iloc[0].dropna(), rows[rows["subset"] == ""]
    known = {
        name: first[name] for name in ("experiment", "data", "seed", "seconds", "run_dir") if first.get(name, "") != ""
    }
    known["predictor" if first["kind"] == "eval" else "backbone"] = first["model"]
    scores = dict(zip(whole["metric"], whole["value"].tolist(), strict=True))
    result = {name: value.item() if hasattr(value, "item") else value for name, value in known.items()}
    return result | scores | {"job": first["job"], REUSED: True}


def scoring_protocol(config: RunConfig | EvalConfig) -> Protocol:
    """Return the protocol that scores a job; a run whose bench is left at windows has that of its task."""
    of_task = None
    if isinstance(config, RunConfig) and config.bench.name == "windows":
        of_task = protocol_of_task(config.task.name, split=config.bench.split)
    return of_task or PROTOCOLS.build(config.bench)


def measures(config: RunConfig | EvalConfig, result: dict[str, Any]) -> list[Measure]:
    """Return what a job measured; of a training run also the validation score of the chosen weights."""
    validation = [Measure(name, value) for name, value in result.items() if name.startswith("val_")]
    return [*scoring_protocol(config).measures(result), *validation]


def setting_text(overrides: Sequence[str]) -> str:
    """Return the settings that no other column of a row shows, sorted.

    Examples
    --------
    >>> setting_text(["seed=1", "optim.lr=0.01", "experiment=demo", "bench.stride=8"])
    'bench.stride=8 optim.lr=0.01'
    """
    return " ".join(sorted(text for text in overrides if text.partition("=")[0].lstrip("+~") not in SHOWN_ELSEWHERE))


def model_name(predictor: str) -> str:
    """Return the name of a predictor in tables: of a directory its path without what precedes the last two folders."""
    path = Path(predictor)
    return predictor if not path.is_dir() or len(path.parts) < 3 else "/".join(path.parts[-2:])


def _identity(config: RunConfig | EvalConfig, weights: str | None) -> str:
    if isinstance(config, RunConfig):
        settings = comparable_config(plain(config)) | {"bench": plain(config)["bench"]}
        if weights is not None:
            settings["init"] = {**settings["init"], "from": None}  # the weights decide, not the name of their folder
        return job_identity("train", settings, data=data_fingerprint(config), weights=weights)
    data = scoring_protocol(config).data_digest(config)
    settings = deciding_settings(config)
    if weights is not None and is_model(config.predictor):
        settings["predictor"] = model_name(config.predictor)
    return job_identity("eval", settings, data=data, weights=weights)


def _members(predictor: str) -> list[str]:
    return [predictor] if is_model(predictor) else predictor.split("+")
