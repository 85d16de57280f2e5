"""What a config would do, in text, before a minute is spent on it: `tsfm show` and `tsfm models`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
import yaml

from tsfm.config import RunConfig, conf_dir, options, plain, typed
from tsfm.infer.load import bundled, load
from tsfm.model.checkpoint import CONFIG, read_config, weights_dir
from tsfm.model.model import Model, flops_per_window
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
    """The resolved config of a run, its model, its data, and its first problem."""
    config: RunConfig = typed(compose_with_checkpoint(overrides, config_dir=config_dir))
    parts = build_components(config)
    model, task, data = parts.model, parts.task, parts.data
    parts.learner()  # refuses what the task can't judge
    problem = task.pose(data.first_batch(), torch.Generator().manual_seed(config.seed))
    lines = [
        yaml.safe_dump(plain(parts.config), sort_keys=False),
        describe_network(model, channels=data.num_channels),
        *data.describe(),
        "",
        "the first training case" if data.labelled else "the first training problem",
        picture(problem, names=data.channel_names, targets=data.num_targets),
    ]
    return "\n".join(lines)


def describe_model(path: str) -> str:
    """A checkpoint directory: its config, size and where it comes from."""
    predictor = load(path)
    about = {key: value for key, value in vars(predictor.about).items() if value}
    for facts in (trained := about.get("trained_on", {}), trained.get("init", {})):
        facts.pop("fingerprints", None)
    spec = yaml.safe_dump({"model": predictor.model.spec(), "about": about}, sort_keys=False)
    return spec + "\n" + describe_network(predictor.model, channels=predictor.model.config.channels or 1)


def describe_network(model: Model, *, channels: int) -> str:
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
    """The first window as text: bars where visible, `?` where wanted, blank where nobody observed or nothing is told.

    At most `channels` of the targets and as many of the covariates, which come after them."""
    values, visible, wanted = problem.values[0], problem.visible[0], problem.wanted[0]
    steps, first = values.shape[-1], len(values) if targets is None else targets
    edges = torch.linspace(0, steps, min(columns, steps) + 1).long().tolist()
    drawn = [c for c in range(len(values)) if c < min(channels, first) or first <= c < first + channels]
    labels = [names[c] if names else f"channel {c}" for c in drawn]
    width, lines = max(map(len, labels)), []
    for c, label in zip(drawn, labels, strict=True):
        shown = values[c][visible[c]]
        low, high = (shown.min(), shown.max()) if len(shown) else (torch.tensor(0.0), torch.tensor(1.0))
        cells = []
        for begin, stop in pairwise(edges):
            if wanted[c, begin:stop].any():
                cells.append("?")
            elif visible[c, begin:stop].any():
                mean = values[c, begin:stop][visible[c, begin:stop]].mean()
                cells.append(BARS[min(7, int(8 * (mean - low) / (high - low).clamp_min(1e-12)))])
            else:
                cells.append(" ")
        lines.append(f"{label:{width}s}   {''.join(cells)}   {low:.3g} .. {high:.3g}")
    asked, seen = int(wanted[0].sum()), int(visible[0].sum())
    left = f", {len(values) - len(drawn)} more channels" if len(values) > len(drawn) else ""
    return "\n".join([*lines, f"{steps} steps: {seen} visible (bars), {asked} wanted (?){left}"])


def list_groups() -> str:
    """Every config group with its choices."""
    root = conf_dir()
    names = sorted(p.name for p in root.iterdir() if p.is_dir() and p.name != "hydra")
    lines = [f"{name:12s}{', '.join(options(name)) or '-'}" for name in names]
    return "\n".join([*lines, f"{'predictor':12s}{', '.join(BASELINES.names())}, or a model directory (tsfm eval)"])


def list_models() -> str:
    """Bundled models and the checkpoints below runs/, one line each."""
    places = [(name, weights_dir() / name) for name in bundled()]
    places += [(str(file.parent), file.parent) for file in sorted(Path("runs").glob(f"**/model/{CONFIG}"))]
    lines = []
    for name, place in places:
        try:
            spec = read_config(place)["model"]
            lines.append(f"{name}  {spec['backbone']['name']}, context {spec['context']}, horizon {spec['horizon']}")
        except (ValueError, KeyError, TypeError) as error:  # the others are still worth listing
            lines.append(f"{name}  can't be read: {error}")
    return "\n".join(lines) or "no model is bundled with this version, and there is none below runs/; train one first"
