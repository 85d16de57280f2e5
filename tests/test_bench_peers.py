"""The benchmark next to other libraries runs, and its rows are correct; speed itself is measured by hand."""

from __future__ import annotations

import argparse
import importlib
import math
from types import ModuleType

import pytest
import torch

from tests.conftest import ROOT


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("bench_peers")


def arguments(**changes: object) -> argparse.Namespace:
    plain = {"only": ["patchtst"], "device": "cpu", "quick": True, "rounds": 2, "threads": 1, "memory": False}
    return argparse.Namespace(**(plain | changes))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| \n").split("|")]


def test_the_row_of_a_pair_holds_times_and_their_ratio(bench: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers", reason="needs the library that is measured")
    bench.report_pairs(["patchtst"], arguments(), bench.Timer())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    head, rows = cells(lines[0]), [dict(zip(cells(lines[0]), cells(line), strict=True)) for line in lines[2:]]
    assert head[:4] == ["tsfm", "peer", "step", "mode"]
    assert [row["step"] for row in rows] == ["train", "infer"]
    for row in rows:
        assert float(row["tsfm ms"]) > 0
        assert float(row["peer ms"]) > 0
        assert 0 < float(row["ratio"]) < math.inf
        for size in ("parameters", "GFLOP forward"):  # equal for the same network
            tsfm_size, peer_size = row[size].split(" / ")
            assert tsfm_size == peer_size


def test_both_sides_learn_from_the_same_windows(bench: ModuleType) -> None:
    """A training step lowers the loss of its batch on either side, so the whole step is measured."""
    pytest.importorskip("transformers", reason="needs the library that is measured")
    shape = bench.shape_of(arguments())
    for name in ("patchtst", "mixer"):
        torch.manual_seed(0)
        for side in bench.PAIRS[name](shape, device="cpu", compiled=False):
            side.network.eval()  # no dropout between the losses
            step, before = side.training_step(device="cpu"), side.loss().item()
            for _ in range(20):
                step()
            assert side.loss().item() < before
            assert side.forecast().shape == (shape.batch, shape.channels, shape.horizon)


def test_a_peer_that_does_not_import_is_left_out_with_its_reason(
    bench: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*args: object, **kwargs: object) -> None:
        raise ImportError("No module named 'peer'")

    monkeypatch.setitem(bench.PAIRS, "patchtst", absent)
    bench.report_pairs(["patchtst"], arguments(), bench.Timer())
    assert "patchtst: left out, its peer does not import (No module named 'peer')" in capsys.readouterr().out


def test_sides_take_turns_and_ratios_are_of_the_same_round(bench: ModuleType) -> None:
    order: list[str] = []
    steps = {name: lambda name=name: order.append(name) for name in ("tsfm", "peer")}
    taken = bench.alternate(steps, timer=bench.Timer(), rounds=3, warm=0)
    assert order == ["tsfm", "peer", "peer", "tsfm", "tsfm", "peer"]
    assert [len(seconds) for seconds in taken.values()] == [3, 3]
    assert bench.ratio([1.0, 8.0, 3.0], [2.0, 4.0, 1.0]) == 2.0


def test_scan_and_lengths_make_rows(bench: ModuleType) -> None:
    table, note = bench.scan_table(rows=2, tokens=16, width=32, timer=bench.Timer(), rounds=2)
    assert [row["chunked"] for row in table] == ["chunked", "block, state 16"]
    assert all(float(row["loop / chunked"]) > 0 for row in table)
    assert note.startswith("scan: ")
    rows = bench.cost_table(longest=128, width=32, timer=bench.Timer(), seconds=0.0)
    assert [row["tokens"] for row in rows] == ["64", "128"]
    for name in ("scan", "mamba block", "attention block"):
        assert rows[0][f"{name} x"] == ""
        assert float(rows[1][f"{name} x"]) > 0
