r"""Turn a pre-training run, or an exported model of one, into a bundled model: weights, training data, scores, a card.

    python scripts/publish.py runs/long/weights --name tsfm-small-next

does everything, and writes nothing before all checks have passed:

1. The corpus of the run is read from TSFM_DATA; another corpus than that of the training is refused.
2. Its sketch, by which copies of its values are recognised, is put together from the parts that the bundled models
   share (tsfm/weights/trained_on-FINGERPRINT.npz) and new ones of the data sets that no part covers yet (a minute).
   A part is used only if its data sets are in the corpus and have the same values today.
3. The weights are stored in bfloat16 (--dtype), and this model is scored next to --compare (default tsfm-small) by
   `tsfm bench suite NEW OLD --role corpus`. It must be at least 1 % better, in the mean of the gains in MASE and WQL
   (geometric means over the sets); --min-gain -100 or --no-suite publish it all the same. --suite FOLDER reads a suite
   that has been run already.
4. The new part, then the model directory tsfm/weights/NAME (or below --into) is written, each completely or not at all.

A run that started from another one (init.from) records its name. Where those weights are neither a bundled model nor a
model directory that still exists, --init-experiment names their experiment. --experiment replaces the experiment that
the command of the run names. A file of --scores holds {"name of a score": number, ...} for the card.

    python scripts/publish.py --cards

writes the cards of all bundled models again, with the licences of today's manifest.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from publishing.comparison import Comparison, read_comparison
from publishing.origins import card_command, experiment_of, origin_record
from publishing.sketches import corpus_parts, unused_parts

from tsfm.commands.cli import main as run_tsfm
from tsfm.contamination.sketch_files import part_fingerprints, shared_sketch_file
from tsfm.data.corpus import CorpusConfig, CorpusData
from tsfm.files import write_text
from tsfm.model.card import About, model_card
from tsfm.model.checkpoint import CARD, CONFIG, DTYPES, find, load, read_config, save, weights_dir
from tsfm.model.model import Model
from tsfm.synthetic.augment import AugmentConfig
from tsfm.synthetic.mixture import GeneratorMixtureConfig


def corpus_of(trained_on: dict[str, Any]) -> CorpusData:
    """Return the corpus of a run; a corpus with other values than those of the training is refused.

    An export of a run that is not finished does not record its series: then the corpus is what its settings give today.
    """
    known = {item.name for item in fields(CorpusConfig)}
    settings = {key: value for key, value in (trained_on.get("data") or {}).items() if key in known}
    if trained_on.get("dataset") is None or "batch_values" not in settings:
        raise ValueError("this run was not pre-trained on a corpus (task=pretrain data=corpus); publish one that was")
    settings |= {
        "generators": GeneratorMixtureConfig(**settings["generators"]),
        "augment": AugmentConfig(**settings["augment"]),
    }
    corpus = CorpusData(CorpusConfig(**settings))
    expected = trained_on.get("fingerprints")
    if expected is not None and corpus.fingerprints != expected:
        raise ValueError("the corpus on this machine is not the one of this run; set TSFM_DATA to that data root")
    if expected is None:
        print(
            f"the export does not record its series; the {len(corpus.names)} sets that its settings give here "
            f"({', '.join(corpus.names[:3])}, ...) must be those of the run: give TSFM_DATA as it was then"
        )
    return corpus


def compare(model: Model, about: About, args: argparse.Namespace) -> Comparison | None:
    """Return the comparison with the earlier model, of the weights as they will be stored; None without a suite.

    Raises
    ------
    ValueError
        If the gain is less than required.
    """
    if args.no_suite:
        return None
    folder = args.suite
    if folder is None:
        folder = Path("runs/publish") / args.name
        with tempfile.TemporaryDirectory() as drafts:
            draft = save(model, Path(drafts) / args.name, about=about, dtype=args.dtype)
            arguments = ["bench", "suite", str(draft), args.compare, "--role", "corpus", "--out", str(folder)]
            if status := run_tsfm([*arguments, *(["--sets", *args.sets] if args.sets else [])]):
                raise ValueError(f"tsfm {' '.join(arguments)} ended with status {status}; nothing was published")
    comparison = read_comparison(folder / "suite.csv")
    print(f"{args.name}: {comparison}")
    if comparison.gain < args.min_gain:
        raise ValueError(
            f"{args.name} is {comparison}; at least {args.min_gain:g} % is required: train longer, or publish it all "
            f"the same by --min-gain {math.floor(comparison.gain)} --suite {folder}"
        )
    return comparison


def publish(args: argparse.Namespace) -> Path:
    """Publish the run of the command line, and return the directory of the model."""
    model, about = load(find(args.run))
    experiment = args.experiment or experiment_of(about.command)
    if experiment is None:
        raise ValueError(f"{args.run} does not say which experiment made it; name it by --experiment")
    corpus = corpus_of(about.trained_on)
    rows = corpus.sets
    permissive = {name for name, row in zip(corpus.names, rows, strict=True) if row["group"] == "permissive"}
    stores = dict(zip(corpus.names, corpus.stores, strict=True))
    existing, new = corpus_parts(stores, args.into, permissive=permissive)
    parts = [sketch_part.fingerprint for sketch_part in (*existing, *new)]
    trained_on = {key: value for key, value in about.trained_on.items() if key not in ("fingerprints", "split")}
    trained_on |= {"sketch": parts, "corpus": rows}
    if init := trained_on.get("init"):
        trained_on["init"] = origin_record(
            init,
            experiment=args.init_experiment,
            fingerprints=corpus.fingerprints,
            names=corpus.names,
            parts=parts,
            folder=args.into,
        )
    comparison = compare(model, about, args)
    metrics = dict(about.metrics)
    if comparison is not None:
        metrics |= {
            f"validation suite {metric.upper()}, relative to seasonal naive": value
            for metric, value in comparison.relative.items()
        }
    for file in args.scores:
        metrics |= {key: float(value) for key, value in json.loads(file.read_text(encoding="utf-8")).items()}
    command = card_command(about.command, experiment=experiment, init=trained_on.get("init"), folder=args.into)
    about = replace(about, trained_on=trained_on, metrics=metrics, command=command)
    for sketch_part in new:
        sketch_part.save(args.into / shared_sketch_file(sketch_part.fingerprint))
    card = model_card(model, about, name=args.name)
    return save(model, args.into / args.name, about=about, dtype=args.dtype, card=card)


def write_cards(folder: Path) -> None:
    """Write the cards of all models of a folder again, and add to their data sets what the manifest states today."""
    for file in sorted(folder.glob(f"*/{CONFIG}")):
        content = json.loads(file.read_text(encoding="utf-8"))
        rows = content["about"]["trained_on"]["corpus"]
        listed = {row["name"]: row for row in CorpusData(CorpusConfig(sets=[row["name"] for row in rows])).sets}
        for row in rows:
            row |= {key: listed[row["name"]][key] for key in ("original", "group")}
        write_text(file, json.dumps(content, indent=2) + "\n")
        write_text(file.parent / CARD, model_card(*load(file.parent), name=file.parent.name))
        print(file.parent / CARD)


def main(argv: list[str] | None = None) -> None:
    """Publish the run of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("run", nargs="?", help="run directory, or a model directory of it or exported from it")
    parser.add_argument("--name", help="of the bundled model, such as tsfm-small-next")
    parser.add_argument("--experiment", help="that made it, such as pretrain/small (default: that of its command)")
    parser.add_argument("--init-experiment", help="of the run that it started from, where its weights are gone")
    parser.add_argument("--compare", default="tsfm-small", help="the earlier model (default: tsfm-small)")
    parser.add_argument("--min-gain", type=float, default=1.0, metavar="PERCENT", help="required gain (default: 1)")
    parser.add_argument("--suite", type=Path, help="folder of `tsfm bench suite NEW OLD --role corpus --out FOLDER`")
    parser.add_argument("--sets", nargs="+", metavar="SET", help="data sets of the suite (default: all)")
    parser.add_argument("--no-suite", action="store_true", help="publish it without a comparison")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="JSON files of scores by name")
    parser.add_argument("--dtype", choices=list(DTYPES), default="bfloat16", help="of the weights (default: bfloat16)")
    parser.add_argument("--into", type=Path, default=weights_dir(), help="folder of the models")
    parser.add_argument("--cards", action="store_true", help="write the cards of all bundled models again")
    args = parser.parse_args(argv)
    if args.cards:
        write_cards(args.into)
        return
    if args.run is None or args.name is None:
        parser.error("name a run and the model: python scripts/publish.py RUN --name NAME")
    out = publish(args)
    size = sum(file.stat().st_size for file in args.into.rglob("*") if file.is_file())
    print(f"{out}: {load(out)[0].num_parameters():,} parameters; all models and sketches have {size / 2**20:.1f} MiB")
    records = [read_config(file.parent)["about"].get("trained_on", {}) for file in args.into.glob(f"*/{CONFIG}")]
    for file in unused_parts(
        args.into, {sketch_part for record in records for sketch_part in part_fingerprints(record)}
    ):
        print(f"no model names {file}; remove it")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
