"""Imputation, zero-shot, beside TSPulse and linear interpolation: MSE on hidden steps of standardised data.

    python scripts/bench_imputation.py tsfm-small --out runs/imputation                     # every window
    python scripts/bench_imputation.py tsfm-small runs/mine/model --stride 16 --bf16 --out runs/imputation
    python scripts/bench_imputation.py seasonal_fill --sets etth1 ettm1 --out runs/imputation

The protocol of `tsfm eval data=etth1 bench=imputation context=512` (TSPulse, arXiv:2505.13033): windows of 512 steps of
the test part, also for a model whose own window is longer; blocks of 8 steps, or half of the hidden steps in blocks and
half single, at four rates. With --stride only every so manyth window is scored, and the tables say so; the published
values are of every window. Writes imputation.md, and imputation.csv after every set.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.bench.find import find_baseline
from tsfm.bench.imputation import KINDS, Filler, ImputationConfig, of_baseline, of_model, score_imputation
from tsfm.bench.interfaces import Imputer
from tsfm.bench.longhorizon import dataset
from tsfm.bench.report import as_csv, as_markdown
from tsfm.bench.trained import as_trained, pick_device
from tsfm.data.module import WindowData
from tsfm.infer.cross_channel import use_cross_channel
from tsfm.infer.load import ModelPredictor, load
from tsfm.registry import BASELINES

SETS = ["etth1", "etth2", "ettm1", "ettm2", "weather"]
LINE = "linear_interpolation"
THEIRS = {"blocks": "block", "hybrid": "hybrid"}  # our name of a mask -> the published one
BESIDE = "TSPulse, zero-shot"


def arguments(argv: list[str] | None) -> argparse.Namespace:
    root = Path(os.environ.get("TSFM_DATA", "data"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("predictors", nargs="+", help="bundled models, model directories, baselines that fill gaps")
    parser.add_argument("--sets", nargs="+", default=SETS, help="names of conf/data")
    parser.add_argument("--masks", nargs="+", default=list(THEIRS), choices=KINDS)
    parser.add_argument("--rates", nargs="+", type=float, default=[0.125, 0.25, 0.375, 0.5])
    parser.add_argument("--context", type=int, default=512, help="steps of a window (default 512)")
    parser.add_argument("--stride", type=int, default=1, help="steps from one window to the next (default 1: all)")
    parser.add_argument("--batch-size", type=int, default=64, help="windows, of all channels, at a time (default 64)")
    parser.add_argument("--device", default="auto", help="of trained models: cpu, cuda, ... (default: a GPU if there)")
    parser.add_argument("--bf16", action="store_true", help="trained models compute in bfloat16")
    parser.add_argument("--flip", action="store_true", help="trained models fill the mirrored window too")
    parser.add_argument("--alone", action="store_true", help="each channel by itself: no help from how others err")
    parser.add_argument("--published", type=Path, default=root.parent / "anchors" / "imputation_published.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    return parser.parse_args(argv)


def read_published(file: Path, *, context: int) -> dict[tuple[str, str, float], float]:
    """(set, mask, rate) -> TSPulse's zero-shot MSE at that window length; no values where there is no file."""
    if not file.is_file():
        return {}
    ours = {theirs: mask for mask, theirs in THEIRS.items()}
    with open(file, encoding="utf-8", newline="") as lines:
        return {
            (row["dataset"].lower(), ours[row["mask_type"]], float(row["mask_ratio"])): float(row["MSE"])
            for row in csv.DictReader(lines)
            if row["setting"] == "zero-shot" and row["model"].startswith("TSPulse")
            and row["mask_type"] in ours and row["context"] == str(context)
        }  # fmt: skip


