"""Forecaster: forecasts of a DataFrame with scikit-learn's fit and predict.

Forecaster("tsfm-small").fit(df).predict(24)                        zero-shot
Forecaster("tsfm-small", method="lora").fit(df, 24).predict()       fine-tuned on df first
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted

from tsfm.estimators.devices import DeviceEstimator, resolve_device
from tsfm.estimators.fitting import METHODS
from tsfm.estimators.pretrained import Pretrained, load
from tsfm.messages import did_you_mean
from tsfm.store.foreign_frames import own_copy
from tsfm.store.read_options import FRAME_NAMES, ReadOptions, read_settings, takes_options

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Unpack


class Forecaster(DeviceEstimator):
    """A forecaster of the items of a long DataFrame with the interface of scikit-learn.

    Parameters
    ----------
    model
        A bundled model, a model directory, or what `tsfm.load` returns.
    method
        None forecasts zero-shot. "full", "head" or "lora" fine-tune on the frame of `fit` first, see
        `Pretrained.fit_df`.
    quantile_levels
        Levels of the quantile columns; None takes those of the model.
    effort
        "fast", "auto" or "best", see `Predictor.predict_df`. What "best" finds is kept between calls of `predict` for
        one horizon.
    epochs, overrides, seed, keep_better
        Of the fine-tuning.
    device
        "auto", "cpu", "cuda" or "mps".
    **options
        How the frames are read, such as `target` or `freq`; see `tsfm.store.read_options.ReadOptions`. Each is a
        parameter of the estimator.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsfm import Forecaster
    >>> days = pd.date_range("2024-01-01", periods=60)
    >>> df = pd.DataFrame({"item_id": "a", "timestamp": days, "target": [day.dayofweek for day in days]})
    >>> Forecaster("tsfm-mini").fit(df).predict(3).timestamp.dt.strftime("%d %B").tolist()
    ['01 March', '02 March', '03 March']
    """

    @takes_options
    def __init__(
        self,
        model: Any = "tsfm-small",
        *,
        method: str | None = None,
        quantile_levels: Sequence[float] | None = None,
        effort: str = "auto",
        epochs: int | None = None,
        overrides: Sequence[str] = (),
        seed: int = 0,
        keep_better: bool = True,
        device: str = "auto",
        **options: Unpack[ReadOptions],
    ):
        self.model = model
        self.method = method
        self.quantile_levels = quantile_levels
        self.effort = effort
        self.epochs = epochs
        self.overrides = overrides
        self.seed = seed
        self.keep_better = keep_better
        self.device = device
        for name, value in read_settings(options).options.items():
            setattr(self, name, value)

    def fit(self, df: pd.DataFrame, prediction_length: int | None = None) -> Forecaster:
        """Keep the history that `predict` continues, and fine-tune on it if there is a `method`.

        Parameters
        ----------
        df
            One row per item and time.
        prediction_length
            The horizon to fine-tune for, in steps, and the default of `predict`; None takes that of the model.
        """
        if self.method is not None and self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; {did_you_mean(str(self.method), list(METHODS))}, or None")
        if self.method is None and (self.epochs is not None or len(self.overrides)):
            raise ValueError(
                "without a method nothing is trained, so epochs and overrides have no effect; leave them out"
            )
        if not isinstance(self.model, (str, Path, Pretrained)):
            raise ValueError(
                f"model is of type {type(self.model).__name__}; expected a model directory, the name of a bundled "
                "model, or what tsfm.load returns"
            )
        device, history = resolve_device(self.device), own_copy(df, label="df")
        predictor = self.model if isinstance(self.model, Pretrained) else load(self.model, device=device)
        if self.method is not None:
            predictor = predictor.fit_df(
                history, prediction_length, method=self.method, epochs=self.epochs, overrides=self.overrides,
                seed=self.seed, keep_better=self.keep_better, device=self.device, **self._options(),
            )  # fmt: skip
        self.forecaster_ = predictor.with_effort(self.effort)
        self.predictor_, self.history_, self.prediction_length_ = predictor, history, prediction_length
        return self

    def predict(self, prediction_length: int | None = None, future_df: pd.DataFrame | None = None) -> pd.DataFrame:
        """Forecast the steps after the history of each item.

        Parameters
        ----------
        prediction_length
            Number of steps; None takes that of `fit`, else the horizon of the model.
        future_df
            The known future of covariates.

        Returns
        -------
        DataFrame
            As `predict_df` returns it: item id, timestamp, target_name, predictions, and a column per quantile level.
        """
        check_is_fitted(self, "predictor_")
        horizon = prediction_length or self.prediction_length_ or self.predictor_.max_horizon
        if not horizon:
            raise ValueError(f"{self.predictor_.name} has no horizon of its own; give prediction_length")
        return self.forecaster_.predict_df(
            self.history_, horizon, future_df=future_df, quantile_levels=self.quantile_levels, **self._options()
        )

    def _options(self) -> ReadOptions:
        options: Any = {name: getattr(self, name) for name in FRAME_NAMES}
        return options
