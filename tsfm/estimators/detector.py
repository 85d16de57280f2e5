"""Detector: how strange each step of a series is, and which steps stand out, with scikit-learn's interface.

    Detector().fit(clean).predict(series)     1 where a step is strange

C channels, L steps of a series, n steps held out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from tsfm.config import RunConfig
from tsfm.estimators import tuning
from tsfm.estimators.fitting import Begin, begin, describe, fit, init_words, keep_source, workshop, write_store
from tsfm.estimators.portable import Portable
from tsfm.estimators.steps import is_number, last, shorter, standardised, unit_of
from tsfm.estimators.validation import as_series, like, turned
from tsfm.infer.detect import join, settle_task, strangeness
from tsfm.infer.load import ModelPredictor
from tsfm.messages import did_you_mean
from tsfm.metrics.conformal import check_level, conformal_threshold, scores_needed
from tsfm.model.checkpoint import save
from tsfm.model.model import ModelConfig
from tsfm.registry import BACKBONES

if TYPE_CHECKING:
    from jaxtyping import Float

log = logging.getLogger("tsfm")
COMBINE = ("mean", "max")
VALIDATION = 1 / 8  # of the steps that are not held out: they choose among the epochs


class Detector(Portable):
    """Learns what is normal from a series taken to be clean, and scores each step of others: higher is stranger.

    model: a backbone, trained from random weights on windows of the series, or a trained model (directory, bundled
        name, or what `tsfm.load` gives), used as it is, or adapted by `method`: full | head | lora.
    level: share of clean steps below `threshold_`; 0.99 flags one clean step in a hundred. The threshold is conformal:
        from the scores of the last part of the series, `calibration`, which no training sees. A model that is used as
        it is has not seen anything: all steps calibrate.
    window: steps; None for those of the recipe. Short series get a shorter one.
    scoring: pinball | residual | tail, None for the recipe's. combine: of the channels' scores, mean | max.
    experiment, overrides, max_epochs: the recipe, as for Classifier. stride: steps between scored windows, None: half.
    sklearn_labels: predict gives -1 for strange and 1 for normal steps, and score_samples and decision_function are
        lower for stranger ones, as scikit-learn's detectors do for rows; else 1 for strange and 0 for normal steps, as
        labels of anomalies are written, and higher is stranger.

    X: one series, [channels, length] or [length], or a list of such (an array [series, channels, length]) with the same
    channels in the same units. NaN is a step nobody observed: it has no score, and is no anomaly.
    """

    def __init__(
        self,
        model: Any = "patch_transformer",
        *,
        level: float = 0.99,
        window: int | None = None,
        calibration: float = 0.2,
        method: str | None = None,
        scoring: str | None = None,
        combine: str = "mean",
        stride: int | None = None,
        experiment: str | None = None,
        overrides: Sequence[str] = (),
        max_epochs: int | None = None,
        seed: int = 0,
        device: str = "auto",
        sklearn_labels: bool = False,
        verbose: bool = False,
    ):
        self.model = model
        self.level = level
        self.window = window
        self.calibration = calibration
        self.method = method
        self.scoring = scoring
        self.combine = combine
        self.stride = stride
        self.experiment = experiment
        self.overrides = overrides
        self.max_epochs = max_epochs
        self.seed = seed
        self.device = device
        self.sklearn_labels = sklearn_labels
        self.verbose = verbose

    @property
    def name(self) -> str:
        """How a table of detectors calls it."""
        model = self.model.name if isinstance(self.model, ModelPredictor) else Path(str(self.model)).name
        return f"detector_{model}"

    def fit(self, X: Any, y: None = None) -> Detector:
        for name in ("predictor_", "threshold_", "unit_", "n_channels_in_"):  # of an earlier fit
            vars(self).pop(name, None)
        start = self._start()
        series = as_series(X)
        if start.predictor is not None and self.method is None:
            self._check_scoring(start.predictor.model.config, series, held=1.0)
            self.predictor_, held = start.predictor, 1.0
        else:
            self.predictor_, held = self._train(start, series), self.calibration
        series = standardised(self.predictor_, series)
        self.unit_, self.n_channels_in_ = unit_of(series), len(series[0])
        clean = [last(one, held) for one in self._scores(series)]
        self._check_held(sum(int((~np.isnan(one)).sum()) for one in clean), series)
        self.threshold_ = conformal_threshold(np.concatenate(clean), level=self.level)
        return self

    def score_samples(self, X: Any) -> Any:
        """[L] scores of one series, a list of them for a list; NaN where nobody observed. Higher is stranger, with
        sklearn_labels lower."""
        return like(X, [self._sign * one for one in self._answers(X)])

    def decision_function(self, X: Any) -> Any:
        """How far above the threshold the score of each step is, negative is normal; with sklearn_labels how far below,
        negative is strange."""
        return like(X, [self._sign * (one - self.threshold_) for one in self._answers(X)])

    def predict(self, X: Any) -> Any:
        """[L] 1 for strange steps, 0 for the others; see sklearn_labels."""
        strange = [one > self.threshold_ for one in self._answers(X)]
        return like(X, [np.where(one, -1, 1) if self.sklearn_labels else one.astype(int) for one in strange])

    def score(self, series: Float[np.ndarray, "C L"]) -> Float[np.ndarray, " L"]:
        """One finite number per step, 0 where none can be told, whatever sklearn_labels: higher is stranger. It is what
        benchmarks ask of a detector, and not scikit-learn's `score`, the quality of a fit as one number."""
        return np.nan_to_num(like(series, self._answers(series)), nan=0.0)

    def save(self, path: str | Path) -> Path:
        """Write the fitted model as a directory that `tsfm.load` reads; its detect has units of each series' own."""
        check_is_fitted(self, "threshold_")
        return save(self.predictor_.model, path, about=self.predictor_.about)

    def _start(self) -> Begin:
        """What the fit begins from; refuses parameters that do not belong together."""
        check_level(self.level)
        start = begin(self.model, device=self.device)
        if not is_number(self.calibration) or not 0 < self.calibration < 0.9:
            raise ValueError(f"calibration is {self.calibration!r}; it is a share of the series, such as 0.2")
        if self.stride is not None and (not is_number(self.stride) or self.stride < 1 or self.stride % 1):
            raise ValueError(
                f"stride is {self.stride!r}; it is a number of steps, at least 1, or None for half a window"
            )
        if self.combine not in COMBINE:
            raise ValueError(f"combine is {self.combine!r}; {did_you_mean(str(self.combine), list(COMBINE))}")
        if start.predictor is None and self.method is not None:
            raise ValueError(
                f"method={self.method} adapts a trained model, and {self.model!r} is a backbone; leave it out"
            )
        if start.predictor is not None:
            if self.window is not None:
                raise ValueError(f"window is {self.window}, and a trained model has its own; leave it out")
            if self.method is None and (len(self.overrides) or self.experiment or self.max_epochs):
                raise ValueError(
                    "without a method the model is used as it is, so experiment, overrides and max_epochs say nothing; "
                    "leave them out, or give method='full'"
                )
        return start

    def _check_scoring(self, config: ModelConfig, series: list[np.ndarray], *, held: float) -> None:
        """What would fail after the training and is known before: the stride, and steps that no score can reach."""
        window = config.context + config.horizon
        if self.stride is not None and self.stride > window:
            raise ValueError(f"stride is {self.stride}, and the windows have {window} steps; it is at most as many")
        seen = [last(~np.isnan(one).all(axis=0), held) for one in series]
        self._check_held(sum(int(one.sum()) for one in seen), series)

    def _check_held(self, steps: int, series: list[np.ndarray]) -> None:
        level = check_level(self.level)
        if steps < (needed := scores_needed(level)):
            raise ValueError(
                f"{steps} steps are held out, and level={level:g} needs {needed}; give longer series, a larger "
                f"calibration, or a lower level{turned(len(series[0]), series)}"
            )

    @property
    def _sign(self) -> int:
        return -1 if self.sklearn_labels else 1

    def _answers(self, X: Any) -> list[Float[np.ndarray, " L"]]:
        """The scores of series as people give them, higher is stranger."""
        check_is_fitted(self, "threshold_")
        return self._scores(standardised(self.predictor_, as_series(X, channels=self.n_channels_in_)))

    def _scores(self, series: list[np.ndarray]) -> list[Float[np.ndarray, " L"]]:
        """Of series in the units of the model; in units of the series of the fit, channels joined."""
        found = strangeness(
            self.predictor_,
            series,
            task=settle_task(self.predictor_, self.scoring),
            names=[f"series {i}" for i in range(len(series))],
            stride=None if self.stride is None else int(self.stride),
            units=[self.unit_] * len(series),
        )
        return [join(one, how=self.combine) for one in found]

    def _train(self, start: Begin, series: list[np.ndarray]) -> ModelPredictor:
        source = start.predictor.name if start.predictor else None
        with workshop() as folder:
            config = self._config(start, folder, write_store(series, folder), series)
            self._check_scoring(config.model, series, held=self.calibration)
            return fit(config, folder, device=self.device, verbose=self.verbose, name=self.name, source=source)

    def _config(self, start: Begin, folder: Path, store: Path, series: list[np.ndarray]) -> RunConfig:
        seen = 1 - self.calibration
        words = [f"experiment={self.experiment or start.recipe('detect', tuned='series')}", "task=detect"]
        words += [f"data.dataset={tuning.quoted(store)}", f"seed={self.seed}"]
        words += [f"data.ratios=[{seen * (1 - VALIDATION)},{seen * VALIDATION},{self.calibration}]"]
        words += [f"trainer.max_epochs={self.max_epochs}"] if self.max_epochs is not None else []
        words += [f"task.score={self.scoring}"] if self.scoring is not None else []
        if start.predictor is None:
            words += [f"backbone={start.backbone}"]
            words += [f"model.context={self.window}"] if self.window is not None else []
            config = describe(words, self.overrides)
            least = config.task.block * config.task.num_passes
        else:
            names = [f"channel_{channel}" for channel in range(len(series[0]))]
            shape = tuning.shape_for(start.predictor, horizon=None)
            words += init_words(keep_source(start.predictor, folder), self.method or "full") + shape.words
            words += tuning.task_words(start.predictor, "detect", levels=shape.levels)
            words += tuning.column_words(start.predictor, names)
            config, least = describe(words, self.overrides), shape.context
        longest = int(max(one.shape[1] for one in series) * seen * (1 - VALIDATION))  # rows that train
        window = shorter(config.model.context, rows=longest, patch=config.model.patch, least=least)
        if window is None:
            needed = int(np.ceil(least * (1 if start.predictor else 2) / (seen * (1 - VALIDATION)))) + 1
            raise ValueError(
                f"the longest series has {max(one.shape[1] for one in series)} steps, and {needed} are needed to train "
                f"windows of {least} on what is not held out; give a longer series, or task.block and task.num_passes "
                f"in overrides a smaller value{turned(len(series[0]), series)}"
            )
        if window < config.model.context:
            log.info("the series are short: windows of %d steps in place of %d", window, config.model.context)
        changes: dict[str, Any] = {"context": window}
        if BACKBONES.entry(config.backbone.name).component.whole_window and start.predictor is None:
            changes |= {"patch": window, "stride": window}
        return replace(config, model=replace(config.model, **changes))
