"""What a reader of a checkpoint wants to know beyond its network, and the README.md that is written from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tsfm.model.model import Model
from tsfm.version import __version__

USES = {  # what a model is asked that was not trained to forecast, by its task
    "impute": "model.impute_df(df)",
    "detect": "model.detect_df(df, level=0.99)",
    "classify": "model.classify_df(df)",
    "regress": "model.classify_df(df)",
}
HIDDEN = ("fingerprints", "sketch", "data", "init", "corpus")  # of what a model was trained on: no rows of the table


@dataclass
class About:
    """What a reader of a checkpoint wants to know beyond its network."""

    task: dict[str, Any] = field(default_factory=dict)
    trained_on: dict[str, Any] = field(default_factory=dict)  # dataset, split, windows, fingerprints
    standardize: dict[str, tuple[float, float]] = field(default_factory=dict)  # channel -> loc, scale of the data
    labels: dict[str, Any] = field(default_factory=dict)  # {"classes": names} or {"loc":, "scale":} of the numbers
    metrics: dict[str, float] = field(default_factory=dict)
    command: str = ""


def model_card(model: Model, about: About, *, name: str | None = None) -> str:
    """The README.md of a checkpoint, from the same facts as config.json. `name`: of a bundled model."""
    config, backbone = model.config, model.parts["backbone"].name
    shape = f"context {config.context}, horizon {config.horizon}, patches of {config.patch} every {config.stride} steps"
    task = about.task.get("name", "time series")
    lines = [
        f"# {name or backbone} for {task}" if task != "pretrain" else f"# {name or backbone}, pre-trained",
        "",
        f"A tsfm {__version__} checkpoint with {model.num_parameters():,} parameters. Load it with",
        "",
        "```python",
        "import tsfm",
        "",
        f'model = tsfm.load("{name or "this/folder"}")',
        *_uses(task, horizon=config.horizon),
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| shape | {shape} |",
        f"| parts | {', '.join(f'{kind} `{part.name}`' for kind, part in model.parts.items())} |",
        *(
            [f"| quantile levels | {', '.join(f'{level:g}' for level in model.quantile_levels)} |"]
            if model.quantile_levels
            else []
        ),
        *_trained(about.trained_on),
        *(f"| {key.replace('_', ' ')} | {value:.4f} |" for key, value in about.metrics.items()),
    ]
    if about.command:
        lines += ["", f"Made by `{about.command}`."]
    if sets := about.trained_on.get("corpus"):
        lines += ["", *_corpus(sets)]
    return "\n".join(lines) + "\n"


def _uses(task: str, *, horizon: int) -> list[str]:
    if task == "pretrain":
        return [
            "model.predict_df(df, prediction_length=24)",
            "model.impute_df(df)",
            "model.detect_df(df, level=0.99)",
            "model.embed_df(df)",
        ]
    return [USES.get(task, f"model.predict_df(df, prediction_length={horizon})")]


def _trained(trained: dict[str, Any]) -> Iterator[str]:
    for key, value in trained.items():
        if key not in HIDDEN:
            yield f"| {key.replace('_', ' ')} | {value} |"
    if init := trained.get("init"):
        yield f"| begun from | {init['from']}: {init['method']} |"


def _corpus(sets: list[dict[str, Any]]) -> list[str]:
    """The real sets of a pre-trained model, and what follows for those who use it."""
    lines = [
        "## Corpus",
        "",
        "Made-up series, and the train parts of these sets; the end of every series (a tenth of it, or a horizon) was",
        "held out. Licences are what the source repositories state for themselves.",
        "",
        "| set | series | values | domain | licence |",
        "|---|---|---|---|---|",
    ]
    for one in sets:
        lines.append(
            f"| {one['name']} | {one['series']:,} | {one['values']:,} | {one.get('domain') or '-'} | "
            f"{one.get('licence') or 'none stated'} |"
        )
    return [
        *lines,
        "",
        "## Limits",
        "",
        "One series at a time: other channels and covariates are not looked at by backbones that keep channels apart,",
        "except to fill gaps, where channels that show a step help those that miss it.",
        "No calendar: seasons are found in what is visible, so a yearly season needs two years in the context.",
        "Intervals were not calibrated on your data. Trained on few and mostly small public sets: check it beside a",
        "seasonal naive forecast (`tsfm forecast FILE --holdout`).",
        "",
        "## Licence",
        "",
        "Weights: Apache-2.0, as the code. The sets keep the licences of their publishers; none of their values is",
        "shipped.",
    ]
