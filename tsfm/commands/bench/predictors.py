"""Load the predictors that a benchmark command names, and ask the leak check about them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from tsfm.bench.predictors import prepare_predictor, unique_labels
from tsfm.bench.seen_sets import Scored, SeenSets, check_sets
from tsfm.bench.suite_windows import SuiteLimits, SuiteSet, source_series
from tsfm.data.base import SourceSeries
from tsfm.data.settings import DataConfig
from tsfm.data.store_data import stored_series
from tsfm.infer.predictor import Predictor
from tsfm.store.catalog import resolve


def load_predictors(args: argparse.Namespace, *, single_pass: bool = False) -> dict[str, Predictor]:
    """Return the predictors of the command line by their names in the tables.

    Parameters
    ----------
    args
        With `predictors`, `device`, `bf16` and `flip`, and `effort` where the benchmark offers it.
    single_pass
        Whether trained models leave out what they add for short histories.

    Returns
    -------
    dict
        The name is the predictor's own; where two have the same, it is the text of the command line.
    """
    options = {"device": args.device, "bf16": args.bf16, "flip": args.flip, "single_pass": single_pass}
    options["effort"] = getattr(args, "effort", "auto")
    predictors = [prepare_predictor(name, **options) for name in args.predictors]
    return dict(zip(unique_labels(predictors, args.predictors), predictors, strict=True))


def check_data(labels: Iterable[str], sets: Mapping[str, Scored], *, args: argparse.Namespace) -> SeenSets:
    """Ask the leak check about the predictors of the command line, by their labels; see `check_sets`."""
    return check_sets(dict(zip(labels, args.predictors, strict=True)), sets, zero_shot=args.zero_shot)


def check_suite_sets(
    labels: Iterable[str], sets: Sequence[SuiteSet], limits: SuiteLimits, *, args: argparse.Namespace
) -> SeenSets:
    """Ask the leak check about the predictors of the command line and sets of the suite."""
    return check_data(labels, {entry.name: partial(source_series, entry, limits) for entry in sets}, args=args)


def scored_stores(sets: Mapping[str, DataConfig]) -> dict[str, Scored]:
    """Return functions that return the series of data sets, by their names."""

    def read(config: DataConfig) -> SourceSeries:
        return stored_series(resolve(config.dataset))

    return {name: partial(read, config) for name, config in sets.items()}
