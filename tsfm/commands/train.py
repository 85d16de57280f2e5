"""`tsfm train`: train, score the chosen weights once on the test split, write result.json."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tsfm.bench.predictors import pick_device
from tsfm.bench.protocol import Protocol
from tsfm.bench.run_scores import check_run_protocol
from tsfm.commands.claims import check_claims, make_record
from tsfm.config import RunConfig, combine_overrides, typed
from tsfm.estimators.pretrained import Pretrained, load
from tsfm.registry import PROTOCOLS
from tsfm.training.components import data_fingerprint
from tsfm.training.init_config import compose_with_checkpoint
from tsfm.training.process_state import restored_random_state
from tsfm.training.run_claim import RunClaim
from tsfm.training.run_directory import claimed_run
from tsfm.training.run_record import CUT_SHORT, write_result
from tsfm.training.training_run import train_config

log = logging.getLogger("tsfm")


@dataclass(frozen=True)
class TrainingResult:
    """The result of `tsfm.train`.

    Attributes
    ----------
    metrics
        The content of result.json: scores on the test split, what decides them, seed, number of parameters, seconds.
    run_dir
        The directory of the run.
    model_dir
        The directory of the model, for `tsfm.load`.
    """

    metrics: dict[str, Any]
    run_dir: Path
    model_dir: Path

    def load(self, **options: Any) -> Pretrained:
        """Return the trained model; `options` are those of `tsfm.load`."""
        return load(self.model_dir, **options)


def train(
    *,
    experiment: str | None = None,
    data: str | None = None,
    overrides: Sequence[str] = (),
    config_dir: str | None = None,
    **settings: Any,
) -> TrainingResult:
    """Train a model and score it on the test split, as the command `tsfm train` does.

    Parameters
    ----------
    experiment
        Name of an experiment, such as `demo`; `tsfm show --groups` lists them.
    data
        Name of a data config such as `etth1`, or else of a data set (a store, or its folder), which replaces that of
        the experiment.
    overrides
        Settings as on the command line, such as `["optim.lr=1e-3"]`; they come last.
    config_dir
        A folder of further configs.
    **settings
        Settings by name. A dict stands for the settings of a group: `model={"context": 96}`.

    Returns
    -------
    TrainingResult
        Scores and directories; `load()` gives the model.

    Raises
    ------
    ValueError
        If a setting is wrong or the parts of the run do not fit together; nothing is written then.

    Examples
    --------
    >>> import tsfm
    >>> result = tsfm.train(experiment="demo", data="sales", seed=1, trainer={"max_epochs": 5})  # doctest: +SKIP
    >>> mase = result.metrics["mase"]  # doctest: +SKIP
    >>> forecast = result.load().predict_df(df, 24)  # doctest: +SKIP
    """
    texts = combine_overrides(settings, experiment=experiment, data=data, overrides=overrides)
    config = typed(compose_with_checkpoint(texts, config_dir=config_dir))
    metrics = train_and_score(config, command=f"tsfm train {shlex.join(texts)}")
    return TrainingResult(metrics, Path(metrics["run_dir"]), Path(metrics["model"]))


@restored_random_state()
def train_and_score(config: RunConfig, *, command: str = "") -> dict[str, Any]:
    """Train as configured, score the model on the test split and write result.json.

    Parameters
    ----------
    config
        A typed configuration, as `tsfm.config.typed` returns it.
    command
        The command line, for the records of the run.

    Returns
    -------
    dict
        The content of result.json: metrics, what decides them, seed, number of parameters, seconds, folders.
    """
    protocol = PROTOCOLS.build(config.bench)
    check_claims(config.expect, protocol)
    check_run_protocol(config)
    with claimed_run(config, command=command, fingerprint=partial(data_fingerprint, config)) as claim:
        if claim.result is not None:
            log.info("this run is finished; its result is in %s", claim.run_dir)
            return claim.result
        return _train_and_score(config, protocol, claim, command=command)


def _train_and_score(config: RunConfig, protocol: Protocol, claim: RunClaim, *, command: str) -> dict[str, Any]:
    trained = train_config(config, command=command, claim=claim)
    trained.model.to(pick_device("auto", config))
    scores = protocol.score_run(trained, name=config.name)
    result = make_record(config.name, config.data.dataset, scores, config.expect)
    result |= {
        "seed": config.seed,
        "parameters": trained.model.num_parameters(),
        "epochs": trained.epochs,
        **trained.validation,
        "seconds": round(trained.seconds, 1),
        "run_dir": str(trained.run_dir),
        "model": str(trained.model_dir),
    }
    if trained.cut_short:
        result[CUT_SHORT] = trained.cut_short
    write_result(trained.run_dir, result)
    return result
