"""Turn a finished run into a bundled model: half-precision weights, what it was trained on, its scores, a card.

    python scripts/publish.py runs/.../ tsfm-small --experiment pretrain/small --scores runs/scores/small.json

The scores file holds {"name of a score": number, ...}; they stand in the card and in config.json. The directory is
written to tsfm/weights/NAME, or below --into.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from tsfm.model.checkpoint import find, load, save, weights_dir


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("run", help="run directory, or the model directory in it")
    parser.add_argument("name", help="of the bundled model, such as tsfm-small")
    parser.add_argument("--experiment", required=True, help="the experiment file that made it, such as pretrain/small")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="JSON files of scores by name")
    parser.add_argument("--into", type=Path, default=weights_dir())
    asked = parser.parse_args(argv)
    place = find(asked.run)
    model, about = load(place)
    metrics = dict(about.metrics)
    for file in asked.scores:
        metrics |= {key: float(value) for key, value in json.loads(file.read_text(encoding="utf-8")).items()}
    command = f"tsfm train experiment={asked.experiment}"
    out = save(model, asked.into / asked.name, about=replace(about, metrics=metrics, command=command), half=True)
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"{out}: {model.num_parameters():,} parameters, {size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
