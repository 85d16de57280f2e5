"""The metadata at the start of a card, in YAML, as model hubs read them (huggingface.co/docs/hub/model-cards)."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

TAGS = {
    "forecast": ["forecasting"],
    "impute": ["imputation"],
    "detect": ["anomaly-detection"],
    "classify": ["classification"],
    "regress": ["regression"],
    "pretrain": ["forecasting", "imputation", "anomaly-detection", "foundation-model"],
}
FORECASTS = ("forecast", "pretrain")
METRICS = ("mase", "crps", "wql", "smape", "mse", "mae", "rmse", "accuracy", "f1", "vus-pr", "loss")
MARK = "---"


def front_matter(about: Any, *, licence: str) -> list[str]:
    """Return the lines of the metadata of a model, with the marks before and after them.

    Parameters
    ----------
    about
        The training record, an `About`.
    licence
        Of the weights, by its name on model hubs, such as `apache-2.0`; `unknown` where it is not decided.
    """
    import yaml

    task = str(about.task.get("name") or "")
    content: dict[str, Any] = {"license": licence, "library_name": "tsfm"}
    if task in FORECASTS:
        content["pipeline_tag"] = "time-series-forecasting"
    content["tags"] = ["time-series", *TAGS.get(task, [])]
    if datasets := _datasets(about.trained_on):
        content["datasets"] = datasets
    if metrics := _metrics(about.metrics):
        content["metrics"] = metrics
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return [MARK, *text.splitlines(), MARK, ""]


def replace_front_matter(card: str, lines: list[str]) -> str:
    """Return a card with other metadata; a card without any gets them."""
    body = re.sub(rf"\A{MARK}\n.*?\n{MARK}\n+", "", card, flags=re.DOTALL)
    return "\n".join([*lines, body])


def _datasets(trained_on: dict[str, Any]) -> list[str]:
    """Return the names of the data sets, without the folders of those that are files."""
    corpus = [str(dataset.get("name")) for dataset in trained_on.get("corpus") or ()]
    dataset = trained_on.get("dataset")
    return corpus or ([PurePath(str(dataset)).name] if dataset else [])


def _metrics(metrics: dict[str, float]) -> list[str]:
    """Return the metrics among the results, each once, by its usual name."""
    names = []
    for key in metrics:
        known = [name for name in METRICS if re.search(rf"(?<![a-z]){name}(?![a-z])", key.lower())]
        names += known or [re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_")]
    return sorted(set(names))
