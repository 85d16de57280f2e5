"""Imputing: what was observed stays bit for bit, what was not is filled, in the form and the order of the question."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.infer.small import labeller, reader, sines, trained
from tests.tiny import tiny
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import About
from tsfm.types import Problem


def frame(**columns: np.ndarray) -> pd.DataFrame:
    """Two items, their rows mixed, with two rows that are not there."""
    stamps = pd.date_range("2024-03-30 20:00", periods=300, freq="h")
    parts = [pd.DataFrame({"item_id": name, "timestamp": stamps, **columns}) for name in ("b", "a")]
    rows = pd.concat(parts, ignore_index=True).drop(index=[40, 41, 350])
    return rows.sample(frac=1, random_state=0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("channels", [None, 2])
def test_observed_values_stay_and_the_others_are_filled(dtype: type, channels: int | None) -> None:
    series = sines(missing=0.1, channels=channels).astype(dtype)
    before, missing = series.copy(), np.isnan(series)
    done = reader().impute(series)
    assert done.values.dtype == dtype
    np.testing.assert_array_equal(done.values[~missing], series[~missing])
    np.testing.assert_array_equal(series, before)
    assert np.isfinite(done.values).all()
    assert done.quantiles.shape == (*series.shape, 9)
    assert (np.diff(done.quantiles, axis=-1) >= 0).all()
    np.testing.assert_array_equal(done.values[missing].astype(np.float32), done.quantiles[missing][:, 4])
    np.testing.assert_array_equal(done.quantiles[~missing], np.repeat(series[~missing, None].astype(np.float32), 9, 1))


def test_the_form_is_kept() -> None:
    model, stack = reader(), np.stack([sines(64, channels=2, missing=0.1, seed=seed) for seed in range(3)])
    assert model.impute(stack).values.shape == (3, 2, 64)
    listed = model.impute([sines(80, missing=0.1), sines(20)[None]], quantile_levels=[0.1, 0.9])
    assert [one.shape for one in listed.values] == [(80,), (1, 20)]
    assert [one.shape for one in listed.quantiles] == [(80, 2), (1, 20, 2)]
    assert model.impute(np.arange(9)).values.dtype == np.arange(9).dtype  # nothing is missing: nothing is touched


@pytest.mark.parametrize("backbone", ["patch_transformer", "mixer", "mamba", "inverted"])
def test_one_window_is_what_the_model_says(backbone: str) -> None:
    model = reader(backbone)
    series = sines(64, channels=3, missing=0.2).astype(np.float32)
    values = torch.from_numpy(series)[None]
    seen = torch.isfinite(values)
    with torch.no_grad():
        read = (
            model.model(Problem(torch.where(seen, values, 0.0), seen, ~seen)).prediction[0].sort(dim=-1).values.numpy()
        )
    done = model.impute(series, cross_channel=False)
    missing = np.isnan(series)
    np.testing.assert_allclose(done.quantiles[missing], read[missing], rtol=1e-5)


def test_neither_batches_nor_neighbours_nor_padding_matter() -> None:
    model = trained("impute")
    many = [sines(length, missing=0.15, seed=length) for length in (200, 30, 64, 130, 9)]
    whole = model.impute(many).values
    for one, alone in zip(whole, many, strict=True):
        np.testing.assert_allclose(model.impute(alone).values, one, rtol=1e-4, atol=1e-4)
    for one, small in zip(whole, model.impute(many, batch_size=1).values, strict=True):
        np.testing.assert_allclose(small, one, rtol=1e-4, atol=1e-4)


def test_a_trained_model_fills_better_than_a_line_and_moves_with_the_series() -> None:
    model, truth = trained("impute"), sines(400)
    holed = truth.copy()
    for start in range(20, 380, 40):
        holed[start : start + 6] = np.nan
    missing = np.isnan(holed)
    filled = model.impute(holed).values
    line = np.interp(np.arange(400), np.flatnonzero(~missing), holed[~missing])
    error = [np.abs(one - truth)[missing].mean() for one in (filled, line)]
    assert error[0] < 0.4 * error[1]
    moved = model.impute(1000 * holed - 5).values
    np.testing.assert_allclose((moved + 5) / 1000, filled, rtol=1e-3, atol=1e-3 * truth.std())


def test_what_cannot_be_told_is_refused() -> None:
    long = sines(400)
    long[100:250] = np.nan
    with pytest.raises(ValueError, match=r"series 0 has no observed value in channel 0 within the 64 steps .* steps"):
        reader().impute(long)
    silent = sines(100, channels=2)
    silent[1] = np.nan
    with pytest.raises(ValueError, match="series 0 has no observed value in channel 1; drop or fill it"):
        reader().impute(silent)
    flat = ModelPredictor(tiny("patch_transformer"), name="flat", about=About(task={"name": "forecast"}))
    with pytest.raises(ValueError, match=r"flat was trained for task=forecast and its head predicts its horizon only"):
        flat.impute(sines())
    with pytest.raises(
        ValueError, match="predicts a label for a whole series, so it cannot impute; use a model trained"
    ):
        labeller().impute(sines())
    with pytest.raises(ValueError, match=r"levels \[0.01\] were requested of tiny; it can predict 0.1 to 0.9"):
        reader().impute(sines(), quantile_levels=[0.01])
    narrow = ModelPredictor(tiny("mixer", "channel_mlp"), name="three")
    with pytest.raises(ValueError, match="its head predicts its horizon only"):
        narrow.impute(sines())
    with pytest.raises(ValueError, match="batch_size is 0"):
        reader().impute(sines(missing=0.1), batch_size=0)


def test_rows_stay_and_the_target_is_filled() -> None:
    df = frame(target=sines(missing=0.1), note=np.array(["x"] * 300))
    before = df.copy()
    out = reader().impute_df(df, quantile_levels=[0.1, 0.9])
    pd.testing.assert_frame_equal(df, before)
    assert list(out.columns) == [*df.columns, "target_imputed", "target_0.1", "target_0.9"]
    pd.testing.assert_frame_equal(out[["item_id", "timestamp", "note"]], df[["item_id", "timestamp", "note"]])
    missing = df["target"].isna().to_numpy()
    np.testing.assert_array_equal(out["target_imputed"], missing)
    np.testing.assert_array_equal(out["target"][~missing], df["target"][~missing])
    assert out[["target", "target_0.1", "target_0.9"]].notna().all(axis=None)
    assert (out["target_0.9"] >= out["target"])[missing].all()
    assert "df: 3 steps without a row are taken as missing" in out.attrs["announcements"]
    again = reader().impute_df(df.sort_values(["item_id", "timestamp"]))
    np.testing.assert_array_equal(again["target"].reindex(df.index), out["target"])


def test_gaps_are_filled_when_asked() -> None:
    df = frame(target=sines(missing=0.1), other=np.arange(300))
    out = reader().impute_df(df, fill_gaps=True)
    assert len(out) == 600
    assert out["item_id"].unique().tolist() == df["item_id"].unique().tolist()
    for _, part in out.groupby("item_id"):
        assert (part["timestamp"].diff().dropna() == pd.Timedelta(hours=1)).all()
    assert int(out["other"].isna().sum()) == 3
    rows = out.merge(reader().impute_df(df), on=["item_id", "timestamp"], suffixes=("", "_rows"))
    np.testing.assert_array_equal(rows["target"], rows["target_rows"])
    for change in (
        lambda t: t.tz_localize("Europe/Berlin", nonexistent="shift_forward", ambiguous=True).tz_convert("UTC"),
        lambda t: t.astype(str),
    ):
        other = df.assign(timestamp=change(pd.DatetimeIndex(df["timestamp"])))
        zoned = reader().impute_df(other.drop_duplicates(["item_id", "timestamp"]), fill_gaps=True)
        assert pd.api.types.is_datetime64_any_dtype(zoned["timestamp"].dtype)
        assert zoned["timestamp"].notna().all()
    indexed = reader().impute_df(df.set_index(["item_id", "timestamp"]), fill_gaps=True)
    pd.testing.assert_series_equal(indexed["target"], out["target"])


def test_columns_of_the_user_are_found_and_kept() -> None:
    df = frame(y=sines(missing=0.1), z=sines(seed=1))
    df = df.rename(columns={"item_id": "unique_id", "timestamp": "ds"})
    out = reader().impute_df(df)
    assert out["y"].notna().all()
    both = reader().impute_df(df.astype({"z": "float32"}), target=["z", "y"])
    assert not both["z_imputed"].any()
    assert both["z"].dtype == np.float32
    pd.testing.assert_series_equal(both["z"], df["z"].astype("float32"))
    with pytest.raises(ValueError, match="df has a column 'y_imputed' already"):
        reader().impute_df(out)
    nullable = reader().impute_df(df.convert_dtypes())
    np.testing.assert_allclose(nullable["y"], out["y"])


def test_units_of_a_model_without_window_scaling_are_undone() -> None:
    model = ModelPredictor(
        tiny("patch_transformer", "quantiles", scaler="none"), name="m", about=About(standardize={"y": (50.0, 10.0)})
    )
    values = 50 + 10 * sines(missing=0.1)
    df = frame(y=values)
    plain = model.impute((values - 50) / 10).values * 10 + 50
    out = model.impute_df(df[df["item_id"] == "b"].sort_values("timestamp"), target="y")
    far = slice(152, None)  # beyond the windows that see the two rows which are not there
    np.testing.assert_allclose(out["y"].to_numpy()[150:], plain[far], rtol=1e-4)
    with pytest.raises(ValueError, match="knows only the units of y"):
        model.impute_df(df.rename(columns={"y": "x"}), target="x")


def test_a_forecaster_says_that_it_was_not_taught_to() -> None:
    out = reader(task={"name": "forecast"}).impute_df(frame(target=sines(missing=0.1)))
    assert any("trained for task=forecast, not to impute" in note for note in out.attrs["announcements"])
    assert not any("not to impute" in note for note in reader().impute_df(frame(target=sines())).attrs["announcements"])


def test_numbers_in_a_list_are_one_series() -> None:
    series = sines(70, missing=0.1).tolist()
    done = reader().impute(series)
    assert done.values.shape == (70,)
    np.testing.assert_array_equal(done.values, reader().impute(np.array(series)).values)
    np.testing.assert_array_equal(reader().impute([1.5, 2, None, 4]).values[[0, 1, 3]], [1.5, 2, 4])
    np.testing.assert_array_equal(reader().detect(series), reader().detect(np.array(series)))
    np.testing.assert_array_equal(reader().embed(tuple(series)), reader().embed(np.array(series)))
    say = reader().predict
    forecast = say(series, prediction_length=4)
    np.testing.assert_array_equal(forecast.predictions, say(np.array(series), prediction_length=4).predictions)
    for wrong in ([1.0, [2.0, 3.0]], [[1.0, 2.0], 3.0]):
        with pytest.raises(ValueError, match=r"series [01] has shape \(\); expected \[steps\]"):
            reader().impute(wrong)


@pytest.mark.parametrize("dtype", ["Int64", "object", "Float32", "float[pyarrow]", "int64"])
def test_observed_values_of_any_column_are_kept(dtype: str) -> None:
    values = [*range(40), 2**53, 2**54, None, *range(-9, 40)] if "loat" not in dtype else [0.5, None, *range(70)]
    stamps = pd.date_range("2024-01-01", periods=len(values), freq="h")
    df = pd.DataFrame({"timestamp": stamps, "target": pd.Series(values, dtype=object)})
    df = (
        df if dtype != "int64" else df.dropna()
    )  # a column of int64 has no missing value, but there may be gaps between its rows
    df["target"] = df["target"].astype(dtype)
    out = reader().impute_df(df, fill_gaps=True)
    seen = ~out["target_imputed"]
    assert int(out["target_imputed"].sum()) == 1
    assert out["target"].notna().all()
    assert [float(one) for one in out["target"][seen]] == [one for one in values if one is not None]
    told = [note for note in out.attrs["announcements"] if "becomes float64" in note]
    if "loat" in dtype.lower():
        assert out["target"].dtype == df["target"].dtype
        assert not told
    else:
        assert out["target"].dtype == np.float64
        assert told == [f"df: 'target' is {dtype}, and becomes float64 as values are filled"]


@pytest.mark.parametrize("dtype", ["Int64", "object", "int64"])
def test_integers_that_no_float_holds_are_refused_or_untouched(dtype: str) -> None:
    stamps = pd.date_range("2024-01-01", periods=90, freq="h")
    df = pd.DataFrame({"timestamp": stamps, "target": pd.array([2**53 + 1, *range(89)], dtype=dtype)})
    out = reader().impute_df(df)
    pd.testing.assert_series_equal(out["target"], df["target"])
    if dtype == "int64":
        df = df.drop(index=7)
    else:
        df.loc[7, "target"] = pd.NA
    with pytest.raises(ValueError, match=r"column 'target' holds 9007199254740993 in row 0, .*; subtract a constant"):
        reader().impute_df(df, fill_gaps=True)
