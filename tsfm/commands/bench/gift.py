"""`tsfm bench gift`: GIFT-Eval scores of forecasters next to the published ones."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from tsfm.bench.gift_table import geometric_mean
from tsfm.bench.protocols.gift import GiftData, GiftProtocol, read_configs, score_gift
from tsfm.bench.report import as_csv, as_markdown
from tsfm.bench.seen_sets import Scored
from tsfm.commands.bench.predictors import check_data, load_predictors
from tsfm.data.base import SourceSeries
from tsfm.files import check_folder, write_text
from tsfm.messages import did_you_mean

SCORES = {"mase": "MASE", "crps": "CRPS"}  # key of a result -> title of a column


def run(args: argparse.Namespace) -> int:
    """Score the predictors and write gift.md, gift_means.csv and gift_configs.csv."""
    check_folder(args.out)
    published = read_published(args.published, compare=args.compare) if args.published else None
    config = GiftProtocol.Config(configs=args.configs, multivariate=args.multivariate, batch_size=args.batch_size)
    predictors, data = load_predictors(args, single_pass=True), read_configs(args.configs, context=args.context)
    seen_sets = check_data(predictors, scored_sets(data), args=args)
    results, sizes = {}, {}
    for name, predictor in predictors.items():
        result = results[name] = score_gift(predictor, config, data)
        result["rows"] = [row | seen_sets.columns(name, data_set(row["config"])) for row in result["rows"]]
        sizes[name] = (count := predictor.num_parameters()) and count / 1e6
        seconds = sum(row["seconds_forecasting"] for row in result["rows"])
        scores = f"MASE {result['mase']:.4f}, CRPS {result['crps']:.4f}"
        print(f"{name}: {scores} relative to seasonal naive, {seconds:.1f} s", flush=True)
    means = means_table(results, sizes, published)
    configs = configs_table(results, published, args.compare)
    title = f"GIFT-Eval, {len(configs)} configurations, geometric means relative to seasonal naive (lower is better)"
    notes = [f"{sentence}\n" for sentence in seen_sets.sentences()]
    tables = [as_markdown(means), *notes, "# Each configuration, relative to seasonal naive\n", as_markdown(configs)]
    write_text(args.out / "gift.md", "\n".join([f"# {title}\n", *tables]))
    write_text(args.out / "gift_means.csv", as_csv(means))
    rows = [{"model": name, **row} for name, result in results.items() for row in result["rows"]]
    write_text(args.out / "gift_configs.csv", as_csv(rows))
    print(f"wrote {args.out / 'gift.md'}")
    return 0


def scored_sets(data: GiftData) -> dict[str, Scored]:
    """Return the series for the leak check, by data set and frequency (`ett1/H`): the terms have them in common."""
    by_set = {data_set(entry.name): series for entry, series in zip(data.configs, data.series, strict=True)}
    return {name: partial(SourceSeries, [name] * len(series), series) for name, series in by_set.items()}


def data_set(config: str) -> str:
    """Return the name of a configuration without its term."""
    return config.rsplit("/", 1)[0]


def read_published(folder: Path, *, compare: Sequence[str] = ()) -> pd.DataFrame:
    """Read every published model on every configuration, with its size where that is certain.

    Returns
    -------
    DataFrame
        With the columns `config`, `model`, `MASE_rel`, `CRPS_rel` and `parameters` (millions).

    Raises
    ------
    ValueError
        If one of the models of `compare` was not published.
    """
    table = pd.read_csv(folder / "gift_eval_per_config.csv")
    known = sorted(set(table["model"]))
    for name in compare:
        if name not in known:
            raise ValueError(f"--compare: no published model {name!r}; {did_you_mean(name, known)}")
    file = folder / "gift_eval_models.csv"
    sizes: Any = (
        pd.read_csv(file).drop_duplicates("model").set_index("model")["params_million"] if file.is_file() else {}
    )
    return table.assign(parameters=pd.to_numeric(table["model"].map(sizes), errors="coerce"))


def means_table(
    results: dict[str, dict[str, Any]], sizes: dict[str, Any], published: pd.DataFrame | None
) -> list[dict[str, Any]]:
    """Return a row per scored (bold) and published model, lowest CRPS first.

    Published models count only if they have every scored configuration.
    """
    rows = [
        {"model": f"**{name}**", "parameters, M": _size(sizes[name]), "MASE": result["mase"], "CRPS": result["crps"]}
        for name, result in results.items()
    ]
    if published is not None:
        configs = [row["config"] for row in next(iter(results.values()))["rows"]]
        comparable: Any = published[published["config"].isin(configs)]
        for model, table in comparable.groupby("model", sort=False):
            if table["config"].nunique() == len(configs):
                means = {title: geometric_mean(table[f"{title}_rel"].to_list()) for title in SCORES.values()}
                rows.append({"model": model, "parameters, M": _size(table["parameters"].iloc[0]), **means})
    return sorted(rows, key=lambda row: row["CRPS"])


def configs_table(
    results: dict[str, dict[str, Any]], published: pd.DataFrame | None, compare: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a row per configuration: windows, then relative MASE and CRPS of each scored and each compared model."""
    rows = [{"config": row["config"], "windows": row["windows"]} for row in next(iter(results.values()))["rows"]]
    for name, result in results.items():
        for row, scores in zip(rows, result["rows"], strict=True):
            row |= {f"{name} {title}": scores[f"{key}_relative"] for key, title in SCORES.items()}
    for name in compare if published is not None else ():
        scores = published[published["model"] == name].set_index("config")  # type: ignore[index]
        for row in rows:
            row |= {f"{name} {title}": float(scores.loc[row["config"], f"{title}_rel"]) for title in SCORES.values()}
    return rows


def _size(millions: Any) -> str:
    return "" if millions is None or pd.isna(millions) else f"{millions:.3g}"
