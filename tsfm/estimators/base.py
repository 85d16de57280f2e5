"""The base of Classifier and Regressor: cases in, one training run per member, the mean of the members out.

N cases, C channels, L steps, M classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from tsfm.config import RunConfig
from tsfm.estimators.devices import DeviceEstimator
from tsfm.estimators.fitting import (
    StartingPoint,
    compose_config,
    find_starting_point,
    init_overrides,
    save_source,
    temporary_run,
    train_predictor,
)
from tsfm.estimators.probe import Probe
from tsfm.estimators.tuning import check_patches
from tsfm.estimators.validation import as_cases
from tsfm.files import atomic_folder
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.messages import did_you_mean
from tsfm.model.checkpoint import CARD, CONFIG, WEIGHTS, save

METHODS = ("full", "head", "lora", "probe")


class CaseEstimator(DeviceEstimator):
    """Learns a label or a number for whole series; see `Classifier` for the parameters."""

    kind: ClassVar[str]  # of task: classify | regress

    @property
    def name(self) -> str:
        """Return its name in tables of methods."""
        model = self.model.name if isinstance(self.model, ModelPredictor) else Path(str(self.model)).name
        return f"{model}_{self.method}" if self.method != "full" else model

    @property
    def regresses(self) -> bool:
        """Return whether it learns numbers."""
        return self.kind == "regress"

    def __init__(
        self,
        model: Any = "mixer",
        *,
        experiment: str | None = None,
        overrides: Sequence[str] = (),
        method: str = "full",
        members: int = 1,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        seed: int = 0,
        device: str = "auto",
        verbose: bool = False,
    ):
        self.model = model
        self.experiment = experiment
        self.overrides = overrides
        self.method = method
        self.members = members
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self.verbose = verbose

    def _fit(self, X: Any, cases: list[np.ndarray], labels: np.ndarray) -> None:
        """Fit checked cases with labels (text) or numbers."""
        start = self._start()
        for name in ("predictors_", "probe_", "n_features_in_", "n_channels_in_"):  # of an earlier fit
            vars(self).pop(name, None)
        if self.method == "probe":
            self.probe_ = Probe(start.predictor, task=self.kind, seed=self.seed, device=self.device)
            self.probe_.fit(cases, labels)
        else:
            self.predictors_ = self._members(start, cases, labels)
        self.n_channels_in_ = len(cases[0])
        if not isinstance(X, (list, tuple)) and np.ndim(X) == 2:
            self.n_features_in_ = int(np.shape(X)[1])

    def _start(self) -> StartingPoint:
        """Return the starting point of the fit; a ValueError names parameters that do not fit together."""
        start = find_starting_point(self.model, device=self.device)
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; {did_you_mean(str(self.method), list(METHODS))}")
        if isinstance(self.members, bool) or not isinstance(self.members, (int, np.integer)) or self.members < 1:
            raise ValueError(f"members is {self.members!r}; it is a number of networks, at least 1")
        if start.predictor is None and self.method != "full":
            raise ValueError(
                f"method={self.method} adapts a trained model, and model={self.model!r} is a backbone without weights; "
                "give a model directory or a bundled model, or use method='full'"
            )
        if self.method == "probe" and self.members > 1:
            raise ValueError(f"members is {self.members}, and a probe is deterministic; use members=1")
        if self.method == "probe" and (len(self.overrides) or self.experiment is not None):
            raise ValueError(
                "method='probe' trains no network, so experiment and overrides have no effect; leave them out"
            )
        return start

    def _members(self, start: StartingPoint, cases: list[np.ndarray], labels: np.ndarray) -> list[ModelPredictor]:
        from tsfm.data.case_data import CaseData

        source, predictors = start.predictor.name if start.predictor else None, []
        options: dict[str, Any] = {"device": self.device, "verbose": self.verbose, "source": source}
        with temporary_run() as folder:
            config = self._config(start, folder, longest=max(case.shape[1] for case in cases))
            for seed in range(config.seed, config.seed + self.members):
                regress = self.kind == "regress"
                data = CaseData.from_arrays(cases, labels, config=config.data, seed=seed, regress=regress)
                member_config = replace(config, seed=seed)
                predictors.append(
                    train_predictor(member_config, folder, name=source or str(start.backbone), cases=data, **options)
                )
        return predictors

    def _config(self, start: StartingPoint, folder: Path, *, longest: int) -> RunConfig:
        settings = [f"experiment={self.experiment or start.recipe(self.kind, tuned='cases')}"]
        if start.predictor is None:
            settings += [f"backbone={start.backbone}"]
        else:
            check_patches(start.predictor, "pooled")
            settings += [f"task={self.kind}", "head=pooled", "init.reset=[head]"]
            settings += init_overrides(save_source(start.predictor, folder), self.method)
            settings += [f"data.standardize={not start.predictor.model.scaler.equivariant}"]
        settings += ["data.dataset=cases from memory", f"seed={self.seed}"]
        settings += [f"trainer.max_epochs={self.max_epochs}"] if self.max_epochs is not None else []
        settings += [f"data.batch_size={self.batch_size}"] if self.batch_size is not None else []
        config = compose_config(settings, self.overrides)
        if start.predictor is not None and config.data.length is None:
            config = replace(config, data=replace(config.data, length=case_length(start.predictor, longest)))
        return config

    def _check(self, X: Any) -> list[np.ndarray]:
        """Cases to predict."""
        check_is_fitted(self, "n_channels_in_")
        return as_cases(X, channels=self.n_channels_in_)

    def save(self, path: str | Path) -> Path:
        """Write the fitted model as a directory that `tsfm.load` reads; returns its path.

        Several members become directories member0, member1, ... below `path`, each of which can be loaded. They replace
        an earlier save together; an interrupted save leaves the old one.
        """
        check_is_fitted(self, "n_channels_in_")
        if self.method == "probe":
            raise ValueError("a probe is not a network and has no model directory; save it with joblib.dump")
        members = self.predictors_
        if len(members) == 1:
            return save(members[0].model, path, about=members[0].about)
        return save_members(members, Path(path))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


def save_members(predictors: Sequence[ModelPredictor], path: Path) -> Path:
    """Write all members to `path` at once; a ValueError protects folders with other content."""
    own_files = {WEIGHTS, CONFIG, CARD}
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; name a folder for the members")
    names = sorted(predictor.name for predictor in path.iterdir()) if path.is_dir() else []
    if other := [name for name in names if name not in own_files and not re.fullmatch(r"member\d+", name)]:
        raise ValueError(
            f"{path} holds {other[0]!r}, which save did not write; name a new folder, or that of an earlier save"
        )
    with atomic_folder(path) as draft:
        for number, predictor in enumerate(predictors):
            save(predictor.model, draft / f"member{number}", about=predictor.about)
    return path


def case_length(predictor: ModelPredictor, longest: int) -> int:
    """Return the steps of a case for a trained model.

    All steps that the model was built for where that is fixed, else those of the longest case, at least a patch.
    """
    model, config = predictor.model, predictor.model.config
    covered = config.context + (config.horizon if model.head.reads_window else 0)  # steps that its tokens cover
    return covered if model.backbone.fixed_length else max(longest, config.patch)


def average(predictions: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of the members' predictions in float64."""
    return np.mean(np.stack([np.asarray(prediction, np.float64) for prediction in predictions]), axis=0)
