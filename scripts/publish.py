r"""Turn a finished pre-training run into a bundled model: half-precision weights, training data, scores and a card.

    python scripts/publish.py runs/pretrain/small/2026-... tsfm-small --experiment pretrain/small --scores small.json

    python scripts/publish.py runs/.../small_long tsfm-small --experiment pretrain/small_long \
        --init-experiment pretrain/small

For a run that started from another one (init.from), --init-experiment names the experiment of that one.
A scores file holds {"name of a score": number, ...}; they become part of the card and of config.json. The directory is
written to tsfm/weights/NAME, or below --into. The sketch of the corpus, by which copies of its values are recognised
(tsfm.contamination.sketch), is stored once for all bundled models; if it is missing it is made, in some minutes.
TSFM_DATA must hold the corpus that the run was trained on; another one is refused.
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
    """Return the corpus of a run; a corpus with other values than those of the training is refused."""
    known = {item.name for item in fields(CorpusConfig)}
    settings = {key: value for key, value in (trained_on.get("data") or {}).items() if key in known}
    if trained_on.get("dataset") is None or "batch_values" not in settings:
        raise ValueError("this run was not pre-trained on a corpus (task=pretrain data=corpus); publish one that was")
    settings |= {
        "generators": GeneratorMixtureConfig(**settings["generators"]),
        "augment": AugmentConfig(**settings["augment"]),
    }
    corpus = CorpusData(CorpusConfig(**settings))
    if corpus.fingerprints != trained_on["fingerprints"]:
        raise ValueError("the corpus on this machine is not the one of this run; set TSFM_DATA to that data root")
    return corpus


def sketch_for(corpus: CorpusData, file: Path) -> Sketch:
    """Return the sketch of the corpus, from its file if there is one."""
    if not file.is_file():
        corpus.sketch.save(file)
    sketch, count = Sketch.load(file), sum(len(store) for store in corpus.stores)
    if (sketch.names, sketch.num_series) != (sorted(set(corpus.names)), count):
        raise ValueError(
            f"{file} is a sketch of {sketch.num_series} series of {len(sketch.names)} sets, and the corpus of this "
            "run has "
            f"{count} of {len(set(corpus.names))}; remove it, and publish all models next to it again"
        )
    return sketch


def initialization_record(
    init: dict[str, Any], experiment: str | None, corpus: CorpusData, sketch: Sketch
) -> dict[str, Any]:
    """Return what a model records about the run that it started from; the sketch must cover the corpus of that run."""
    if experiment is None:
        raise ValueError(
            f"this run started from {init.get('from')}; name the experiment of that one by --init-experiment"
        )
    if not set(init.get("fingerprints", ())) <= set(corpus.fingerprints):
        raise ValueError(
            "the run that this one started from was trained on series that are not in its corpus; publish neither"
        )
    return {"from": experiment, "method": init["method"], "sketch": sketch.fingerprint}


def main(argv: list[str] | None = None) -> None:
    """Publish the run of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("run", help="run directory, or the model directory in it")
    parser.add_argument("name", help="of the bundled model, such as tsfm-small")
    parser.add_argument("--experiment", required=True, help="the experiment file that made it, such as pretrain/small")
    parser.add_argument("--init-experiment", help="the experiment file of the run that it started from, if any")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="JSON files of scores by name")
    parser.add_argument("--into", type=Path, default=weights_dir())
    args = parser.parse_args(argv)
    model, about = load(find(args.run))
    corpus = corpus_of(about.trained_on)
    sketch = sketch_for(corpus, args.into / SKETCH_FILE)
    metrics = dict(about.metrics)
    for file in args.scores:
        metrics |= {key: float(value) for key, value in json.loads(file.read_text(encoding="utf-8")).items()}
    trained_on = {key: value for key, value in about.trained_on.items() if key not in ("fingerprints", "split")}
    trained_on |= {"sketch": sketch.fingerprint, "corpus": corpus.sets}
    if init := trained_on.get("init"):
        trained_on["init"] = initialization_record(init, args.init_experiment, corpus, sketch)
    init_from = f" init.from=<run of {args.init_experiment}>" if args.init_experiment else ""
    command = f"tsfm train experiment={args.experiment}{init_from}"
    about = replace(about, trained_on=trained_on, metrics=metrics, command=command)
    out = save(model, args.into / args.name, about=about, half=True)
    (out / CARD).write_text(model_card(model, about, name=args.name), encoding="utf-8")
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"{out}: {model.num_parameters():,} parameters, {size / 2**20:.2f} MiB")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
