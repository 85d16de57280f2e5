"""`tsfm data`: the data sets on this machine, by kind."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from tsfm.data.anomalies import anomaly_files, read_anomalies
from tsfm.data.case_files import available_cases, read_cases
from tsfm.messages import did_you_mean
from tsfm.store.catalog import data_roots, is_at_hand, names, resolve

WIDTH = 110


def run(args: argparse.Namespace) -> int:
    """List all data sets, or describe the named ones."""
    print("\n".join(map(describe, args.names)) if args.names else list_data())
    return 0


def list_data() -> str:
    """Return the names of all data sets by kind, with the folders that were searched."""
    kinds = {
        "series (data=... or data.dataset=...)": [name for name in names() if is_at_hand(name)],
        "labelled cases (data=cases data.dataset=...)": [path.stem for path in available_cases().values()],
        "labelled anomalies (bench=anomaly bench.data=...)": list(anomaly_files()),
    }
    lines = [f"data roots: {', '.join(str(root) for root in data_roots())} (TSFM_DATA names another)"]
    for kind, matches in kinds.items():
        lines += ["", f"{kind}: {len(matches)}"]
        lines += textwrap.wrap(
            ", ".join(sorted(matches, key=str.lower)), WIDTH, initial_indent="  ", subsequent_indent="  "
        )
    return "\n".join(lines)


def describe(name: str) -> str:
    """Return one line about a data set of any kind.

    Raises
    ------
    ValueError
        If no data set has that name; the message has similar ones.
    """
    if name.lower() in (cases := available_cases()):
        read = read_cases(cases[name.lower()])
        counts = ", ".join(f"{len(chosen)} {split} cases" for split, chosen in read.items())
        return f"{name}: {counts}; {cases[name.lower()]}"
    if name in (anomalies := anomaly_files()):
        series = read_anomalies(name)
        labelled = sum(int(item.labels.sum()) for item in series)
        return f"{name}: {len(series)} series, {labelled} anomalous steps; {anomalies[name]}"
    if Path(name).exists() or is_at_hand(name):
        store = resolve(name)
        steps = int(sum(store.lengths))
        return f"{name}: {len(store.lengths)} series, {steps:,} steps, frequency {' '.join(sorted(set(store.freqs)))}"
    known = [*names(), *(path.stem for path in cases.values()), *anomalies]
    raise ValueError(f"no data set {name!r}; {did_you_mean(name, known)}; `tsfm ingest` adds your own")
