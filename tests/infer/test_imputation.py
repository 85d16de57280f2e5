"""Imputation: observed values stay bit for bit, missing ones are filled, in the form and order of the input."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.infer.small_models import label_model, sines, step_model, trained_model
from tests.tiny import tiny
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.model.checkpoint import About
from tsfm.types import Problem


def frame(**columns: np.ndarray) -> pd.DataFrame:
    """Two items, their rows mixed, without three of their rows."""
    stamps = pd.date_range("2024-03-30 20:00", periods=300, freq="h")
    parts = [pd.DataFrame({"item_id": name, "timestamp": stamps, **columns}) for name in ("b", "a")]
    rows = pd.concat(parts, ignore_index=True).drop(index=[40, 41, 350])
    return rows.sample(frac=1, random_state=0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("channels", [None, 2])
def test_observed_values_stay_and_the_others_are_filled(dtype: type, channels: int | None) -> None:
    series = sines(missing=0.1, channels=channels).astype(dtype)
    before, missing = series.copy(), np.isnan(series)
    imputed = step_model().impute(series)
    assert imputed.values.dtype == dtype
    np.testing.assert_array_equal(imputed.values[~missing], series[~missing])
    np.testing.assert_array_equal(series, before)
    assert np.isfinite(imputed.values).all()
    assert imputed.quantiles.shape == (*series.shape, 9)
    assert (np.diff(imputed.quantiles, axis=-1) >= 0).all()
    np.testing.assert_array_equal(imputed.values[missing].astype(np.float32), imputed.quantiles[missing][:, 4])
    np.testing.assert_array_equal(
        imputed.quantiles[~missing], np.repeat(series[~missing, None].astype(np.float32), 9, 1)
    )


def test_the_form_is_kept() -> None:
    model, stack = step_model(), np.stack([sines(64, channels=2, missing=0.1, seed=seed) for seed in range(3)])
    assert model.impute(stack).values.shape == (3, 2, 64)
    listed = model.impute([sines(80, missing=0.1), sines(20)[None]], quantile_levels=[0.1, 0.9])
    assert [values.shape for values in listed.values] == [(80,), (1, 20)]
    assert [quantiles.shape for quantiles in listed.quantiles] == [(80, 2), (1, 20, 2)]
    assert model.impute(np.arange(9)).values.dtype == np.arange(9).dtype  # nothing is missing: nothing is touched


@pytest.mark.parametrize("backbone", ["patch_transformer", "mixer", "mamba", "inverted"])
def test_one_window_agrees_with_the_network(backbone: str) -> None:
    model = step_model(backbone)
    series = sines(64, channels=3, missing=0.2).astype(np.float32)
    values = torch.from_numpy(series)[None]
    observed = torch.isfinite(values)
    with torch.no_grad():
        answer = model.model(Problem(torch.where(observed, values, 0.0), observed, ~observed))
    expected = answer.prediction[0].sort(dim=-1).values.numpy()
    imputed = model.impute(series[None], cross_channel=False)
    missing = np.isnan(series)
    np.testing.assert_allclose(imputed.quantiles[0][missing], expected[missing], rtol=1e-5)


def test_neither_batches_nor_neighbours_nor_padding_matter() -> None:
    model = trained_model("impute")
    series = [sines(length, missing=0.15, seed=length) for length in (200, 30, 64, 130, 9)]
    whole = model.impute(series).values
    for values, alone in zip(whole, series, strict=True):
        np.testing.assert_allclose(model.impute(alone).values, values, rtol=1e-4, atol=1e-4)
    for values, single in zip(whole, model.impute(series, batch_size=1).values, strict=True):
        np.testing.assert_allclose(single, values, rtol=1e-4, atol=1e-4)


def test_a_trained_model_fills_better_than_a_line_and_moves_with_the_series() -> None:
    model, actual = trained_model("impute"), sines(400)
    holed = actual.copy()
    for start in range(20, 380, 40):
        holed[start : start + 6] = np.nan
    missing = np.isnan(holed)
    filled = model.impute(holed).values
    line = np.interp(np.arange(400), np.flatnonzero(~missing), holed[~missing])
    error = [np.abs(values - actual)[missing].mean() for values in (filled, line)]
    assert error[0] < 0.4 * error[1]
    moved = model.impute(1000 * holed - 5).values
    np.testing.assert_allclose((moved + 5) / 1000, filled, rtol=1e-3, atol=1e-3 * actual.std())


def test_what_cannot_be_imputed_is_refused() -> None:
    long = sines(400)
    long[100:250] = np.nan
    with pytest.raises(ValueError, match=r"series 0 has no observed value in channel 0 within the 64 steps .* steps"):
        step_model().impute(long)
    silent = sines(100, channels=2)
    silent[1] = np.nan
    with pytest.raises(ValueError, match="series 0 has no observed value in channel 1; drop or fill it"):
        step_model().impute([silent])
    flat = ModelPredictor(tiny("patch_transformer"), name="flat", about=About(task={"name": "forecast"}))
    with pytest.raises(ValueError, match=r"flat was trained for task=forecast and its head predicts its horizon only"):
        flat.impute(sines())
    with pytest.raises(
        ValueError, match="predicts a label for a whole series, so it cannot impute; use a model trained"
    ):
        label_model().impute(sines())
    with pytest.raises(ValueError, match=r"levels \[0.01\] were requested of tiny; it can predict 0.1 to 0.9"):
        step_model().impute(sines(), quantile_levels=[0.01])
    narrow = ModelPredictor(tiny("mixer", "channel_mlp"), name="three")
    with pytest.raises(ValueError, match="its head predicts its horizon only"):
        narrow.impute(sines())
    with pytest.raises(ValueError, match="batch_size is 0"):
        step_model().impute(sines(missing=0.1), batch_size=0)


def test_quantiles_have_the_order_of_the_levels() -> None:
    model, values = step_model(), sines(missing=0.1)
    ascending = model.impute(values, quantile_levels=[0.1, 0.25, 0.9]).quantiles
    np.testing.assert_array_equal(
        model.impute(values, quantile_levels=[0.9, 0.1, 0.25]).quantiles, ascending[..., [2, 0, 1]]
    )
    out = model.impute_df(frame(target=values), quantile_levels=[0.9, 0.1])
    assert list(out.columns[-2:]) == ["target_0.9", "target_0.1"]


def test_rows_stay_and_the_target_is_filled() -> None:
    df = frame(target=sines(missing=0.1), note=np.array(["x"] * 300))
    before = df.copy()
    out = step_model().impute_df(df, quantile_levels=[0.1, 0.9])
    pd.testing.assert_frame_equal(df, before)
    assert list(out.columns) == [*df.columns, "target_imputed", "target_0.1", "target_0.9"]
    pd.testing.assert_frame_equal(out[["item_id", "timestamp", "note"]], df[["item_id", "timestamp", "note"]])
    missing = df["target"].isna().to_numpy()
    np.testing.assert_array_equal(out["target_imputed"], missing)
    np.testing.assert_array_equal(out["target"][~missing], df["target"][~missing])
    assert out[["target", "target_0.1", "target_0.9"]].notna().all(axis=None)
    assert (out["target_0.9"] >= out["target"])[missing].all()
    assert "df: 3 steps without a row are taken as missing" in out.attrs["announcements"]
    again = step_model().impute_df(df.sort_values(["item_id", "timestamp"]))
    np.testing.assert_array_equal(again["target"].reindex(df.index), out["target"])


def test_gaps_are_filled_on_request() -> None:
    df = frame(target=sines(missing=0.1), other=np.arange(300))
    out = step_model().impute_df(df, fill_gaps=True)
    assert len(out) == 600
    assert out["item_id"].unique().tolist() == df["item_id"].unique().tolist()
    for _, rows in out.groupby("item_id"):
        assert (rows["timestamp"].diff().dropna() == pd.Timedelta(hours=1)).all()
    assert int(out["other"].isna().sum()) == 3
    rows = out.merge(step_model().impute_df(df), on=["item_id", "timestamp"], suffixes=("", "_rows"))
    np.testing.assert_array_equal(rows["target"], rows["target_rows"])
    for change in (
        lambda t: t.tz_localize("Europe/Berlin", nonexistent="shift_forward", ambiguous=True).tz_convert("UTC"),
        lambda t: t.astype(str),
    ):
        other = df.assign(timestamp=change(pd.DatetimeIndex(df["timestamp"])))
        zoned = step_model().impute_df(other.drop_duplicates(["item_id", "timestamp"]), fill_gaps=True)
        assert pd.api.types.is_datetime64_any_dtype(zoned["timestamp"].dtype)
        assert zoned["timestamp"].notna().all()
    indexed = step_model().impute_df(df.set_index(["item_id", "timestamp"]), fill_gaps=True)
    pd.testing.assert_series_equal(indexed["target"], out["target"])


def test_columns_of_the_user_are_found_and_kept() -> None:
    df = frame(y=sines(missing=0.1), z=sines(seed=1))
    df = df.rename(columns={"item_id": "unique_id", "timestamp": "ds"})
    out = step_model().impute_df(df)
    assert out["y"].notna().all()
    both = step_model().impute_df(df.astype({"z": "float32"}), target=["z", "y"])
    assert not both["z_imputed"].any()
    assert both["z"].dtype == np.float32
    pd.testing.assert_series_equal(both["z"], df["z"].astype("float32"))
    with pytest.raises(ValueError, match="df has a column 'y_imputed' already"):
        step_model().impute_df(out)
    nullable = step_model().impute_df(df.convert_dtypes())
    np.testing.assert_allclose(nullable["y"], out["y"])


def test_units_of_a_model_without_window_scaling_are_undone() -> None:
    model = ModelPredictor(
        tiny("patch_transformer", "quantiles", scaler="none"), name="m", about=About(standardize={"y": (50.0, 10.0)})
    )
    values = 50 + 10 * sines(missing=0.1)
    df = frame(y=values)
    plain = model.impute((values - 50) / 10).values * 10 + 50
    out = model.impute_df(df[df["item_id"] == "b"].sort_values("timestamp"), target="y")
    far = slice(152, None)  # beyond the windows with the rows that are absent
    np.testing.assert_allclose(out["y"].to_numpy()[150:], plain[far], rtol=1e-4)
    with pytest.raises(ValueError, match="knows only the units of y"):
        model.impute_df(df.rename(columns={"y": "x"}), target="x")


def test_a_forecaster_announces_that_it_was_not_trained_to_impute() -> None:
    out = step_model(task={"name": "forecast"}).impute_df(frame(target=sines(missing=0.1)))
    assert any("trained for task=forecast, not to impute" in note for note in out.attrs["announcements"])
    assert not any(
        "not to impute" in note for note in step_model().impute_df(frame(target=sines())).attrs["announcements"]
    )


def test_numbers_in_a_list_are_one_series() -> None:
    series = sines(70, missing=0.1).tolist()
    imputed = step_model().impute(series)
    assert imputed.values.shape == (70,)
    np.testing.assert_array_equal(imputed.values, step_model().impute(np.array(series)).values)
    np.testing.assert_array_equal(step_model().impute([1.5, 2, None, 4]).values[[0, 1, 3]], [1.5, 2, 4])
    np.testing.assert_array_equal(step_model().detect(series), step_model().detect(np.array(series)))
    np.testing.assert_array_equal(step_model().embed(tuple(series)), step_model().embed(np.array(series)))
    predict = step_model().predict
    forecast = predict(series, prediction_length=4)
    np.testing.assert_array_equal(forecast.predictions, predict(np.array(series), prediction_length=4).predictions)
    for wrong in ([1.0, [2.0, 3.0]], [[1.0, 2.0], 3.0]):
        with pytest.raises(ValueError, match=r"series [01] has shape \(\); expected \[steps\]"):
            step_model().impute(wrong)


@pytest.mark.parametrize("dtype", ["Int64", "object", "Float32", "float[pyarrow]", "int64"])
def test_observed_values_of_any_column_are_kept(dtype: str) -> None:
    values = [*range(40), 2**53, 2**54, None, *range(-9, 40)] if "loat" not in dtype else [0.5, None, *range(70)]
    stamps = pd.date_range("2024-01-01", periods=len(values), freq="h")
    df = pd.DataFrame({"timestamp": stamps, "target": pd.Series(values, dtype=object)})
    df = (
        df if dtype != "int64" else df.dropna()
    )  # a column of int64 has no missing value, but there may be gaps between its rows
    df["target"] = df["target"].astype(dtype)
    out = step_model().impute_df(df, fill_gaps=True)
    observed = ~out["target_imputed"]
    assert int(out["target_imputed"].sum()) == 1
    assert out["target"].notna().all()
    assert [float(value) for value in out["target"][observed]] == [value for value in values if value is not None]
    notes = [note for note in out.attrs["announcements"] if "becomes float64" in note]
    if "loat" in dtype.lower():
        assert out["target"].dtype == df["target"].dtype
        assert not notes
    else:
        assert out["target"].dtype == np.float64
        assert notes == [f"df: 'target' is {dtype}, and becomes float64 as values are filled"]


@pytest.mark.parametrize("dtype", ["Int64", "object", "int64"])
def test_integers_that_no_float_holds_are_refused_or_untouched(dtype: str) -> None:
    stamps = pd.date_range("2024-01-01", periods=90, freq="h")
    df = pd.DataFrame({"timestamp": stamps, "target": pd.array([2**53 + 1, *range(89)], dtype=dtype)})
    out = step_model().impute_df(df)
    pd.testing.assert_series_equal(out["target"], df["target"])
    if dtype == "int64":
        df = df.drop(index=7)
    else:
        df.loc[7, "target"] = pd.NA
    with pytest.raises(ValueError, match=r"column 'target' holds 9007199254740993 in row 0, .*; subtract a constant"):
        step_model().impute_df(df, fill_gaps=True)
