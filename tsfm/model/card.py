"""The card of a checkpoint: what is known about a model beyond its network, and the README.md written from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tsfm.model.front_matter import front_matter
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
        *front_matter(about, licence="apache-2.0" if name else "unknown"),
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
        lines += ["", *_corpus(datasets), "", *_limits(model), "", *_licence(datasets, model.num_parameters())]
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
    """Return the section about the data sets of a pre-trained model."""
    lines = [
        "## Corpus",
        "",
        "Synthetic series, and the training parts of the data sets below; the end of every series (a tenth, or a",
        "horizon) was held out. Licences are those that the source repositories state, and before them, where it is",
        "known, that of the original data; they were not confirmed by the publishers.",
        "",
        "| data set | series | values | domain | licence |",
        "|---|---|---|---|---|",
    ]
    for dataset in datasets:
        statements = [text for text in (dataset.get("original"), dataset.get("licence")) if text]
        lines.append(
            f"| {dataset['name']} | {dataset['series']:,} | {dataset['values']:,} | {dataset.get('domain') or '-'} | "
            f"{'; '.join(statements) or 'none stated'} |"
        )
    return lines


def _limits(model: Model) -> list[str]:
    calendar = [
        "- The model has no calendar. Seasons are found in the visible values, so a yearly season needs two years of",
        "  context.",
    ]
    if model.config.known_season:
        calendar = [
            "- The model has no calendar. The season of the frequency is used from one cycle on; others are found",
            "  in the visible values, so they need two cycles of context.",
        ]
    return [
        "## Limits",
        "",
        "- Channels are forecast one by one: backbones without channel mixing ignore other channels and covariates,",
        "  except when gaps are filled.",
        *calendar,
        "- Intervals are not calibrated on your data. The training data are few and mostly small public data sets:",
        "  compare with a seasonal naive forecast first (`tsfm forecast FILE --holdout`).",
    ]


def _licence(datasets: list[dict[str, Any]], num_parameters: int) -> list[str]:
    """Return the section about the licence of the weights, and what it means for their data."""
    groups = Counter(dataset.get("group", "not classified") for dataset in datasets)
    values = sum(dataset["values"] for dataset in datasets)
    lines = [
        "## Licence",
        "",
        "Weights: Apache-2.0, like the code. The data sets keep the licences of their publishers.",
    ]
    if set(groups) == {"permissive"}:
        return [
            *lines,
            "All of them are permissive by this rule: the licence of the original data counts where it is known, else",
            "that of the source repository, and it allows any use, at most with attribution (MIT, BSD, Apache-2.0,",
            "CC0, CC BY, ODC-PDDL, public domain, OGL, dl-de, other open licences of governments). The table of the",
            "corpus gives the attribution. The rule was applied to what the sources state.",
        ]
    return [
        *lines,
        f"By what the sources state, the {len(datasets)} sets are:",
        "",
        *(f"- {count} {group}" for group, count in groups.most_common()),
        "",
        "Why the weights can have a licence of their own: they are no copy of the data. No value of a data set is",
        f"stored in this checkpoint; it holds {num_parameters:,} parameters, fitted to random windows of {values:,}",
        "values and of synthetic series. Licences of data such as GPL or CC BY-SA concern copies and adaptations",
        "of the data. This is the reasoning of the authors, not legal advice, and the law differs between countries.",
        "",
        "If that is not enough for your use, use a model of permissive sets and synthetic series alone",
        "(`tsfm train experiment=pretrain/mini_permissive`), or of synthetic series alone (`data.real_rate=0`).",
    ]
