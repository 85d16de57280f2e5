"""Turn a finished pre-training run into a bundled model: half-precision weights, what it has seen, its scores, a card.

    python scripts/publish.py runs/pretrain/small/2026-... tsfm-small --experiment pretrain/small --scores small.json

    python scripts/publish.py runs/.../small_long tsfm-small --experiment pretrain/small_long --begun pretrain/small

A run that went on from another one (init.from) is told by --begun which experiment that was.
A scores file holds {"name of a score": number, ...}; they stand in the card and in config.json. The directory is
written to tsfm/weights/NAME, or below --into. The sketch of the corpus, by which copies of its values are recognised
(tsfm.contamination.sketch), lies once beside all bundled models; it is made where it is missing, in some minutes.
TSFM_DATA names the corpus the run was trained on: another one is refused.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tsfm.contamination.sketch import SKETCH_FILE, Sketch
from tsfm.data.corpus import CorpusConfig, CorpusData
from tsfm.model.card import model_card
from tsfm.model.checkpoint import CARD, find, load, save, weights_dir
from tsfm.synthetic.augment import AugmentConfig
from tsfm.synthetic.mixture import GeneratorMixtureConfig


def corpus_of(trained_on: dict[str, Any]) -> CorpusData:
    """The corpus that a run names; its values must be those that it saw."""
    kept = {item.name for item in fields(CorpusConfig)}
    said = {key: value for key, value in (trained_on.get("data") or {}).items() if key in kept}
    if trained_on.get("dataset") is None or "points" not in said:
        raise ValueError("this run was not pre-trained on a corpus (task=pretrain data=corpus); publish one that was")
    said |= {"universe": GeneratorMixtureConfig(**said["universe"]), "augment": AugmentConfig(**said["augment"])}
    corpus = CorpusData(CorpusConfig(**said))
    if corpus.fingerprints != trained_on["fingerprints"]:
        raise ValueError("the corpus at hand is not the one of this run; set TSFM_DATA to that data root")
    return corpus


def sketch_for(corpus: CorpusData, file: Path) -> Sketch:
    """The sketch of the corpus, from its file where that is there."""
    if not file.is_file():
        corpus.sketch.save(file)
    sketch, count = Sketch.load(file), sum(len(store) for store in corpus.stores)
    if (sketch.names, sketch.num_series) != (sorted(set(corpus.names)), count):
        raise ValueError(
            f"{file} is a sketch of {sketch.num_series} series of {len(sketch.names)} sets, and the corpus of this "
            "run has "
            f"{count} of {len(set(corpus.names))}; remove it, and publish all models beside it again"
        )
    return sketch


def first_leg(init: dict[str, Any], begun: str | None, corpus: CorpusData, sketch: Sketch) -> dict[str, Any]:
    """What the bundled model says of the run it went on from: the experiment, and that the sketch covers its corpus."""
    if begun is None:
        raise ValueError(f"this run went on from {init.get('from')}; name the experiment of that one by --begun")
    if not set(init.get("fingerprints", ())) <= set(corpus.fingerprints):
        raise ValueError("the run that this one went on from saw series that are not in its corpus; publish neither")
    return {"from": begun, "method": init["method"], "sketch": sketch.fingerprint}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("run", help="run directory, or the model directory in it")
    parser.add_argument("name", help="of the bundled model, such as tsfm-small")
    parser.add_argument("--experiment", required=True, help="the experiment file that made it, such as pretrain/small")
    parser.add_argument("--begun", help="the experiment file of the run that it went on from, if it did")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="JSON files of scores by name")
    parser.add_argument("--into", type=Path, default=weights_dir())
    asked = parser.parse_args(argv)
    model, about = load(find(asked.run))
    corpus = corpus_of(about.trained_on)
    sketch = sketch_for(corpus, asked.into / SKETCH_FILE)
    metrics = dict(about.metrics)
    for file in asked.scores:
        metrics |= {key: float(value) for key, value in json.loads(file.read_text(encoding="utf-8")).items()}
    trained_on = {key: value for key, value in about.trained_on.items() if key not in ("fingerprints", "split")}
    trained_on |= {"sketch": sketch.fingerprint, "corpus": corpus.sets}
    if init := trained_on.get("init"):
        trained_on["init"] = first_leg(init, asked.begun, corpus, sketch)
    goes_on = f" init.from=<run of {asked.begun}>" if asked.begun else ""
    command = f"tsfm train experiment={asked.experiment}{goes_on}"
    about = replace(about, trained_on=trained_on, metrics=metrics, command=command)
    out = save(model, asked.into / asked.name, about=about, half=True)
    (out / CARD).write_text(model_card(model, about, name=asked.name), encoding="utf-8")
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"{out}: {model.num_parameters():,} parameters, {size / 2**20:.2f} MiB")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
