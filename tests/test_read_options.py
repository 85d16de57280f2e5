"""Every door takes every reading option: a table that is written in an unusual way reads as the plain one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import tsfm
from tests.doors import COMMANDS, FRAME_DOORS, Refused, command, model, save_models
from tsfm.commands.parser import parser
from tsfm.store.read_options import FILE_NAMES, FRAME_NAMES, FileOptions, ReadOptions, read_settings

BAD: dict[str, Any] = {
    "id_column": "nothing",
    "timestamp_column": "nothing",
    "target": "nothing",
    "freq": "fortnight",
    "grid": "round",
    "dayfirst": False,
    "date_format": "%H",
    "timezone": "Nowhere/City",
    "decimal": ";",
    "sentinel": "none",
    "errors": "never",
    "sep": "and",
    "encoding": "latin-99",
}
UNUSUAL = {"id_column": "shop", "timestamp_column": "tag", "target": "umsatz"}
UNUSUAL |= {"date_format": "%Y_%d_%m", "decimal": ",", "sentinel": -999, "freq": "D"}


def plain(rows: int = 160) -> pd.DataFrame:
    """Two items with some missing values, and a covariate."""
    rng = np.random.default_rng(0)
    tables = []
    for item in ("Köln", "007"):
        values = (1000 * (10 + 3 * np.sin(np.arange(rows) / 4) + rng.normal(size=rows))).round()
        values[20:23] = np.nan
        days = pd.date_range("2024-01-01", periods=rows, freq="D")
        tables.append(pd.DataFrame({"item_id": item, "timestamp": days, "target": values}))
    return pd.concat(tables, ignore_index=True)


def unusual() -> pd.DataFrame:
    """The same table with dates, numbers and missing values written in other ways, under other names."""
    df = plain()
    text = [f"{value:.1f}".replace(".", ",") for value in df["target"].fillna(-999)]
    return pd.DataFrame({"shop": df["item_id"], "tag": df["timestamp"].dt.strftime("%Y_%d_%m"), "umsatz": text})


@pytest.mark.parametrize("door", FRAME_DOORS)
def test_a_frame_written_in_another_way_is_the_same(door: str, tmp_path: Path) -> None:
    expected = FRAME_DOORS[door](plain(), tmp_path)
    np.testing.assert_array_equal(FRAME_DOORS[door](unusual(), tmp_path, **UNUSUAL), expected)
    assert np.isfinite(expected).any()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_written_in_another_way_is_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    save_models(tmp_path)
    plain().to_csv("plain.csv", index=False)
    unusual().to_csv("unusual.txt", index=False, sep="^", encoding="utf-16")
    expected = command(name, "plain.csv", tmp_path, caplog)
    options = UNUSUAL | {"sep": "^", "encoding": "utf-16"}
    np.testing.assert_array_equal(command(name, "unusual.txt", tmp_path, caplog, **options), expected)


@pytest.mark.parametrize("door", FRAME_DOORS)
@pytest.mark.parametrize("option", FRAME_NAMES)
def test_every_frame_door_checks_every_option(door: str, option: str, tmp_path: Path) -> None:
    df = plain().astype({"target": object}).assign(timestamp=plain()["timestamp"].dt.strftime("%d/%m/%Y"))
    with pytest.raises(ValueError, match=option if option not in ("dayfirst", "date_format") else "timestamp"):
        FRAME_DOORS[door](df, tmp_path, **{option: BAD[option]})


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("option", FILE_NAMES)
def test_every_command_takes_a_flag_for_every_option(
    name: str,
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_models(tmp_path)
    plain().assign(timestamp=plain()["timestamp"].dt.strftime("%d/%m/%Y")).to_csv("a.csv", index=False)
    with pytest.raises((Refused, SystemExit)):
        command(name, "a.csv", tmp_path, caplog, **{option: BAD[option]})
    error = capsys.readouterr().err
    assert ("timestamp" if option in ("dayfirst", "date_format") else f"--{option.replace('_', '-')}") in error


@pytest.mark.parametrize("door", FRAME_DOORS)
def test_an_unknown_option_is_named(door: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no option 'day_first'; did you mean 'dayfirst'"):
        FRAME_DOORS[door](plain(), tmp_path, day_first=True)
    if door != "ingest":
        with pytest.raises(ValueError, match="sep is an option of text files"):
            FRAME_DOORS[door](plain(), tmp_path, sep=";")


@pytest.mark.parametrize("door", FRAME_DOORS)
def test_rows_that_are_equally_spaced_by_wish(door: str, tmp_path: Path) -> None:
    """With grid="keep" the timestamps do not matter, not even where one occurs twice."""
    df = plain()
    days = pd.DatetimeIndex(df["timestamp"]).to_numpy().copy()
    days[30:60] += np.timedelta64(300, "h")
    days[10] = days[11]
    days = np.concatenate([np.sort(days[:160]), days[160:]])
    kept = FRAME_DOORS[door](df.assign(timestamp=days), tmp_path, grid="keep", freq="D")
    np.testing.assert_array_equal(kept, FRAME_DOORS[door](df, tmp_path))


def test_dayfirst_settles_twelve_days() -> None:
    df = plain(12)
    text = df.assign(timestamp=df["timestamp"].dt.strftime("%d/%m/%Y"))
    with pytest.raises(ValueError, match="dayfirst"):
        model("steps").predict_df(text, 2)
    days = model("steps").predict_df(text, 2, dayfirst=True)["timestamp"]
    months = model("steps").predict_df(text, 2, dayfirst=False)["timestamp"]
    assert days.tolist() == [pd.Timestamp("2024-01-13"), pd.Timestamp("2024-01-14")] * 2
    assert months.tolist() == [pd.Timestamp("2025-01-01"), pd.Timestamp("2025-02-01")] * 2


def test_a_zone_comes_back() -> None:
    out = model("steps").predict_df(plain(), 2, timezone="Europe/Berlin")
    assert str(out["timestamp"].dt.tz) == "Europe/Berlin"


def test_the_options_are_listed_once_and_everywhere() -> None:
    """The typed keywords, the settings, and the flags of each command name the same options."""
    assert set(get_type_hints(ReadOptions)) == set(FRAME_NAMES)
    assert set(get_type_hints(FileOptions)) == set(FILE_NAMES)
    commands: Any = next(action for action in parser()._actions if action.choices)
    for verb in ("forecast", "impute", "detect", "embed", "classify", "ingest"):
        assert set(FILE_NAMES) <= {action.dest for action in commands.choices[verb]._actions}
    assert read_settings({}).options == {name: getattr(read_settings({}), name) for name in FRAME_NAMES}


def test_options_are_parameters_of_the_estimator() -> None:
    estimator = tsfm.Forecaster(dayfirst=True, target="sales")
    assert clone(estimator).get_params() == estimator.get_params()
    assert estimator.set_params(grid="keep").grid == "keep"
    assert repr(tsfm.Forecaster(dayfirst=True)) == "Forecaster(dayfirst=True)"


@pytest.mark.parametrize("option", [{"style": "nixtla"}, {"h": 3}, {"level": [80]}])
def test_the_columns_of_nixtla_come_back_from_other_methods_without_its_options(option: dict[str, Any]) -> None:
    df = plain().rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})[["unique_id", "ds", "y"]]
    trained = model("steps")
    assert list(trained.impute_df(df))[:3] == ["unique_id", "ds", "y"]
    for verb in (trained.impute_df, trained.embed_df):
        with pytest.raises(ValueError, match=f"{next(iter(option))} is an option of predict_df.*leave it out"):
            verb(df, **option)
