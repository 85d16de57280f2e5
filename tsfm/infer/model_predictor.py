"""A trained model with every verb: forecast, impute, detect, embed, classify, regress."""

from __future__ import annotations

from tsfm.infer.classification import Classification
from tsfm.infer.detection import Detection
from tsfm.infer.embedding import Embedding
from tsfm.infer.forecasting import Forecasting
from tsfm.infer.imputation import Imputation


class ModelPredictor(Forecasting, Imputation, Detection, Embedding, Classification):
    """A trained model with every verb; what it can do depends on its head and its training, see `tasks`.

    Examples
    --------
    >>> from tsfm.infer.load import load
    >>> load("tsfm-mini")  # doctest: +ELLIPSIS
    <ModelPredictor tsfm-mini: ..., tasks forecast, impute, detect, embed>
    """
