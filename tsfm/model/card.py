"""The card of a checkpoint: what is known about a model beyond its network, and the README.md written from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tsfm.model.model import Model
from tsfm.registry import TASKS
from tsfm.version import __version__

NOT_LISTED = ("fingerprints", "sketch", "data", "init", "corpus")  # of `trained_on`, in the table of the card


@dataclass
class About:
    """What a checkpoint stores about a model beyond its network.

    Parameters
    ----------
    task
        Settings of the training task, with its name.
    trained_on
        Data set, split, number of windows, fingerprints of the series and more.
    standardize
        Location and scale of each channel by which the training data were standardised.
    labels
        `{"classes": names}`, or `{"loc": ..., "scale": ...}` of numbers.
    metrics
        Results by name.
    command
        The command of the training run.
    """

    task: dict[str, Any] = field(default_factory=dict)
    trained_on: dict[str, Any] = field(default_factory=dict)
    standardize: dict[str, tuple[float, float]] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    command: str = ""


def model_card(model: Model, about: About, *, name: str | None = None) -> str:
    """Return the README.md of a checkpoint, in Markdown.

    Parameters
    ----------
    model, about
        The contents of the checkpoint.
    name
        Name of a bundled model; None for a model that is loaded from a folder.
    """
    config, backbone = model.config, model.parts["backbone"].name
    shape = f"context {config.context}, horizon {config.horizon}, patches of {config.patch} every {config.stride} steps"
    task = about.task.get("name", "time series")
    quantile_levels = ", ".join(f"{level:g}" for level in model.quantile_levels)
    lines = [
        f"# {name or backbone} for {task}" if task != "pretrain" else f"# {name or backbone}, pre-trained",
        "",
        f"A tsfm {__version__} checkpoint with {model.num_parameters():,} parameters. Load it with",
        "",
        "```python",
        "import tsfm",
        "",
        f'model = tsfm.load("{name or "this/folder"}")',
        *_usage(about.task.get("name", "forecast"), horizon=config.horizon),
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| shape | {shape} |",
        f"| parts | {', '.join(f'{kind} `{component.name}`' for kind, component in model.parts.items())} |",
        *([f"| quantile levels | {quantile_levels} |"] if quantile_levels else []),
        *_training_rows(about.trained_on),
        *(f"| {metric.replace('_', ' ')} | {value:.4f} |" for metric, value in about.metrics.items()),
    ]
    if about.command:
        lines += ["", f"Made by `{about.command}`."]
    if datasets := about.trained_on.get("corpus"):
        lines += ["", *_corpus(datasets)]
    return "\n".join(lines) + "\n"


def _usage(task: str, *, horizon: int) -> list[str]:
    """Return the calls that the training task prepares a model for; none where the task is not installed."""
    if task not in TASKS.names():
        return []
    return [line.format(horizon=horizon) for line in TASKS.entry(task).component.usage]


def _training_rows(trained_on: dict[str, Any]) -> Iterator[str]:
    for key, value in trained_on.items():
        if key not in NOT_LISTED:
            yield f"| {key.replace('_', ' ')} | {value} |"
    if init := trained_on.get("init"):
        yield f"| initial weights | {init['from']}: {init['method']} |"


def _corpus(datasets: list[dict[str, Any]]) -> list[str]:
    """Return the sections about the data sets of a pre-trained model, its limits and its licence."""
    lines = [
        "## Corpus",
        "",
        "Synthetic series, and the training parts of the data sets below; the end of every series (a tenth, or a",
        "horizon) was held out. Licences are those that the source repositories state.",
        "",
        "| data set | series | values | domain | licence |",
        "|---|---|---|---|---|",
    ]
    for dataset in datasets:
        lines.append(
            f"| {dataset['name']} | {dataset['series']:,} | {dataset['values']:,} | {dataset.get('domain') or '-'} | "
            f"{dataset.get('licence') or 'none stated'} |"
        )
    return [
        *lines,
        "",
        "## Limits",
        "",
        "- Channels are forecast one by one: backbones without channel mixing ignore other channels and covariates,",
        "  except when gaps are filled.",
        "- The model has no calendar. Seasons are found in the visible values, so a yearly season needs two years of",
        "  context.",
        "- Intervals are not calibrated on your data. The training data are few and mostly small public data sets:",
        "  compare with a seasonal naive forecast first (`tsfm forecast FILE --holdout`).",
        "",
        "## Licence",
        "",
        "Weights: Apache-2.0, like the code. The data sets keep the licences of their publishers; none of their values",
        "is part of this checkpoint.",
    ]
