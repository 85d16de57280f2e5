"""Detector: anomaly scores and flags for each step of a series, with the interface of scikit-learn.

    Detector().fit(clean).predict(series)     1 for anomalous steps

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
from tsfm.estimators.detector_series import channel_scale, fitting_window, is_number, last_share, standardize_series
from tsfm.estimators.devices import DeviceEstimator
from tsfm.estimators.fitting import (
    StartingPoint,
    compose_config,
    find_starting_point,
    init_overrides,
    save_source,
    temporary_run,
    train_predictor,
    write_store,
)
from tsfm.estimators.validation import as_series, transposed_hint, unwrap_single
from tsfm.infer.anomaly_scoring import combine_channels
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.messages import did_you_mean
from tsfm.metrics.conformal import check_level, conformal_threshold, scores_needed
from tsfm.model.checkpoint import save
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES

if TYPE_CHECKING:
    from jaxtyping import Float

log = logging.getLogger("tsfm")
COMBINE = ("mean", "max")
VALIDATION_SHARE = 1 / 8  # of the steps that are not held out: they select the best epoch


class Detector(DeviceEstimator):
    """An anomaly detector that learns from a clean series and scores each step of others: higher is more anomalous.

    Parameters
    ----------
    model
        The name of a backbone, trained from random weights on windows of the series; or a trained model (directory,
        bundled name, or what `tsfm.load` returns), used without training, or adapted by `method`.
    level
        Share of clean steps below `threshold_`: 0.99 flags one clean step in a hundred.
    window
        Window length in steps; None takes that of the recipe. Short series get a shorter one.
    calibration
        Share of the series at its end that is not trained on; its scores give the conformal threshold. A model that is
        not trained uses all steps.
    method
        "full", "head" or "lora"; None uses a trained model without training.
    scoring
        "pinball", "residual" or "tail"; None takes that of the recipe.
    combine
        Of the channels' scores: "mean" or "max".
    stride
        Steps between scored windows; None for half a window.
    experiment, overrides, max_epochs
        The recipe, as for `Classifier`.
    sklearn_labels
        With True, `predict` returns -1 for anomalous and 1 for normal steps, and lower scores are more anomalous, as in
        scikit-learn's detectors. With False, 1 and 0, and higher scores are more anomalous.

    Notes
    -----
    `X` is one series [channels, steps] or [steps], or a list of such (or an array [series, channels, steps]) with the
    same channels in the same units. NaN is a missing step: it has no score and is not flagged.
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
        """Return its name in tables of detectors."""
        model = self.model.name if isinstance(self.model, ModelPredictor) else Path(str(self.model)).name
        return f"detector_{model}"

    def fit(self, X: Any, y: None = None) -> Detector:
        """Fit the clean series `X`; `y` is ignored. Returns itself."""
        del y
        for name in ("predictor_", "threshold_", "unit_", "n_channels_in_"):  # of an earlier fit
            vars(self).pop(name, None)
        start = self._start()
        series = as_series(X)
        if start.predictor is not None and self.method is None:
            self._check_scoring(start.predictor.model.config, series, held_out=1.0)
            self.predictor_, held_out = start.predictor, 1.0
        else:
            self.predictor_, held_out = self._train(start, series), self.calibration
        series = standardize_series(self.predictor_, series)
        self.unit_, self.n_channels_in_ = channel_scale(series), len(series[0])
        clean = [last_share(values, held_out) for values in self._scores(series)]
        self._check_calibration(sum(int((~np.isnan(values)).sum()) for values in clean), series)
        self.threshold_ = conformal_threshold(np.concatenate(clean), level=self.level)
        return self

    def score_samples(self, X: Any) -> Any:
        """Return scores [L] of one series, a list of them for a list; NaN for missing steps.

        Higher is more anomalous, with `sklearn_labels` lower.
        """
        return unwrap_single(X, [self._sign * scores for scores in self._user_scores(X)])

    def decision_function(self, X: Any) -> Any:
        """Return the score of each step minus the threshold, negative for normal steps.

        With `sklearn_labels` the sign is reversed: negative for anomalous steps.
        """
        return unwrap_single(X, [self._sign * (scores - self.threshold_) for scores in self._user_scores(X)])

    def predict(self, X: Any) -> Any:
        """Return 1 for anomalous steps and 0 for others, [L]; see `sklearn_labels`."""
        anomalous = [scores > self.threshold_ for scores in self._user_scores(X)]
        return unwrap_single(
            X, [np.where(scores, -1, 1) if self.sklearn_labels else scores.astype(int) for scores in anomalous]
        )

    def score(self, series: Float[np.ndarray, "C L"]) -> Float[np.ndarray, " L"]:
        """Return one finite score per step, 0 where there is none; higher is more anomalous whatever `sklearn_labels`.

        This is the interface of benchmark detectors, and not scikit-learn's `score`, the quality of a fit.
        """
        return np.nan_to_num(unwrap_single(series, self._user_scores(series)), nan=0.0)

    def save(self, path: str | Path) -> Path:
        """Write the fitted model as a directory that `tsfm.load` reads; returns its path.

        The `detect` of the loaded model scales scores by each series, and not by that of the fit.
        """
        check_is_fitted(self, "threshold_")
        return save(self.predictor_.model, path, about=self.predictor_.about)

    def _start(self) -> StartingPoint:
        """Return the starting point of the fit; a ValueError names parameters that do not fit together."""
        check_level(self.level)
        start = find_starting_point(self.model, device=self.device)
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
                    "without a method the model is not trained, so experiment, overrides and max_epochs have no "
                    "effect; "
                    "leave them out, or give method='full'"
                )
        return start

    def _check_scoring(self, config: ModelConfig, series: list[np.ndarray], *, held_out: float) -> None:
        """Raise before the training what would fail after it: the stride, and too few steps to calibrate."""
        window = config.context + config.horizon
        if self.stride is not None and self.stride > window:
            raise ValueError(f"stride is {self.stride}, and the windows have {window} steps; it is at most as many")
        observed = [last_share(np.asarray(~np.isnan(values).all(axis=0)), held_out) for values in series]
        self._check_calibration(sum(int(values.sum()) for values in observed), series)

    def _check_calibration(self, steps: int, series: list[np.ndarray]) -> None:
        level = check_level(self.level)
        if steps < (needed := scores_needed(level)):
            raise ValueError(
                f"{steps} steps are held out, and level={level:g} needs {needed}; give longer series, a larger "
                f"calibration, or a lower level{transposed_hint(len(series[0]), series)}"
            )

    @property
    def _sign(self) -> int:
        return -1 if self.sklearn_labels else 1

    def _user_scores(self, X: Any) -> list[Float[np.ndarray, " _"]]:
        """Scores of series given by the user; higher is more anomalous."""
        check_is_fitted(self, "threshold_")
        return self._scores(standardize_series(self.predictor_, as_series(X, channels=self.n_channels_in_)))

    def _scores(self, series: list[np.ndarray]) -> list[Float[np.ndarray, " _"]]:
        """Scores of series in the units of the model, scaled by the series of the fit, channels combined."""
        scores_by_channel = self.predictor_.anomaly_scores(
            series,
            task=self.predictor_.detection_task(self.scoring),
            names=[f"series {i}" for i in range(len(series))],
            stride=None if self.stride is None else int(self.stride),
            units=[self.unit_] * len(series),
        )
        return [combine_channels(scores, method=self.combine) for scores in scores_by_channel]

    def _train(self, start: StartingPoint, series: list[np.ndarray]) -> ModelPredictor:
        source = start.predictor.name if start.predictor else None
        with temporary_run() as folder:
            config = self._config(start, folder, write_store(series, folder), series)
            self._check_scoring(config.model, series, held_out=self.calibration)
            return train_predictor(
                config, folder, device=self.device, verbose=self.verbose, name=self.name, source=source
            )

    def _config(self, start: StartingPoint, folder: Path, store: Path, series: list[np.ndarray]) -> RunConfig:
        train_share = 1 - self.calibration
        settings = [f"experiment={self.experiment or start.recipe('detect', tuned='series')}", "task=detect"]
        settings += [f"data.dataset={tuning.quote(store)}", f"seed={self.seed}"]
        settings += [
            f"data.ratios=[{train_share * (1 - VALIDATION_SHARE)},{train_share * VALIDATION_SHARE},{self.calibration}]"
        ]
        settings += [f"trainer.max_epochs={self.max_epochs}"] if self.max_epochs is not None else []
        settings += [f"task.score={self.scoring}"] if self.scoring is not None else []
        if start.predictor is None:
            settings += [f"backbone={start.backbone}"]
            settings += [f"model.context={self.window}"] if self.window is not None else []
            config = compose_config(settings, self.overrides)
            least = config.task.block * config.task.num_passes
        else:
            names = [f"channel_{channel}" for channel in range(len(series[0]))]
            shape = tuning.find_shape(start.predictor, horizon=None)
            settings += init_overrides(save_source(start.predictor, folder), self.method or "full") + shape.overrides
            settings += tuning.task_overrides(start.predictor, "detect", num_levels=shape.num_levels)
            settings += tuning.column_overrides(start.predictor, names)
            config, least = compose_config(settings, self.overrides), shape.context
        num_train = int(
            max(values.shape[1] for values in series) * train_share * (1 - VALIDATION_SHARE)
        )  # training rows
        window = fitting_window(config.model.context, rows=num_train, patch=config.model.patch, least=least)
        if window is None:
            needed = int(np.ceil(least * (1 if start.predictor else 2) / (train_share * (1 - VALIDATION_SHARE)))) + 1
            raise ValueError(
                f"the longest series has {max(values.shape[1] for values in series)} steps, and {needed} are needed "
                "to train "
                f"windows of {least} on what is not held out; give a longer series, or task.block and task.num_passes "
                f"in overrides a smaller value{transposed_hint(len(series[0]), series)}"
            )
        if window < config.model.context:
            log.info("the series are short: windows of %d steps in place of %d", window, config.model.context)
        changes: dict[str, Any] = {"context": window}
        if BACKBONES.entry(config.backbone.name).component.whole_window and start.predictor is None:
            changes |= {"patch": window, "stride": window}
        return replace(config, model=replace(config.model, **changes))
