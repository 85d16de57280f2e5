"""Load the predictors that a benchmark command names."""

from __future__ import annotations

import argparse

from tsfm.bench.predictors import prepare_predictor, unique_labels
from tsfm.infer.predictor import Predictor


def load_predictors(args: argparse.Namespace, *, single_pass: bool = False) -> dict[str, Predictor]:
    """Return the predictors of the command line by their names in the tables.

    Parameters
    ----------
    args
        With `predictors`, `device`, `bf16` and `flip`.
    single_pass
        Whether trained models leave out what they add for short histories.

    Returns
    -------
    dict
        The name is the predictor's own; where two have the same, it is the text of the command line.
    """
    options = {"device": args.device, "bf16": args.bf16, "flip": args.flip, "single_pass": single_pass}
    predictors = [prepare_predictor(name, **options) for name in args.predictors]
    return dict(zip(unique_labels(predictors, args.predictors), predictors, strict=True))
