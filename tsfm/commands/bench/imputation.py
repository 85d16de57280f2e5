"""`tsfm bench imputation`: MSE on hidden steps, zero-shot, next to TSPulse and linear interpolation."""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.bench.interfaces import Imputer
from tsfm.bench.longhorizon import dataset
from tsfm.bench.predictors import find_baseline, pick_device
from tsfm.bench.protocols.imputation import (
    Filler,
    ImputationProtocol,
    fill_with_baseline,
    fill_with_model,
    score_imputation,
)
from tsfm.bench.protocols.windows import load_windows
from tsfm.bench.report import as_csv, as_markdown
from tsfm.bench.seen_sets import check_sets
from tsfm.commands.bench.predictors import scored_stores
from tsfm.data.settings import DataConfig
from tsfm.data.window_data import WindowData
from tsfm.files import check_folder, write_text
from tsfm.infer.cross_channel import use_cross_channel
from tsfm.infer.load import load
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.registry import BASELINES

LINEAR = "linear_interpolation"
PUBLISHED_MASKS = {"block": "blocks", "hybrid": "hybrid"}  # published name of a mask -> ours
TSPULSE = "TSPulse, zero-shot"
Published = dict[tuple[str, str, float], float]  # (set, mask, rate) -> MSE


def run(args: argparse.Namespace) -> int:
    """Score the predictors and linear interpolation, and write imputation.md and imputation.csv."""
    check_folder(args.out)
    sets = {name: dataset(name) for name in args.sets}
    published = read_published(args.published, context=args.context)
    predictors = {
        name: None if name in BASELINES.names() else load(name, device=str(pick_device(args.device)))
        for name in [*args.predictors, LINEAR]
    }
    seen_sets = check_sets({name: name for name in predictors}, scored_stores(sets), zero_shot=args.zero_shot)
    rows: list[dict[str, Any]] = []
    for data, config in sets.items():
        for name, predictor in predictors.items():
            columns = seen_sets.columns(name, data)
            scores = [row | columns for row in score_set(name, predictor, data, config, args=args)]
            rows += scores
            mean = float(np.mean([row["mse"] for row in scores]))
            print(f"{scores[0]['model']}  {data}  MSE {mean:.4f}  {scores[0]['seconds']:.0f} s", flush=True)
        write_text(args.out / "imputation.csv", as_csv(rows))
    stride = rows[0]["stride"]
    windows = "every window" if stride == 1 else f"one window in {stride}: published values are of every window"
    title = f"# Imputation, zero-shot, window {args.context}: MSE, mean over {len(args.rates)} rates; {windows}\n\n"
    notes = "".join(f"\n{sentence}\n" for sentence in seen_sets.sentences())
    means = title + as_markdown(means_table(rows, published)) + notes
    write_text(args.out / "imputation.md", f"{means}\n## Each rate\n\n{as_markdown(rates_table(rows, published))}")
    print(means)
    return 0


def read_published(file: Path, *, context: int) -> Published:
    """Read TSPulse's zero-shot MSE at a window length; empty if there is no file."""
    if not file.is_file():
        return {}
    with open(file, encoding="utf-8", newline="") as lines:
        return {
            (row["dataset"].lower(), PUBLISHED_MASKS[row["mask_type"]], float(row["mask_ratio"])): float(row["MSE"])
            for row in csv.DictReader(lines)
            if row["setting"] == "zero-shot" and row["model"].startswith("TSPulse")
            and row["mask_type"] in PUBLISHED_MASKS and row["context"] == str(context)
        }  # fmt: skip


def score_set(
    name: str, predictor: ModelPredictor | None, data: str, config: DataConfig, *, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return a row per mask and rate on one set; without a predictor, of the baseline `name`."""
    if predictor is None:
        windows = WindowData(config, context=args.context, horizon=0, covariates=False)
        windows.setup()
    else:
        covariates = predictor.model.mixes_channels
        windows = load_windows(config, predictor, context=args.context, horizon=0, covariates=covariates)
    filler = _filler(name, predictor, season=windows.season_length, args=args)
    bench = ImputationProtocol.Config(
        stride=args.stride, masks=args.masks, rates=args.rates, batch_size=args.batch_size
    )
    start = time.perf_counter()
    scores = score_imputation(filler, windows, bench)
    counts = {key: scores[key] for key in ("windows", "stride", "context")}
    counts["seconds"] = round(time.perf_counter() - start, 1)
    options = {"bf16": args.bf16 and predictor is not None, "flip": args.flip and predictor is not None}
    options["coupled"] = predictor is not None and use_cross_channel(predictor.model, False if args.alone else None)
    return [
        {"model": name if predictor is None else predictor.name, "data": data, "mask": mask, "rate": rate}
        | {metric: scores[f"{mask}_{rate:g}_{metric}"] for metric in ("mse", "mae")}
        | counts | options
        for mask in args.masks
        for rate in args.rates
    ]  # fmt: skip


def _filler(name: str, predictor: ModelPredictor | None, *, season: int, args: argparse.Namespace) -> Filler:
    if predictor is None:
        return fill_with_baseline(find_baseline(name, Imputer), season_length=season)  # type: ignore[type-abstract]
    return fill_with_model(predictor.model, bf16=args.bf16, flip=args.flip, cross_channel=False if args.alone else None)


def means_table(rows: Sequence[dict[str, Any]], published: Published) -> list[dict[str, Any]]:
    """Return a line per set and mask with the mean MSE over the rates of each model and of TSPulse, and the means."""
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["data"], row["mask"])
        line = cells.setdefault(key, {"set": key[0], "mask": key[1], "windows": row["windows"]})
        line.setdefault(row["model"], []).append(row["mse"])
        if row["model"] == rows[0]["model"] and (*key, row["rate"]) in published:
            line.setdefault(TSPULSE, []).append(published[(*key, row["rate"])])
    lines = [
        {key: float(np.mean(value)) if isinstance(value, list) else value for key, value in line.items()}
        for line in cells.values()
    ]
    for mask in dict.fromkeys(row["mask"] for row in rows):
        lines.append(_mean([line for line in lines if line["mask"] == mask], mask))
    return lines


def _mean(lines: list[dict[str, Any]], mask: str) -> dict[str, Any]:
    """Average each score that every line has."""
    scores = [key for key in lines[0] if key not in ("set", "mask", "windows") and all(key in line for line in lines)]
    head = {"set": f"mean of {len(lines)}", "mask": mask, "windows": sum(line["windows"] for line in lines)}
    return head | {key: float(np.mean([line[key] for line in lines])) for key in scores}


def rates_table(rows: Sequence[dict[str, Any]], published: Published) -> list[dict[str, Any]]:
    """Return a line per set, mask and rate with the MSE of each model."""
    lines: dict[tuple[str, str, float], dict[str, Any]] = {}
    for row in rows:
        key = (row["data"], row["mask"], row["rate"])
        line = lines.setdefault(key, {"set": key[0], "mask": key[1], "rate": key[2]})
        line[row["model"]] = row["mse"]
    return [line | ({TSPULSE: published[key]} if key in published else {}) for key, line in lines.items()]
