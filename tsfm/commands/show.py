"""`tsfm show` and `tsfm models`: what a config would do, before time is spent on it; which models there are."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
import yaml
from torch import Tensor

from tsfm.config import RunConfig, conf_dir, options, plain, typed
from tsfm.infer.load import bundled, load
from tsfm.model.checkpoint import CONFIG, read_config, weights_dir
from tsfm.model.flops import flops_per_window
from tsfm.model.model import Model
from tsfm.registry import BASELINES
from tsfm.training.components import build_components
from tsfm.training.init_config import compose_with_checkpoint
from tsfm.types import Problem

FLAGS = ("causal", "mixes_channels", "ordered_channels", "fixed_length", "streaming")
BARS = "▁▂▃▄▅▆▇█"


def run(args: argparse.Namespace) -> int:
    """Print the config groups, a model directory, or what a run would do."""
    if args.groups:
        print(list_groups())
    elif len(args.overrides) == 1 and "=" not in args.overrides[0]:
        print(describe_model(args.overrides[0]))
    else:
        print(describe_run(args.overrides, config_dir=args.config_dir))
    return 0


def run_models(_args: argparse.Namespace) -> int:
    """Print the models on this machine."""
    print(list_models())
    return 0


def describe_run(overrides: list[str], *, config_dir: str | None = None) -> str:
    """Return the resolved config of a run, its network, its data, and its first problem, as text.

    Raises
    ------
    ValueError
        If a setting is wrong or the parts of the run do not fit together.
    """
    config: RunConfig = typed(compose_with_checkpoint(overrides, config_dir=config_dir))
    components = build_components(config)
    model, task, data = components.model, components.task, components.data
    components.learner()  # refuses components that do not fit the task
    problem = task.pose(data.first_batch(), torch.Generator().manual_seed(config.seed))
    lines = [
        yaml.safe_dump(plain(components.config), sort_keys=False),
        describe_network(model, channels=data.num_channels),
        *data.describe(),
        "",
        "the first training case" if data.labelled else "the first training problem",
        picture(problem, names=data.channel_names, targets=data.num_targets),
    ]
    return "\n".join(lines)


def describe_model(path: str) -> str:
    """Return the config of a model directory, how it was trained, and its network, as text."""
    predictor = load(path)
    about = {key: value for key, value in vars(predictor.about).items() if value}
    for record in (trained := about.get("trained_on", {}), trained.get("init", {})):
        record.pop("fingerprints", None)  # thousands of lines
    spec = yaml.safe_dump({"model": predictor.model.spec(), "about": about}, sort_keys=False)
    return spec + "\n" + describe_network(predictor.model, channels=predictor.model.config.channels or 1)


def describe_network(model: Model, *, channels: int) -> str:
    """Return the size and cost of a network for windows of `channels` channels, and the properties of its backbone."""
    patches = model.grid.patches
    flags = [name for name in FLAGS if getattr(model.backbone, name)]
    return "\n".join(
        [
            f"parameters  {model.num_parameters():,}",
            f"tokens      {patches} per channel, {patches * channels if patches else '?'} per window",
            f"FLOPs       {flops_per_window(model, channels=channels):,} per window of {channels} channels, forward",
            f"backbone    {model.parts['backbone'].name}: {', '.join(flags) or 'no special property'}",
            *([f"            {notes}"] if (notes := model.backbone.notes()) else []),
        ]
    )


def picture(
    problem: Problem,
    *,
    columns: int = 72,
    channels: int = 3,
    names: Sequence[str] | None = None,
    targets: int | None = None,
) -> str:
    """Return the first window as text: bars where visible, `?` where requested, blank elsewhere.

    Parameters
    ----------
    problem
        Its first window [channels, time] is drawn.
    columns
        Characters of a line, at most; each stands for the mean of some steps.
    channels
        At most so many targets are drawn, and at most so many covariates.
    names
        Of the channels; None: their numbers.
    targets
        The number of target channels, which come first; None: all are targets.
    """
    values, visible, wanted = problem.values[0], problem.visible[0], problem.wanted[0]
    num_targets = len(values) if targets is None else targets
    drawn = [
        c for c in range(len(values)) if c < min(channels, num_targets) or num_targets <= c < num_targets + channels
    ]
    labels = [names[c] if names else f"channel {c}" for c in drawn]
    width = max(map(len, labels))
    lines = [
        f"{label:{width}s}   {draw_channel(values[c], visible[c], wanted[c], columns=columns)}"
        for c, label in zip(drawn, labels, strict=True)
    ]
    num_left = len(values) - len(drawn)
    more = f", {num_left} more channels" if num_left else ""
    counts = f"{int(visible[0].sum())} visible (bars), {int(wanted[0].sum())} wanted (?)"
    return "\n".join([*lines, f"{values.shape[-1]} steps: {counts}{more}"])


def draw_channel(values: Tensor, visible: Tensor, wanted: Tensor, *, columns: int) -> str:
    """Return a line of at most `columns` characters for one channel [time], and the range of its visible values."""
    edges = torch.linspace(0, len(values), min(columns, len(values)) + 1).long().tolist()
    visible_values = values[visible]
    if len(visible_values):
        low, high = visible_values.min(), visible_values.max()
    else:
        low, high = torch.tensor(0.0), torch.tensor(1.0)
    cells = []
    for start, stop in pairwise(edges):
        is_visible = visible[start:stop]
        if wanted[start:stop].any():
            cells.append("?")
        elif is_visible.any():
            mean = values[start:stop][is_visible].mean()
            cells.append(BARS[min(7, int(8 * (mean - low) / (high - low).clamp_min(1e-12)))])
        else:
            cells.append(" ")
    return f"{''.join(cells)}   {low:.3g} .. {high:.3g}"


def list_groups() -> str:
    """Return every config group with its choices, one line each."""
    root = conf_dir()
    names = sorted(p.name for p in root.iterdir() if p.is_dir() and p.name != "hydra")
    lines = [f"{name:12s}{', '.join(options(name)) or '-'}" for name in names]
    return "\n".join([*lines, f"{'predictor':12s}{', '.join(BASELINES.names())}, or a model directory (tsfm eval)"])


def list_models() -> str:
    """Return the bundled models and the models below runs/, one line each."""
    directories = [(name, weights_dir() / name) for name in bundled()]
    directories += [(str(file.parent), file.parent) for file in sorted(Path("runs").glob(f"**/model/{CONFIG}"))]
    lines = []
    for name, directory in directories:
        try:
            spec = read_config(directory)["model"]
            lines.append(f"{name}  {spec['backbone']['name']}, context {spec['context']}, horizon {spec['horizon']}")
        except (ValueError, KeyError, TypeError) as error:  # the other models are listed all the same
            lines.append(f"{name}  cannot be read: {error}")
    return "\n".join(lines) or "no model is bundled with this version, and there is none below runs/; train one first"
