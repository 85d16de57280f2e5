"""`tsfm bench`: the options, and names that do not exist. What each benchmark measures is tested in tests/bench."""

from __future__ import annotations

from pathlib import Path

import pytest

from tsfm.bench.protocols.imputation import MASKS
from tsfm.bench.suite_windows import ROLES
from tsfm.commands.bench import anomaly, options
from tsfm.commands.cli import main
from tsfm.commands.parser import parser

NAMES = ("gift", "suite", "short", "intervals", "longhorizon", "online", "imputation", "anomaly", "cases")


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_commands_that_parse(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["bench", name, "--help"])
    printed = capsys.readouterr().out
    commands = [line.split("  ")[1].split() for line in printed.splitlines() if line.startswith("  tsfm bench")]
    assert commands
    for _, *arguments in commands:
        assert callable(parser().parse_args(arguments).run)


def test_choices_are_those_of_the_benchmarks() -> None:
    assert sorted(options.ANOMALY_SETS) == sorted(anomaly.SETS)
    args = parser().parse_args(["bench", "suite", "x", "--role", "corpus", "--out", "o"])
    assert args.role in ROLES
    args = parser().parse_args(["bench", "imputation", "x", "--out", "o", "--masks", *MASKS])
    assert args.masks == list(MASKS)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("gift last_value --configs us_birth/D/short --out out", "us_births/D/short"),
        ("longhorizon last_value --sets etth1 etth3 --out out", "unknown data 'etth3'; did you mean 'etth"),
        ("imputation tsfm-mini --sets wether --out out", "unknown data 'wether'; did you mean 'weather'"),
        ("anomaly --methods iforrest --out out", "no detector 'iforrest'; did you mean 'iforest'"),
        ("suite last_value --sets nothing --out out", "no benchmark set 'nothing'"),
        ("short last_value --sets nothing --out out", "no corpus set 'nothing'"),
        ("intervals last_value --sets nothing --out out", "no corpus set 'nothing'"),
        ("gift lastvalue --out out --configs us_births/D/short", "no predictor 'lastvalue'"),
    ],
)
def test_an_unknown_name_is_one_line_with_known_names(
    command: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "root" / "forecasting").mkdir(parents=True)
    listed = '{"datasets": [{"file": "a.parquet", "role": "benchmark"}, {"file": "b.parquet", "role": "corpus"}]}'
    (tmp_path / "root" / "forecasting" / "manifest.json").write_text(listed)
    monkeypatch.setenv("TSFM_DATA", str(tmp_path / "root"))
    assert main(["bench", *command.split()]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out
    assert not (tmp_path / "out").exists()
