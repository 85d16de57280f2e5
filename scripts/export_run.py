"""Save the newest weights of a run that is not finished as a model directory that `tsfm.load` reads.

    python scripts/export_run.py runs/long/run runs/long/weights

The run may go on meanwhile. The weights are those of its last checkpoint, averaged where the run averages them.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml

from tsfm.model.checkpoint import About, save
from tsfm.model.model import Model
from tsfm.training.run_record import DATA, read_config


def export_run(run_dir: Path, target: Path, *, origin: dict[str, Any] | None = None) -> int | None:
    """Save the model of the last checkpoint of a run in `target`, and return its step; None without a checkpoint.

    Parameters
    ----------
    origin
        What the record of the training says about the checkpoint that the run started from.
    """
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    if not checkpoint.is_file():
        return None
    with tempfile.TemporaryDirectory(dir=checkpoint.parent) as folder:
        copy = shutil.copyfile(checkpoint, Path(folder) / checkpoint.name)  # the run replaces the file while it trains
        content = torch.load(copy, map_location="cpu", weights_only=True)
    config = yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8"))
    model = Model.from_spec(config["model"] | {name: config[name] for name in ("scaler", "backbone", "head")})
    model.load_state_dict({name.removeprefix("model."): value for name, value in content["state_dict"].items()})
    step = int(content["global_step"])
    command = f"{(run_dir / 'command.txt').read_text(encoding='utf-8').strip()}  # step {step}"
    trained_on = {"dataset": config["data"]["dataset"], "seed": config["seed"], "data": config["data"], "steps": step}
    trained_on |= read_config(run_dir / DATA)  # the fingerprint of the data
    trained_on |= {"init": origin} if origin else {}
    save(model, target, about=About(task=config["task"], trained_on=trained_on, command=command))
    return step


def main(argv: list[str] | None = None) -> None:
    """Export the run of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("target", type=Path, help="model directory to write")
    args = parser.parse_args(argv)
    if (step := export_run(args.run, args.target)) is None:
        raise SystemExit(f"error: {args.run} has no checkpoint yet; wait for trainer.checkpoint_every steps")
    print(f"{args.target}: step {step:,}")


if __name__ == "__main__":
    main()
