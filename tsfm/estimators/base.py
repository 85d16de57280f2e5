"""What Classifier and Regressor share: cases in, one training run for each member, the mean of the members out.

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
from tsfm.estimators.fitting import Begin, begin, describe, fit, init_words, keep_source, workshop
from tsfm.estimators.portable import Portable
from tsfm.estimators.probe import Probe
from tsfm.estimators.tuning import check_patches
from tsfm.estimators.validation import as_cases
from tsfm.infer.load import ModelPredictor
from tsfm.messages import did_you_mean
from tsfm.model.checkpoint import CARD, CONFIG, WEIGHTS, save

FITS = ("full", "head", "lora", "probe")


class CaseEstimator(Portable):
    """Learns a label or a number for whole series; the parameters are told at Classifier."""

    kind: ClassVar[str]  # of task: classify | regress

    @property
    def name(self) -> str:
        """How a table of methods calls it."""
        model = self.model.name if isinstance(self.model, ModelPredictor) else Path(str(self.model)).name
        return f"{model}_{self.method}" if self.method != "full" else model

    @property
    def regresses(self) -> bool:
        """Whether it learns numbers."""
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
        """Learn checked cases with labels (text) or numbers."""
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

    def _start(self) -> Begin:
        """What the fit begins from; refuses parameters that do not belong together."""
        start = begin(self.model, device=self.device)
        if self.method not in FITS:
            raise ValueError(f"method is {self.method!r}; {did_you_mean(str(self.method), list(FITS))}")
        if isinstance(self.members, bool) or not isinstance(self.members, (int, np.integer)) or self.members < 1:
            raise ValueError(f"members is {self.members!r}; it is a number of networks, at least 1")
        if start.predictor is None and self.method != "full":
            raise ValueError(
                f"method={self.method} adapts a trained model, and model={self.model!r} is a backbone without weights; "
                "give a model directory or a bundled model, or use method='full'"
            )
        if self.method == "probe" and self.members > 1:
            raise ValueError(f"members is {self.members}, and a probe has nothing random in it; use members=1")
        if self.method == "probe" and (len(self.overrides) or self.experiment is not None):
            raise ValueError("method=probe trains no network, so experiment and overrides say nothing; leave them out")
        return start

    def _members(self, start: Begin, cases: list[np.ndarray], labels: np.ndarray) -> list[ModelPredictor]:
        from tsfm.data.cases import CaseData

        source, found = start.predictor.name if start.predictor else None, []
        words: dict[str, Any] = {"device": self.device, "verbose": self.verbose, "source": source}
        with workshop() as folder:
            config = self._config(start, folder, longest=max(case.shape[1] for case in cases))
            for seed in range(config.seed, config.seed + self.members):
                regress = self.kind == "regress"
                data = CaseData.of(cases, labels, config=config.data, seed=seed, regress=regress)
                one = replace(config, seed=seed)
                found.append(fit(one, folder, name=source or str(start.backbone), cases=data, **words))
        return found

    def _config(self, start: Begin, folder: Path, *, longest: int) -> RunConfig:
        words = [f"experiment={self.experiment or start.recipe(self.kind, tuned='cases')}"]
        if start.predictor is None:
            words += [f"backbone={start.backbone}"]
        else:
            check_patches(start.predictor, "pooled")
            words += [f"task={self.kind}", "head=pooled", "init.reset=[head]"]
            words += init_words(keep_source(start.predictor, folder), self.method)
            words += [f"data.standardize={not start.predictor.model.scaler.equivariant}"]
        words += ["data.dataset=cases from memory", f"seed={self.seed}"]
        words += [f"trainer.max_epochs={self.max_epochs}"] if self.max_epochs is not None else []
        words += [f"data.batch_size={self.batch_size}"] if self.batch_size is not None else []
        config = describe(words, self.overrides)
        if start.predictor is not None and config.data.length is None:
            config = replace(config, data=replace(config.data, length=window_of(start.predictor, longest)))
        return config

    def _check(self, X: Any) -> list[np.ndarray]:
        """Cases to be answered."""
        check_is_fitted(self, "n_channels_in_")
        return as_cases(X, channels=self.n_channels_in_)

    def save(self, path: str | Path) -> Path:
        """Write the fitted model as a directory that `tsfm.load` reads. Several members are directories member0,
        member1, ... below `path`: each loads by itself, their mean is left to the caller. They take the place of an
        earlier save together; an interrupted one leaves the old."""
        check_is_fitted(self, "n_channels_in_")
        if self.method == "probe":
            raise ValueError("a probe is no network and has no model directory; keep it by joblib.dump")
        found = self.predictors_
        if len(found) == 1:
            return save(found[0].model, path, about=found[0].about)
        return save_members(found, Path(path))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags


def save_members(predictors: Sequence[ModelPredictor], path: Path) -> Path:
    """Write all beside `path`, then move them there in place of an earlier save; refuses a folder of other things."""
    ours = {WEIGHTS, CONFIG, CARD}
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; name a folder for the members")
    inside = sorted(one.name for one in path.iterdir()) if path.is_dir() else []
    if other := [name for name in inside if name not in ours and not re.fullmatch(r"member\d+", name)]:
        raise ValueError(
            f"{path} holds {other[0]!r}, which no save wrote; name a new folder, or that of an earlier save"
        )
    with atomic_folder(path) as draft:
        for number, one in enumerate(predictors):
            save(one.model, draft / f"member{number}", about=one.about)
    return path


def window_of(predictor: ModelPredictor, longest: int) -> int:
    """Steps of a case for a trained model: all it was built for where that is fixed, else those of the longest case,
    at least a patch."""
    model, config = predictor.model, predictor.model.config
    whole = config.context + (config.horizon if model.head.reads_window else 0)  # what its tokens cover
    return whole if model.backbone.fixed_length else max(longest, config.patch)


def mean(answers: Sequence[np.ndarray]) -> np.ndarray:
    """Of the members, in float64."""
    return np.mean(np.stack([np.asarray(answer, np.float64) for answer in answers]), axis=0)
