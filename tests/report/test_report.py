"""The report of a store: what is ranked and what is left out, and that the page is safe, whole and always the same."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsfm.commands.cli import main
from tsfm.report.boards import make_boards
from tsfm.report.charts import Point, cost_scatter, critical_difference_diagram, forecast_chart
from tsfm.report.page import write_report
from tsfm.report.published import match_published, read_published
from tsfm.report.selection import select_rows
from tsfm.results import ResultStore

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
NAME = "<b>&'\"|x"  # of a model: markup in HTML and in Markdown


def row(model: str, data: str, value: float, *, minute: int = 0, **columns: Any) -> dict[str, Any]:
    """A measured row; its job is named by what was scored."""
    base = {
        "job": f"{model}-{data}-{columns.get('seed')}-{columns.get('setting', '')}-{minute}", "kind": "eval",
        "status": "done", "model": model, "protocol": "cases", "data": data, "subset": "", "metric": "accuracy",
        "value": value, "seconds": 2.0, "time": START + timedelta(minutes=minute),
        "command": f"tsfm eval {model} {data}",
    }  # fmt: skip
    return base | columns


def failure(model: str, data: str, *, minute: int = 0, error: str = "no memory") -> dict[str, Any]:
    return row(model, data, np.nan, minute=minute, status="failed", metric="", error=error)


def frame(rows: list[dict[str, Any]], folder: Path) -> pd.DataFrame:
    """The rows as a store returns them."""
    store = ResultStore(folder / "results")
    store.append(rows)
    return store.read()


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """Three models on six sets, and a failed job; on set 0 all differ, on set 1 two are equal, ..."""
    table = {"a": [0.9, 0.8, 0.7, 0.9, 0.6, 0.8], "b": [0.8, 0.8, 0.6, 0.7, 0.5, 0.9], NAME: [0.5] * 6}
    measured = [
        row(m, f"set{i}", v, parameters=None if m == "b" else 10**6)
        for m, vs in table.items()
        for i, v in enumerate(vs)
    ]
    return [*measured, failure("d", "set0", error="<script>alert(1)</script>")]


def test_equal_jobs_count_once_and_the_newest_does(tmp_path: Path) -> None:
    selection = select_rows(
        frame([row("a", "s", 0.9, minute=5), row("a", "s", 0.2), row("a", "s", 0.4, setting="optim.lr=1")], tmp_path)
    )
    assert selection.measured["value"].tolist() == [0.4, 0.9]
    assert selection.num_replaced == 1
    assert sorted(selection.measured["competitor"]) == ["a", "a, optim.lr=1"]


def test_a_failure_counts_unless_the_job_was_done(tmp_path: Path) -> None:
    every = [
        failure("a", "s"),
        row("a", "s", 0.5, minute=1),
        failure("b", "s"),
        failure("b", "s", minute=2, error="late"),
    ]
    selection = select_rows(frame(every, tmp_path))
    assert selection.failures["error"].tolist() == ["late"]


def test_names_of_models_differ_where_models_do(tmp_path: Path) -> None:
    common: dict[str, Any] = {"kind": "train", "protocol": "windows", "metric": "mse", "horizon": 96}
    named = [row("mixer", "etth1", 1.0, experiment=f"ltsf/mixer{x}_etth1_96", **common) for x in ("", "_search")]
    contexts = [row("drift", "etth1", 1.0, context=c, **{**common, "kind": "eval"}) for c in (96, 512)]
    task = [row("mean", "etth1", 1.0, setting=f"bench.stride={x}", **{**common, "kind": "eval"}) for x in (1, 8)]
    measured = select_rows(frame([*named, *contexts, *task], tmp_path)).measured
    assert set(measured["competitor"]) == {
        *("mixer (trained), ltsf/mixer", "mixer (trained), ltsf/mixer_search"),
        *("drift, context 96", "drift, context 512", "mean"),
    }
    assert len(set(measured.loc[measured["competitor"] == "mean", "task"])) == 2


def test_seeds_are_averaged_and_nan_is_not_hidden(tmp_path: Path) -> None:
    seeds = [row("a", "s", value, seed=i) for i, value in enumerate((0.5, 0.7, 0.9))]
    undefined = [row("a", "t", value, seed=i) for i, value in enumerate((0.5, np.nan))]
    others = [row("b", "s", 0.6), row("b", "t", 0.6)]
    (ranking,) = make_boards(select_rows(frame([*seeds, *undefined, *others], tmp_path)).measured)
    assert ranking.values.loc["s", "a"] == pytest.approx(0.7)
    assert ranking.spread.loc["s", "a"] == pytest.approx(0.2)
    assert ranking.seeds.loc["s", "a"] == 3
    assert np.isnan(ranking.values.loc["t", "a"])
    assert ranking.num_undefined == 1


def test_only_shared_data_sets_are_ranked(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    kept = [r for r in rows if (r["model"], r["data"]) != ("b", "set5")]
    partial = [row("few", f"set{i}", 1.0) for i in range(2)]
    (ranking,) = make_boards(select_rows(frame([*kept, *partial], tmp_path)).measured)
    assert ranking.compared == sorted(["a", "b", NAME])  # `few` is on 2 of 6 sets only
    assert list(ranking.shared.index) == [f"set{i}" for i in range(5)]
    order = {name: index for index, name in enumerate(ranking.compared)}
    assert ranking.ranks.mean(0)[order["a"]] == pytest.approx((1 + 1.5 + 1 + 1 + 1) / 5)
    page = write_report(frame([*kept, *partial], tmp_path / "2"), tmp_path / "r.html").read_text(encoding="utf-8")
    assert "1 data sets are left out of the ranks, because a value is missing: set5." in page
    assert "few (2)" in page


def test_subsets_are_ranked_where_they_were_measured(tmp_path: Path) -> None:
    measured = [row("a", "nab", 0.1, subset=s, protocol="anomaly", metric="vus_pr") for s in ("", "x", "y")]
    (ranking,) = make_boards(select_rows(frame(measured, tmp_path)).measured)
    assert list(ranking.values.index) == ["nab: x", "nab: y"]


def test_metrics_to_rank_by_are_checked(tmp_path: Path) -> None:
    measured = select_rows(frame([row("a", "s", 0.5), row("a", "s", 0.8, metric="coverage")], tmp_path)).measured
    with pytest.raises(ValueError, match="no job measured the metric 'acuracy'; did you mean 'accuracy'"):
        make_boards(measured, metrics=["acuracy"])
    with pytest.raises(ValueError, match="best near a nominal value"):
        make_boards(measured, metrics=["coverage"])


class Checker(HTMLParser):
    """Tags that are open, attributes that load something, and the texts of headings."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "xlink:href")]
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_safe_and_self_contained(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    page = write_report(frame(rows, tmp_path), tmp_path / "report.html").read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert {"table", "svg", "details"} <= checker.tags
    assert "script" not in checker.tags and "b" not in checker.tags  # noqa: PT018
    assert all(link.startswith("#") for link in checker.loads)
    assert not re.search(r"https?:|url\(|@import", page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))
    assert all('scope="' in cell for cell in re.findall(r"<th\b[^>]*>", page))


