"""What is assumed about data is a warning of its own category at every door; the command line prints it once."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import tsfm
from tests import doors
from tests.doors import COMMANDS, FRAME_DOORS, model, save_models
from tests.test_read_options import plain
from tsfm.commands import cli
from tsfm.messages import announce

NAMES = {"item_id": "unique_id", "timestamp": "ds", "target": "y"}


@pytest.mark.parametrize("door", FRAME_DOORS)
def test_every_door_warns_at_the_line_of_the_user(door: str, tmp_path: Path) -> None:
    with pytest.warns(tsfm.AssumptionWarning) as caught:
        FRAME_DOORS[door](plain().rename(columns=NAMES), tmp_path)
    texts = [str(warning.message) for warning in caught if warning.category is tsfm.AssumptionWarning]
    assert any("'ds'" in text and "timestamp" in text for text in texts)
    assert all(Path(warning.filename) == Path(doors.__file__) or "sklearn" in warning.filename for warning in caught)


@pytest.mark.parametrize("door", FRAME_DOORS)
def test_a_filter_silences_them(door: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=tsfm.AssumptionWarning)
        renamed = FRAME_DOORS[door](plain().rename(columns=NAMES), tmp_path)
    np.testing.assert_array_equal(renamed, FRAME_DOORS[door](plain(), tmp_path))


def test_each_is_in_the_attributes_too() -> None:
    with pytest.warns(tsfm.AssumptionWarning) as caught:
        out = model("steps").predict_df(plain().rename(columns=NAMES), 3)
    assert [str(warning.message) for warning in caught] == out.attrs["announcements"]


def test_without_assumptions_there_is_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = model("steps").predict_df(plain(), 3, freq="D", timezone=None)
    assert out.attrs["announcements"] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_each_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_models(tmp_path)
    plain().rename(columns=NAMES).to_csv("a.csv", index=False)
    handlers = list(cli.logging.root.handlers)
    verb, arguments = name.split()[0], [a.replace("SOURCE", "a.csv") for a in COMMANDS[name]]
    cli.logging.root.handlers.clear()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", tsfm.AssumptionWarning)  # inside the command they are ignored
            assert cli.main([verb, "a.csv", *arguments, *(["--out", "store"] if verb == "ingest" else [])]) == 0
    finally:
        cli.logging.root.handlers[:] = handlers
    printed = capsys.readouterr()
    lines = Counter(line for line in (printed.err + printed.out).splitlines() if "'ds'" in line)
    assert lines
    assert max(lines.values()) == 1


def test_announcements_warn_where_tsfm_was_called() -> None:
    with pytest.warns(tsfm.AssumptionWarning, match="as the target") as caught:
        announce(["column 'y' is read as the target"])
    assert caught[0].filename == __file__