def score_set(name: str, data: str, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per mask and rate of one predictor on one set."""
    config, covariates = dataset(data), False
    predictor = None if name in BASELINES.names() else load(name, device=str(pick_device(asked.device)))
    if predictor is not None:
        config, covariates = as_trained(config, predictor), predictor.model.mixes_channels
    windows = WindowData(config, context=asked.context, horizon=0, covariates=covariates)
    windows.setup()
    filler = _filler(name, predictor, season=windows.season, asked=asked)
    bench = ImputationConfig(
        stride=asked.stride, masks=asked.masks, rates=asked.rates, batch_size=asked.batch_size
    )  # fmt: skip
    begun = time.perf_counter()
    found = score_imputation(filler, windows, bench)
    seconds = round(time.perf_counter() - begun, 1)
    label = name if predictor is None else predictor.name
    facts = {"windows": found["windows"], "stride": found["stride"], "context": found["context"], "seconds": seconds}
    ways = {"bf16": asked.bf16 and predictor is not None, "flip": asked.flip and predictor is not None}
    ways["coupled"] = predictor is not None and use_cross_channel(predictor.model, False if asked.alone else None)
    return [
        {"model": label, "data": data, "mask": mask, "rate": rate}
        | {metric: found[f"{mask}_{rate:g}_{metric}"] for metric in ("mse", "mae")}
        | facts | ways
        for mask in asked.masks
        for rate in asked.rates
    ]  # fmt: skip


def _filler(name: str, predictor: ModelPredictor | None, *, season: int, asked: argparse.Namespace) -> Filler:
    if predictor is None:
        return of_baseline(find_baseline(name, Imputer), season=season)  # type: ignore[type-abstract]
    return of_model(predictor.model, bf16=asked.bf16, flip=asked.flip, coupled=False if asked.alone else None)


def table(rows: list[dict[str, Any]], published: dict[tuple[str, str, float], float]) -> list[dict[str, Any]]:
    """A line per set and mask, the MSE's mean over the rates of each model and of TSPulse; then the means of lines."""
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        place = (row["data"], row["mask"])
        line = cells.setdefault(place, {"set": place[0], "mask": place[1], "windows": row["windows"]})
        line.setdefault(row["model"], []).append(row["mse"])
        if row["model"] == rows[0]["model"] and (*place, row["rate"]) in published:
            line.setdefault(BESIDE, []).append(published[(*place, row["rate"])])
    lines = [{key: float(np.mean(v)) if isinstance(v, list) else v for key, v in one.items()} for one in cells.values()]
    for mask in dict.fromkeys(row["mask"] for row in rows):
        lines.append(_mean([line for line in lines if line["mask"] == mask], mask))
    return lines


def _mean(lines: list[dict[str, Any]], mask: str) -> dict[str, Any]:
    """The mean of each score that every line has."""
    scores = [key for key in lines[0] if key not in ("set", "mask", "windows") and all(key in line for line in lines)]
    facts = {"set": f"mean of {len(lines)}", "mask": mask, "windows": sum(line["windows"] for line in lines)}
    return facts | {key: float(np.mean([line[key] for line in lines])) for key in scores}


def each(rows: list[dict[str, Any]], published: dict[tuple[str, str, float], float]) -> list[dict[str, Any]]:
    """A line per set, mask and rate."""
    lines: dict[tuple[str, str, float], dict[str, Any]] = {}
    for row in rows:
        place = (row["data"], row["mask"], row["rate"])
        line = lines.setdefault(place, {"set": place[0], "mask": place[1], "rate": place[2]})
        line[row["model"]] = row["mse"]
    return [line | ({BESIDE: published[place]} if place in published else {}) for place, line in lines.items()]


def names(rows: Iterable[dict[str, Any]]) -> str:
    """How the windows were chosen, in words."""
    stride = next(iter(rows))["stride"]
    return "every window" if stride == 1 else f"one window in {stride}: published values are of every window"


def main(argv: list[str] | None = None) -> None:
    asked = arguments(argv)
    published = read_published(asked.published, context=asked.context)
    asked.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for data in asked.sets:
        for name in dict.fromkeys([*asked.predictors, LINE]):
            found = score_set(name, data, asked)
            rows += found
            mean = float(np.mean([row["mse"] for row in found]))
            print(f"{found[0]['model']}  {data}  MSE {mean:.4f}  {found[0]['seconds']:.0f} s", flush=True)
        (asked.out / "imputation.csv").write_text(as_csv(rows), encoding="utf-8")
    text = as_markdown(table(rows, published))
    head = (
        f"# Imputation, zero-shot, window {asked.context}: MSE, mean over {len(asked.rates)} rates; {names(rows)}\n\n"
    )
    whole = f"{head}{text}\n## Each rate\n\n{as_markdown(each(rows, published))}"
    (asked.out / "imputation.md").write_text(whole, encoding="utf-8")
    print(head + text)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
