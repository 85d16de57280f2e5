"""Score learners of labelled cases on the archives' sets, beside the published values of the same split.

    python scripts/bench_cases.py minirocket nn_euclidean nn_dtw --sets thirty --out runs/cases
    python scripts/bench_cases.py minirocket --sets all --out runs/cases
    python scripts/bench_cases.py classify/mine --sets GunPoint Coffee --out runs/cases --set trainer.epochs=50

    python scripts/bench_cases.py probe:tsfm-small --sets ucr --out runs/cases     # every UCR set, nothing is trained

A learner is the name of a baseline, with settings if need be (nn_dtw:learn=true), or else that of an experiment, which
is trained by `tsfm train` on each set, or `probe:<model>`: a linear model on what that network, frozen, sees in a case
(Probe(pool="looks")). One JSON file per learner and set in --out: what is there is not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from tsfm.bench.cases import score_cases
from tsfm.bench.find import find_baseline
from tsfm.bench.interfaces import CaseLearner
from tsfm.config import compose, typed
from tsfm.data.case_files import known_cases
from tsfm.data.cases import CaseData, CasesConfig
from tsfm.registry import BASELINES

FULL, LEARNED, ED = "1NN-DTW (full window)", "1NN-DTW (learned window)", "1NN-ED"
BESIDE = {"minirocket": "MiniROCKET", "nn_dtw": FULL, "nn_dtw:learn=true": LEARNED, "nn_euclidean": ED}
BESIDE |= {"catch22": "Catch22"}
PROBE = "probe:"  # begins the name of a trained model that learns nothing of the set
ALWAYS = ("InceptionTime", "ROCKET")  # shown beside every learner
NEEDED = ("InceptionTime", "MiniROCKET", "ROCKET", FULL)
NUM_SETS, MAX_CASES, MAX_VALUES = 30, 1000, 100_000


class Facts(NamedTuple):
    """A line of MANIFEST.md."""

    name: str
    archive: str
    train: int
    longest: int


def read_facts(root: Path) -> list[Facts]:
    """Every data set that classification/MANIFEST.md lists."""
    lines = (root / "classification" / "MANIFEST.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
    head = next(row for row in cells if row[0] == "file")
    rows = [dict(zip(head, row, strict=False)) for row in cells if row[0].endswith(".parquet")]
    return [
        Facts(Path(row["file"]).stem, row["archive"], int(row["train"]), int(row["length"].split("-")[-1]))
        for row in rows
    ]


def read_published(file: Path) -> dict[tuple[str, str], float]:
    """(set, method) -> accuracy on the archive's split; where sources differ, their mean. Values of altered versions of
    a set (the source names them in brackets) are left out."""
    found: dict[tuple[str, str], list[float]] = {}
    with open(file, encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            altered = row["source"].rstrip(")").endswith(("_eq", "_nmv"))
            if row["protocol"] == "default_split" and not altered:
                found.setdefault((row["dataset"], row["method"]), []).append(float(row["accuracy"]))
    return {key: float(np.mean(values)) for key, values in found.items()}


def thirty(facts: Iterable[Facts], published: dict[tuple[str, str], float]) -> list[str]:
    """The sets on which networks are compared, fixed before any run.

    Of the UCR-2018 sets in the manifest that have published default-split accuracies of InceptionTime, MiniROCKET,
    ROCKET and 1NN-DTW, with at most 1,000 training cases and at most 100,000 training values (cases x longest length),
    sorted by name, 30 spread evenly (index floor(i * n / 30)).
    """
    small = sorted(
        fact.name
        for fact in facts
        if fact.archive == "UCR-2018"
        and all((fact.name, method) in published for method in NEEDED)
        and fact.train <= MAX_CASES
        and fact.train * fact.longest <= MAX_VALUES
    )
    return [small[i * len(small) // NUM_SETS] for i in range(NUM_SETS)]


def is_baseline(learner: str) -> bool:
    return learner.split(":")[0] in BASELINES.names()


def baseline(learner: str) -> CaseLearner:
    """A baseline from name or name:key=value,key=value."""
    name, _, words = learner.partition(":")
    settings = dict(word.split("=", 1) for word in words.split(",") if word)
    typed_settings = {key: yaml.safe_load(text) for key, text in settings.items()}
    return find_baseline(name, CaseLearner, **typed_settings)  # type: ignore[type-abstract]


class Frozen(CaseLearner):
    """A ridge on the features of a frozen network, behind the face of a baseline."""

    def __init__(self, model: str):
        from tsfm.estimators.probe import Probe
        from tsfm.infer.load import load

        predictor = load(model)
        predictor.precision = "bf16"
        self.name, self.probe = PROBE + model, Probe(predictor, pool="looks")

    def fit(self, cases: Sequence[np.ndarray], labels: np.ndarray) -> Frozen:
        self.probe.fit(list(cases), labels)
        return self

    def predict(self, cases: Sequence[np.ndarray]) -> np.ndarray:
        return self.probe.predict(list(cases))


def run_network(experiment: str, dataset: str, *, seed: int, changes: list[str], out: Path) -> dict[str, Any]:
    """Train and score an experiment on one set, as `tsfm train` does."""
    from tsfm.commands.runner import train_and_score  # Lightning, which baselines do without

    words = [f"experiment={experiment}", f"data.dataset={dataset}", f"seed={seed}", f"run_root={out / 'runs'}"]
    name = f"name={experiment.replace('/', '_')}_{dataset}"
    return train_and_score(typed(compose("train", [*words, name, *changes])), command=" ".join(sys.argv))


def run(learner: str, dataset: str, *, seed: int, changes: list[str], out: Path) -> dict[str, Any]:
    if learner.startswith(PROBE):
        return score_cases(Frozen(learner.removeprefix(PROBE)), CaseData(CasesConfig(dataset), seed=seed))
    if not is_baseline(learner):
        return run_network(learner, dataset, seed=seed, changes=changes, out=out)
    return score_cases(baseline(learner), CaseData(CasesConfig(dataset), seed=seed))


def table(results: dict[str, dict[str, dict]], sets: list[str], published: dict[tuple[str, str], float]) -> str:
    """A line per set: each learner and what was published of it; then the means over the sets that both have."""
    columns: list[tuple[str, dict[str, float]]] = []
    for learner, found in results.items():
        ours = {name: found[name].get("accuracy", found[name].get("rmse")) for name in sets if name in found}
        columns.append((learner, {name: value for name, value in ours.items() if value is not None}))
        if method := BESIDE.get(learner):
            columns.append((method, {n: published[n, method] for n in sets if (n, method) in published}))
    shown = {title for title, _ in columns}
    columns += [
        (method, {n: published[n, method] for n in sets if (n, method) in published})
        for method in ALWAYS
        if method not in shown
    ]
    width = max(len(name) for name in (*sets, "mean over the common sets"))
    lines = ["  ".join([" " * width, *(title for title, _ in columns)])]
    for name in sets:
        cells = [f"{values[name]:.4f}" if name in values else "" for _, values in columns]
        lines.append(
            "  ".join([f"{name:{width}}", *(f"{c:>{len(t)}}" for c, (t, _) in zip(cells, columns, strict=True))])
        )
    common = [name for name in sets if all(name in values for _, values in columns)]
    if common:
        means = [float(np.mean([values[name] for name in common])) for _, values in columns]
        cells = [f"{mean:>{max(len(title), 6)}.4f}" for mean, (title, _) in zip(means, columns, strict=True)]
        lines.append("  ".join([f"{f'mean over the {len(common)} common sets':{width}}", *cells]))
    return "\n".join(lines)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("learners", nargs="+", help="baselines (name or name:key=value,...), experiments, probe:MODEL")
    parser.add_argument("--sets", nargs="+", default=["thirty"], help="thirty, ucr, all, or names")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, one JSON file each")
    parser.add_argument(
        "--anchors", type=Path, help="folder with classification_published.csv; default: beside the data"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], dest="changes", help="settings of experiments, key=value")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    asked = arguments(argv)
    known = known_cases()
    root = next((path.parents[1] for path in known.values() if path.parent.name == "classification"), None)
    if root is None:
        raise SystemExit("no classification/*.parquet in any data root; set TSFM_DATA")
    file = (asked.anchors or root.parent / "anchors") / "classification_published.csv"
    published = read_published(file) if file.is_file() else {}
    if asked.sets == ["thirty"] and not published:
        raise SystemExit(f"{file} is not there, and --sets thirty is chosen by it; give --anchors")
    whole: dict[str, list[str]] = {
        "all": [path.stem for path in known.values() if path.parent.name == "classification"]
    }
    if asked.sets == ["ucr"]:
        whole["ucr"] = sorted(fact.name for fact in read_facts(root) if fact.archive == "UCR-2018")
    if asked.sets == ["thirty"]:
        whole["thirty"] = thirty(read_facts(root), published)
    sets: list[str] = whole.get(asked.sets[0]) or list(asked.sets)
    results: dict[str, dict[str, dict]] = {}
    for learner in asked.learners:
        folder = asked.out / f"{learner.replace('/', '_').replace(':', '-')}-{asked.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        for dataset in sets:
            place, begun = folder / f"{dataset}.json", time.perf_counter()
            if not place.is_file():
                found = run(learner, dataset, seed=asked.seed, changes=asked.changes, out=asked.out)
                found = {"learner": learner, "data": dataset, **found}
                place.with_suffix(".part").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                place.with_suffix(".part").replace(place)
                score = found.get("accuracy", found.get("rmse"))
                print(f"{learner}  {dataset}  {score:.4f}  {time.perf_counter() - begun:.1f} s", flush=True)
            results.setdefault(learner, {})[dataset] = json.loads(place.read_text(encoding="utf-8"))
    print(table(results, sets, published))


if __name__ == "__main__":
    main()
