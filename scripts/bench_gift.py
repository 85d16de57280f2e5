"""GIFT-Eval's scores of forecasters beside the published ones, over the configurations whose data is at hand.

    python scripts/bench_gift.py tsfm-small tsfm-mini --out runs/gift
    python scripts/bench_gift.py runs/mine/model seasonal_naive --out runs/gift --published ../shared/anchors
    python scripts/bench_gift.py runs/mine/model --out runs/gift --configs us_births/D/short saugeen/D/short

Writes gift.md (the geometric means of MASE and CRPS relative to seasonal naive among those of every published model,
then each configuration), gift_means.csv and gift_configs.csv. Published numbers are read from gift_eval_per_config.csv
(and sizes from gift_eval_models.csv) in the folder --published: without it the tables hold ours alone. Their means are
taken over exactly the configurations that were scored; a model that lacks one of them is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from tsfm.bench.gift import GiftBench, geometric_mean, score_gift
from tsfm.bench.ready import add_options, asked_for, num_parameters
from tsfm.bench.report import as_csv, as_markdown
from tsfm.infer.predictor import Predictor

BESIDE = ["FlowState-9.1M", "Toto-2.0-4m", "Kairos_10m", "TempoPFN", "chronos_bolt_small"]  # in the table of each one
SCORES = {"mase": "MASE", "crps": "CRPS"}


def means_table(
    results: dict[str, dict[str, Any]], sizes: dict[str, Any], published: pd.DataFrame | None
) -> list[dict]:
    """Ours and every published model, best CRPS first."""
    rows = [
        {"model": f"**{name}**", "parameters, M": _size(sizes[name]), "MASE": found["mase"], "CRPS": found["crps"]}
        for name, found in results.items()
    ]
    if published is not None:
        names = next(iter(results.values()))["rows"]
        some = published[published["config"].isin([row["config"] for row in names])]
        for model, part in some.groupby("model", sort=False):
            if part["config"].nunique() == len(names):
                means = {SCORES[key]: geometric_mean(part[f"{SCORES[key]}_rel"].to_list()) for key in SCORES}
                rows.append({"model": model, "parameters, M": _size(part["parameters"].iloc[0]), **means})
    return sorted(rows, key=lambda row: row["CRPS"])


def configs_table(
    results: dict[str, dict[str, Any]], published: pd.DataFrame | None, beside: list[str]
) -> list[dict[str, Any]]:
    """A row per configuration: windows, then relative MASE and CRPS of ours and of the named published models."""
    rows = [
        {"config": row["config"], "windows": row["windows"]} for row in next(iter(results.values()))["rows"]
    ]  # fmt: skip
    for name, found in results.items():
        for row, ours in zip(rows, found["rows"], strict=True):
            row |= {f"{name} {shown}": ours[f"{key}_relative"] for key, shown in SCORES.items()}
    for name in beside if published is not None else []:
        theirs = published[published["model"] == name].set_index("config")  # type: ignore[index]
        for row in rows:
            row |= {f"{name} {shown}": float(theirs.loc[row["config"], f"{shown}_rel"]) for shown in SCORES.values()}
    return rows


def read_published(folder: Path) -> pd.DataFrame:
    """Every published model on every configuration, with its size in millions of parameters where that is certain."""
    table = pd.read_csv(folder / "gift_eval_per_config.csv")
    file = folder / "gift_eval_models.csv"
    sizes = pd.read_csv(file).drop_duplicates("model").set_index("model")["params_million"] if file.is_file() else {}
    return table.assign(parameters=pd.to_numeric(table["model"].map(sizes), errors="coerce"))


def _size(millions: Any) -> str:
    return "" if millions is None or pd.isna(millions) else f"{millions:.3g}"


def score_all(asked: argparse.Namespace, predictors: dict[str, Predictor]) -> dict[str, dict[str, Any]]:
    bench = GiftBench(configs=asked.configs, multivariate=asked.multivariate, batch_size=asked.batch_size)
    results = {}
    for name, predictor in predictors.items():
        found = results[name] = score_gift(predictor, bench, context=asked.context)
        seconds = sum(row["seconds_forecasting"] for row in found["rows"])
        print(f"{name}: MASE {found['mase']:.4f}, CRPS {found['crps']:.4f} relative to seasonal naive, {seconds:.1f} s")
    return results


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    add_options(parser, batch=256, unit="series")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--published", type=Path, help="folder that holds gift_eval_per_config.csv")
    parser.add_argument("--beside", nargs="*", default=BESIDE, help="published models shown for each configuration")
    parser.add_argument("--configs", nargs="+", help="such as ett1/H/short; default: all")
    parser.add_argument("--context", type=int, help="past steps shown; default: what the predictor takes")
    parser.add_argument("--multivariate", action="store_true", help="the variates of a set at once")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    asked = arguments(argv)
    published = read_published(asked.published) if asked.published else None
    if published is not None and (unknown := set(asked.beside) - set(published["model"])):
        raise SystemExit(f"not among the published models: {', '.join(sorted(unknown))}")
    predictors = asked_for(asked)
    results = score_all(asked, predictors)
    sizes = {name: (count := num_parameters(one)) and count / 1e6 for name, one in predictors.items()}
    overall = means_table(results, sizes, published)
    each = configs_table(results, published, asked.beside)
    asked.out.mkdir(parents=True, exist_ok=True)
    head = f"GIFT-Eval, {len(each)} configurations, geometric means relative to seasonal naive (lower is better)"
    text = (
        f"# {head}\n\n{as_markdown(overall)}\n# Each configuration, relative to seasonal naive\n\n{as_markdown(each)}"
    )
    (asked.out / "gift.md").write_text(text, encoding="utf-8")
    (asked.out / "gift_means.csv").write_text(as_csv(overall), encoding="utf-8")
    whole = [{"model": name, **row} for name, result in results.items() for row in result["rows"]]
    (asked.out / "gift_configs.csv").write_text(as_csv(whole), encoding="utf-8")
    print(f"wrote {asked.out / 'gift.md'}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