def test_the_same_rows_give_the_same_page(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    first = write_report(frame(rows, tmp_path / "1"), tmp_path / "1.html")
    second = write_report(frame(rows[::-1], tmp_path / "2"), tmp_path / "2.html")
    assert first.read_bytes() == second.read_bytes()


def test_markdown_has_the_same_tables(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    text = write_report(frame(rows, tmp_path), tmp_path / "report.md").read_text(encoding="utf-8")
    page = write_report(frame(rows, tmp_path / "2"), tmp_path / "report.html").read_text(encoding="utf-8")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == page.count("<table")
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1  # a name with | does not add a column
    assert "<script>" not in text


def test_published_numbers_are_marked_and_have_a_source(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    table = tmp_path / "published.csv"
    columns = {"protocol": "cases", "metric": "accuracy", "model": "Famous", "source": "a <paper>"}
    pd.DataFrame([{**columns, "data": f"SET{i}", "value": 0.75} for i in range(4)]).to_csv(table, index=False)
    page = write_report(frame(rows, tmp_path), tmp_path / "r.html", published=[table]).read_text(encoding="utf-8")
    assert 'Famous <span class="tag">published</span>' in page
    assert "a &lt;paper&gt;" in page
    assert "1. Famous" not in page  # published values are not ranked
    pd.DataFrame([{"protocol": "cases"}]).to_csv(table, index=False)
    with pytest.raises(ValueError, match="has no column 'data'"):
        read_published([table])
    with pytest.raises(FileNotFoundError, match="is not a file"):
        read_published([tmp_path / "none.csv"])


def test_anchors_are_read_by_their_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.DataFrame({
        "dataset": ["Beef", "Beef"], "method": ["X", "Y"], "accuracy": [0.7, 0.8],
        "protocol": ["default_split", "mean_of_30_resamples"], "source": "s",
    }).to_csv(tmp_path / "classification_published.csv")  # fmt: skip
    pd.DataFrame({
        "dataset": ["ETTh1", "ETTh1"], "horizon": ["96", "avg"], "lookback": 336, "MSE": [0.3, 0.4],
        "MAE": [0.2, np.nan], "model": "M", "setting": "zero-shot", "source": "t",
    }).to_csv(tmp_path / "ltsf_published.csv")  # fmt: skip
    monkeypatch.setenv("TSFM_ANCHORS", str(tmp_path))
    published = read_published()
    tasks = pd.DataFrame({"task": ["t"], "data": ["etth1"], "subset": [""], "horizon": pd.array([96], "Int64")})
    matched = match_published(published, tasks, protocol="windows", metric="mae")
    assert matched.to_dict("records") == [
        {"task": "t", "model": "M (zero-shot, lookback 336)", "value": 0.2, "source": "t"}
    ]
    tasks = tasks.assign(data="beef", horizon=pd.NA)
    assert match_published(published, tasks, protocol="cases", metric="accuracy")["model"].tolist() == ["X"]
    with pytest.raises(ValueError, match="has no published numbers"):
        read_published(folder=tmp_path / "..")


def test_stores_without_scores(tmp_path: Path) -> None:
    page = write_report(frame([failure("a", "s")], tmp_path), tmp_path / "r.html").read_text(encoding="utf-8")
    assert "no memory" in page
    with pytest.raises(ValueError, match="has no rows"):
        write_report(ResultStore(tmp_path / "empty").read(), tmp_path / "r.html")
    single = write_report(frame([row("a", "s", 0.5)], tmp_path / "1"), tmp_path / "r.html")
    assert "1. a" in single.read_text(encoding="utf-8")


def test_charts_stay_inside_their_frame() -> None:
    names = [f"a model with a rather long name, number {i}" for i in range(8)]
    bounds = np.zeros(3), 2 * np.ones(3)
    pictures = [
        critical_difference_diagram(names, np.array([1.0, 1.1, 2, 3, 4, 5, 7.9, 8]), 1.5),
        cost_scatter([Point(n, 10.0**i, 0.5) for i, n in enumerate(names)], cost="s", value="v", better="lower"),
        forecast_chart(np.arange(9.0), np.array([1.0, np.nan, 3]), np.ones(3), bounds, title="<t>"),
    ]
    for picture in pictures:
        match = re.search(r'width="([\d.]+)" height="([\d.]+)"', picture.svg)
        assert match
        width, height = (float(text) for text in match.groups())
        for name, limit in (("x", width), ("y", height)):
            values = [float(v) for v in re.findall(rf'\bc?{name}[12]?="(-?[\d.]+)"', picture.svg)]
            assert 0 <= min(values) <= max(values) <= limit
        assert not re.search(r"[\"\s,ML]nan\b", picture.svg)
        assert "<t>" not in picture.svg


def test_the_command_writes_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame([row("a", "s", 0.5), row("b", "s", 0.6)], tmp_path)
    assert main(["report", str(tmp_path / "results"), "--out", str(tmp_path / "r.md")]) == 0
    assert "wrote" in capsys.readouterr().out
    assert (tmp_path / "r.md").read_text(encoding="utf-8").startswith("# Results")
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "is not a folder" in capsys.readouterr().err
