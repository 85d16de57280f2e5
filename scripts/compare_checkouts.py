"""Compare two checkouts of tsfm bit for bit: forecasts, other inference, trainings and scores.

    python scripts/compare_checkouts.py OLD NEW
    python scripts/compare_checkouts.py OLD NEW --only golden,bundled --out runs/compare

OLD and NEW are folders that hold `tsfm`, `conf` and `tests/golden`. Each is measured in a process of its own with this
Python, one thread, the CPU, an empty working directory and an empty cache. The exit status is 0 if everything that OLD
produced is bit-equal in NEW, and 1 otherwise, with a table of what differs; OUT/differences.txt lists every array. What
only NEW produces (a new golden directory, a new metric) is counted as added and is not a difference.

| section | what is compared |
|---|---|
| golden | forecasts of each directory of tests/golden |
| bundled | forecasts of each bundled model: gaps, lengths, horizons beyond the trained one, bf16 |
| verbs | data frames of predict, impute, detect and embed, the forecast command, Classifier and Detector |
| training | names and values of the weights, and the metrics, of a short run of each backbone and of most tasks |
| scores | metrics of `tsfm eval` on ETTh1 and of one configuration of GIFT-Eval; needs TSFM_DATA |

The results of a folder at a clean git commit are kept in OUT and used again, as long as scripts/checkouts and the
versions of the libraries stay the same. Where a redesign renames what is used there, the tables of alternatives in
scripts/checkouts/measure.py get a row. Weights must keep their names. A full comparison takes a few minutes for each
folder on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

SECTIONS = ("golden", "bundled", "verbs", "training", "scores")
SCRIPTS = Path(__file__).resolve().parent
LIBRARIES = ("torch", "numpy", "pandas", "pytorch-lightning", "scikit-learn")

Arrays = dict[str, np.ndarray]


# ---- comparison --------------------------------------------------------------------------------------------------


class Results(NamedTuple):
    """What one checkout produced: arrays by "section/check: name", and the traceback of each check that failed."""

    arrays: Arrays
    failures: dict[str, str]


def difference(old: np.ndarray, new: np.ndarray) -> str | None:
    """Return how two arrays differ in kind, shape or any bit; None if they do not."""
    if old.dtype.kind == new.dtype.kind == "U":
        if old.shape == new.shape and (old == new).all():
            return None
        return f"{' '.join(old.ravel())[:60]!r} -> {' '.join(new.ravel())[:60]!r}"
    if (old.dtype, old.shape) != (new.dtype, new.shape):
        return f"{old.dtype} {list(old.shape)} -> {new.dtype} {list(new.shape)}"
    if old.tobytes() == new.tobytes():
        return None
    if not old.shape:
        return f"{old.item()!r} -> {new.item()!r}"
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(old.astype(np.float64) - new.astype(np.float64))
    bits = [np.ascontiguousarray(array).view(f"V{array.itemsize}") for array in (old, new)]
    largest = np.nanmax(gap) if np.isfinite(gap).any() else np.nan
    return f"{int((bits[0] != bits[1]).sum())} of {old.size} values, largest difference {largest:.3g}"


def differences(old: Results, new: Results) -> dict[str, str]:
    """Return the name of each array of OLD that NEW does not have bit for bit, and of each failed check, with why."""
    lines = {}
    for side, results in (("OLD", old), ("NEW", new)):
        lines |= {f"{check}: failed in {side}": text.split("\n")[-1] for check, text in results.failures.items()}
    failed = {*old.failures, *new.failures}
    for name, array in old.arrays.items():
        if name.partition(": ")[0] in failed:
            continue
        reason = difference(array, new.arrays[name]) if name in new.arrays else "missing in NEW"
        if reason is not None:
            lines[name] = reason
    return lines


def table(old: Results, new: Results, lines: Mapping[str, str]) -> str:
    """Return one row per check: arrays compared, different and added, and the first difference."""
    checks = dict.fromkeys(name.partition(": ")[0] for name in (*lines, *old.arrays, *new.arrays))
    rows = [("check", "arrays", "different", "added", "first difference")]
    for check in sorted(checks, key=lambda check: (SECTIONS.index(check.split("/")[0]), check)):
        own = {name: reason for name, reason in lines.items() if name.partition(": ")[0] == check}
        compared = [name for name in old.arrays if name.partition(": ")[0] == check]
        added = [name for name in new.arrays if name.partition(": ")[0] == check and name not in old.arrays]
        first = next((f"{name.partition(': ')[2]}: {reason}" for name, reason in own.items()), "")
        rows.append((check, str(len(compared)), str(len(own) or ""), str(len(added) or ""), first))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*map(str.ljust, row[:4], widths), row[4]]).rstrip() for row in rows)


# ---- one process for each checkout -------------------------------------------------------------------------------


def clean_commit(checkout: Path) -> str | None:
    """Return the commit of a checkout without changed or new files; None for any other folder."""

    def git(*arguments: str) -> str | None:
        done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    is_root = git("rev-parse", "--show-toplevel") == str(checkout.resolve())
    return git("rev-parse", "HEAD") if is_root and git("status", "--porcelain") == "" else None


def cache_name(commit: str) -> str:
    """Return the folder of a commit's results, which depend on scripts/checkouts, the libraries and the machine."""
    setup = [*map(version, LIBRARIES), platform.python_version(), platform.node(), os.environ.get("TSFM_DATA", "")]
    code = [file.read_bytes() for file in sorted((SCRIPTS / "checkouts").glob("*.py"))]
    digest = hashlib.sha256(b"".join([*code, " ".join(setup).encode()]))
    return f"{commit[:12]}-{digest.hexdigest()[:12]}"


def results_of(checkout: Path, sections: list[str], out: Path) -> Results:
    """Return the results of a checkout: those kept in `out`, else measured now. Failed sections are not kept."""
    if not (checkout / "tsfm" / "__init__.py").is_file():
        raise SystemExit(f"error: {checkout} is not a checkout of tsfm: it has no tsfm/__init__.py")
    commit = clean_commit(checkout)
    kept = out / cache_name(commit) if commit else None
    files = {section: kept / f"{section}.npz" for section in sections} if kept else {}
    missing = [section for section in sections if section not in files or not files[section].is_file()]
    state = f"commit {commit[:12]}" if commit else "not at a clean commit"
    print(f"{checkout}: {state}, to measure: {', '.join(missing) or 'nothing'}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        failures = measure_apart(checkout, missing, Path(scratch)) if missing else {}
        for section in missing:
            measured = Path(scratch, f"{section}.npz")
            if kept and not any(check.startswith(f"{section}/") for check in failures):
                kept.mkdir(exist_ok=True)
                measured.replace(files[section])
            else:
                files[section] = measured
        arrays: Arrays = {}
        for section in sections:
            with np.load(files[section]) as stored:
                arrays |= {name: stored[name] for name in stored.files}
    return Results(arrays, failures)


def measure_apart(checkout: Path, sections: list[str], folder: Path) -> dict[str, str]:
    """Measure in a process that imports tsfm from `checkout`; return the traceback of each failed check."""
    with tempfile.TemporaryDirectory() as work:
        environment = os.environ | {
            "PYTHONPATH": f"{checkout.resolve()}{os.pathsep}{SCRIPTS}", "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
            "TSFM_CACHE": str(Path(work, "cache")),
        }  # fmt: skip
        arguments = [str(checkout.resolve()), ",".join(sections), str(folder.resolve())]
        command = [sys.executable, "-m", "checkouts.measure", *arguments]
        done = subprocess.run(command, cwd=work, env=environment)
        if done.returncode:
            raise SystemExit(f"error: measuring {checkout} ended with exit status {done.returncode}")
    return json.loads((folder / "failures.json").read_text(encoding="utf-8"))


# ---- command line ------------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Compare the two checkouts of the command line; return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("old", type=Path, metavar="OLD", help="folder of the checkout that is right")
    parser.add_argument("new", type=Path, metavar="NEW", help="folder of the checkout to check")
    parser.add_argument("--out", type=Path, default=Path("runs/compare"), help="kept results, differences.txt")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas (default: all)")
    options = parser.parse_args(argv)
    sections = options.only.split(",")
    if unknown := set(sections) - set(SECTIONS):
        parser.error(f"--only has {', '.join(sorted(unknown))}; the sections are {', '.join(SECTIONS)}")
    if "scores" in sections and "TSFM_DATA" not in os.environ:
        parser.error("the section scores needs TSFM_DATA, the folder of the data sets; set it, or leave scores out")
    old, new = (results_of(checkout, sections, options.out) for checkout in (options.old, options.new))
    lines = differences(old, new)
    listing = "".join(f"{name}: {reason}\n" for name, reason in lines.items())
    (options.out / "differences.txt").write_text(listing, encoding="utf-8")
    print(f"\n{table(old, new, lines)}\n")
    if lines:
        print(f"DIFFERENT: {len(lines)} differences in {len(old.arrays)} arrays; see {options.out / 'differences.txt'}")
    else:
        print(f"EQUAL: {len(old.arrays)} arrays, bit for bit")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
