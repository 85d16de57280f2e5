"""Laws of back-tests: each forecast is that of the past alone, scores are those of the metrics, nothing is lost."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tsfm
from tests.infer.small_models import step_model
from tsfm.bench.baselines.simple import SeasonalNaive
from tsfm.ensemble.adaptive import AdaptiveForecaster
from tsfm.infer.predictor import DECILES
from tsfm.metrics import forecast as metrics
from tsfm.metrics.forecast_score import ForecastScore

H, W = 5, 3


class Observing(SeasonalNaive):
    """A forecaster with covariates that keeps what it was given."""

    name = "observing"
    uses_covariates = True

    def __init__(self):
        super().__init__()
        self.known: list[np.ndarray] = []

    def quantiles(self, context, **options):
        self.known += list(options["known"])
        return super().quantiles(context, **options)


def panel(lengths: tuple[int, ...] = (60, 52), *, level: float = 0.0, freq: str = "D") -> pd.DataFrame:
    """Noisy weeks that end at different times, with a gap in the first."""
    rng = np.random.default_rng(0)
    items = []
    for number, length in enumerate(lengths):
        values = level + 5 + np.sin(np.arange(length) * 2 * np.pi / 7) + 0.3 * rng.normal(size=length)
        times = pd.date_range("2024-01-01", periods=length, freq=freq)
        items.append(pd.DataFrame({"item_id": f"i{number}", "timestamp": times, "target": values}))
    items[0] = items[0].drop(index=[20, 21])
    return pd.concat(items, ignore_index=True)


def run(df: Any, horizon: int = H, **options: Any) -> Any:
    return tsfm.backtest(df, horizon, **({"windows": W, "models": ["drift"], "progress": False} | options))


def ensemble() -> AdaptiveForecaster:
    return AdaptiveForecaster(SeasonalNaive())


def cases(*, refits: bool = False) -> list[Any]:
    """Forecasters, levels of the series (float32 needs a constant subtracted at the high one) and `refit`."""
    full = [(make, level, True) for make in (step_model, SeasonalNaive) for level in (0.0, 3e6)]
    slow = [(ensemble, level, refit) for level in (0.0, 3e6) for refit in ((True, False) if refits else (True,))]
    return [*full, *(pytest.param(*case, marks=pytest.mark.slow) if case[1] else case for case in slow)]


@pytest.mark.parametrize(("make", "level", "refit"), cases())
def test_a_forecast_is_that_of_the_rows_up_to_its_cutoff(make: Any, level: float, refit: bool) -> None:
    df, model = panel((60, 60), level=level), make()
    out = run(df, models={"m": model}, windows=2, refit=refit).forecasts
    for cutoff, rows in out.groupby("cutoff"):
        past = df[df["timestamp"] <= cutoff]
        expected = model.predict_df(past, H, quantile_levels=[0.1, 0.9])
        assert np.array_equal(rows["timestamp"], expected["timestamp"])
        for column, name in (("m", "predictions"), ("m-lo-80", "0.1"), ("m-hi-80", "0.9")):
            assert np.array_equal(rows[column], expected[name]), (cutoff, column)
    actual = out.merge(df, on=["item_id", "timestamp"], suffixes=("", "_df"))
    assert np.array_equal(actual["target"], actual["target_df"])


@pytest.mark.parametrize(("make", "level", "refit"), cases(refits=True))
def test_values_after_a_cutoff_change_no_forecast_of_it(make: Any, level: float, refit: bool) -> None:
    """Also where the items end at different times, and a value later than the cutoff is in the past of another item."""
    df = panel((50, 46), level=level)
    options: dict[str, Any] = {"models": {"m": make()}, "refit": refit, "step": 4, "windows": 2}
    before = run(df, **options).forecasts
    cutoff = sorted(before["cutoff"].unique())[1]
    poisoned = df.assign(target=df["target"].where(df["timestamp"] <= cutoff, 1e9))
    after = run(poisoned, **options).forecasts
    columns = [name for name in before if name.startswith("m")]
    rows = before["cutoff"] <= cutoff
    assert rows.sum() == 3 * H  # both items, and the earlier window of the second
    assert np.array_equal(before.loc[rows, columns], after.loc[rows, columns])
    assert (after.loc[~rows, columns].to_numpy() > 1e8).any()


def test_known_covariates_are_visible_over_the_horizon_and_others_are_not() -> None:
    df = panel((60,)).drop(columns="item_id")
    df["price"], df["weather"] = np.arange(len(df)) + 100.0, np.arange(len(df)) + 500.0
    model = Observing()
    run(df, models={"m": model}, known=["price"], target="target")
    assert len(model.known) == W
    for number, (weather, price) in enumerate(reversed(model.known)):  # the longest come first
        cut = 60 - (W - number) * H
        weather, price = weather[-cut - H :], price[-cut - H :]
        assert np.array_equal(np.isnan(weather[-H:]), [True] * H)
        assert np.array_equal(
            price[-H:], df["price"].iloc[cut - 2 : cut + H - 2].astype(np.float32)
        )  # 2 rows less: a gap


def test_known_categories_are_read_and_a_missing_value_names_the_item() -> None:
    df = panel()
    df["promotion"] = np.where(df["timestamp"].dt.dayofweek == 5, "sale", "none")
    df["price"] = 1.0
    model = Observing()
    run(df, models={"m": model}, known=["promotion"])
    assert set(np.unique(np.concatenate(model.known)[-1][-H:])) <= {0.0, 1.0}
    df.loc[df.index[-1], "price"] = np.nan
    with pytest.warns(tsfm.FailedItemWarning, match=r"item 'i1' lacks 'price' at a step that is forecast"):
        result = run(df, models=[Observing()], known=["price"])
    assert result.forecasts["item_id"].unique().tolist() == ["i0"]
    with pytest.raises(ValueError, match=r"df has no covariate 'prise', it has 'promotion', 'price'"):
        run(df, known=["prise"])


def test_a_known_covariate_at_a_step_without_a_row_is_the_last_one() -> None:
    df = panel((60,)).assign(price=lambda rows: np.arange(len(rows)) + 1.0)
    model = Observing()
    run(df.drop(index=df.index[-3]), models={"m": model}, known=["price"], windows=1)
    assert model.known[0][0, -4:].tolist() == [55.0, 55.0, 57.0, 58.0]


def test_scores_are_those_of_the_metrics() -> None:
    df = panel((70, 61, 40))
    result = run(df, models=["drift", step_model()], level=[80, 50])
    out, total = result.forecasts, result.scores().set_index("model")
    for name, forecast in zip(result.models, result.by_model, strict=True):
        score = ForecastScore(forecast.contender.quantile_levels, 7)
        score.update(result.windows.y_true, forecast.quantiles, scale=result.windows.scale)
        expected = score.result()
        assert total.loc[name, "mase"] == pytest.approx(expected["mase"])
        assert total.loc[name, "windows"] == expected["windows"]
        deciles = np.stack([forecast.quantile(level) for level in DECILES], axis=-1)
        assert total.loc[name, "wql"] == pytest.approx(metrics.wql(result.windows.y_true, deciles, DECILES))
        for level in (50, 80):
            bounds = [out[f"{name}-{side}-{level}"] for side in ("lo", "hi")]
            assert total.loc[name, f"coverage_{level}"] == pytest.approx(metrics.coverage(out["target"], *bounds))
    for by in ("item", "cutoff", "step", "target"):
        table = result.scores(by)
        for name in result.models:
            rows = table[table["model"] == name]
            if by in ("item", "cutoff"):
                assert rows["windows"].sum() == 9
        assert table.groupby(by)["model"].apply(list).map(lambda names: names == result.models).all()
    assert total.loc["seasonal_naive", ["mase_relative", "wql_relative"]].tolist() == [1.0, 1.0]
    names = ["mase", "wql", "mase_relative"]
    of_item = result.scores("item").set_index(["item", "model"]).loc[("i1", "drift")]
    alone = run(df[df["item_id"] == "i1"]).scores().set_index("model").loc["drift"]
    assert of_item[names].tolist() == pytest.approx(alone[names].tolist())


def test_nixtla_names_and_what_its_evaluation_makes_of_them() -> None:
    evaluation = pytest.importorskip("utilsforecast.evaluation")
    losses = pytest.importorskip("utilsforecast.losses")
    df = panel((60, 60)).rename(columns={"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    result = run(df, style="nixtla")
    assert result.forecasts.columns.tolist()[:8] == [
        "unique_id", "ds", "cutoff", "y", "drift", "drift-lo-95", "drift-lo-80", "drift-hi-80",
    ]  # fmt: skip
    table = result.forecasts.dropna()
    scored = evaluation.evaluate(table.drop(columns="cutoff"), metrics=[losses.mae], models=["drift"])
    expected = (table["y"] - table["drift"]).abs().groupby(table["unique_id"]).mean()
    assert scored["drift"].tolist() == pytest.approx(expected.tolist())
    own = run(df).forecasts
    assert own.columns.tolist()[:5] == ["unique_id", "ds", "cutoff", "y", "drift"]


def test_short_items_are_named_and_left_out() -> None:
    df = panel((60, 9, 4)).replace("i2", "tiny")
    with pytest.warns(tsfm.FailedItemWarning, match="1 of 3 items are left out. item 'tiny' has 4 steps; a window"):
        result = run(df)
    assert result.forecasts["item_id"].unique().tolist() == ["i0", "i1"]
    assert list(result.failed_items) == ["tiny"]
    assert any("1 of 2 items have fewer than 3 windows" in note for note in result.announcements)
    assert result.scores("item").set_index(["item", "model"]).loc[("i1", "drift"), "windows"] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", tsfm.FailedItemWarning)
        assert list(run(df, errors="skip").failed_items) == ["tiny"]
    with pytest.raises(ValueError, match=r"item 'tiny' has 4 steps; .* choose a smaller horizon"):
        run(df, errors="raise")


def test_steps_without_a_value_are_not_scored() -> None:
    df = panel((60,))
    df.loc[df.index[-3], "target"] = np.nan
    with_tail = pd.concat(
        [df, df.tail(4).assign(timestamp=lambda t: t["timestamp"] + pd.Timedelta("4D"), target=np.nan)]
    )
    result, same = run(df), run(with_tail)
    assert result.forecasts["target"].isna().sum() == 1
    assert same.forecasts.equals(result.forecasts)
    assert result.scores("step").set_index(["step", "model"]).loc[(3, "drift"), "windows"] == W - 1


@pytest.mark.parametrize("kind", ["index", "polars", "period", "numbers", "zone", "without ids"])
def test_every_kind_of_frame(kind: str) -> None:
    df = panel((60, 60)).drop(index=[])
    expected = run(df).forecasts
    if kind == "polars":
        frame = pytest.importorskip("polars").from_pandas(df)
        out = run(frame).forecasts
        assert type(out) is type(frame)
        out = out.to_pandas()
    elif kind == "index":
        out = run(df.set_index(["item_id", "timestamp"])).forecasts
    elif kind == "period":
        out = run(df.assign(timestamp=df["timestamp"].dt.to_period("D"))).forecasts
        assert out["cutoff"].dtype == out["timestamp"].dtype == "period[D]"
    elif kind == "numbers":
        out = run(df.assign(timestamp=(df["timestamp"] - df["timestamp"].min()).dt.days), freq="D").forecasts
        assert out["cutoff"].iloc[0] == 44
    elif kind == "zone":
        out = run(df.assign(timestamp=df["timestamp"].dt.tz_localize("Europe/Berlin"))).forecasts
        assert str(out["cutoff"].dt.tz) == str(out["timestamp"].dt.tz) == "Europe/Berlin"
    else:
        out, expected = (run(df[df["item_id"] == "i1"].drop(columns=c)).forecasts for c in (["item_id"], []))
    assert np.array_equal(out.select_dtypes("number").iloc[:, -9:], expected.select_dtypes("number").iloc[:, -9:])


def test_several_targets() -> None:
    df = panel().assign(price=lambda t: 3 * t["target"])
    out = run(df, target=["target", "price"]).forecasts
    assert out.columns.tolist()[:5] == ["item_id", "timestamp", "cutoff", "target_name", "y"]
    wide = out.pivot(index=["item_id", "timestamp", "cutoff"], columns="target_name", values="drift")
    assert np.allclose(wide["price"], 3 * wide["target"], rtol=1e-5)
    with pytest.raises(ValueError, match="one column of values"):
        run(df, target=["target", "price"], style="nixtla")


def test_efforts_and_labels() -> None:
    model = step_model()
    result = run(panel((60, 60)), models=[model, "seasonal_naive"], effort=["fast", "auto"])
    assert result.models == ["tiny (fast)", "tiny", "seasonal_naive"]
    assert run(panel(), models={"a": model, "b": "drift"}).models == ["a", "b", "seasonal_naive"]
    best = run(panel((60, 60)), models=step_model(), effort="best", windows=1)
    assert best.models == ["tiny (best)", "seasonal_naive"]
    assert best.explanation[0].startswith("tiny (best), cutoff 2024-02-24 00:00:00: back-test on ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["drift", "drift"]}, "two models are called 'drift'"),
        ({"models": ["drfit"]}, "no predictor 'drfit'.*did you mean 'drift'"),
        ({"models": []}, "there are no models"),
        ({"models": [3]}, "a model is of type int"),
        ({"effort": "bst"}, "effort is 'bst'; did you mean 'best'"),
        ({"effort": []}, "effort is .*; give one of fast, auto, best"),
        ({"windows": 0}, "windows is 0; expected at least 1"),
        ({"step": 1.5}, "step is 1.5 .*expected a whole number of steps"),
        ({"horizon": 0}, "prediction_length is 0"),
        ({"level": [120]}, "level is .*expected intervals in percent"),
        ({"style": "wide"}, "style is 'wide'"),
        ({"target": "targte"}, "no target column 'targte'"),
        ({"horizon": 200}, "has 60 steps; a window of 200 leaves no observed value"),
        ({"models": {"target": "drift"}}, "two columns 'target'"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(panel((60, 50)), **options)


def test_the_picture_joins_values_and_forecasts() -> None:
    result = run(panel((60, 52)), models=["drift"])
    figure = result.plot(max_panels=1, title="Weeks")
    assert figure.get_suptitle() == "Weeks (1 of 2 series)"
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    rows = result.forecasts.query("item_id == 'i0'").head(H)
    first, *forecast = lines["drift"].get_ydata()
    assert np.array_equal(forecast, rows["drift"])
    assert first == panel().set_index(["item_id", "timestamp"]).loc[("i0", rows["cutoff"].iloc[0]), "target"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "observed", "80 % interval", "95 % interval", "drift", "seasonal_naive",
    ]  # fmt: skip
    assert axes.get_title("left").startswith("i0: target  (MASE of drift ")
    for options, message in (({"models": "drfit"}, "did you mean 'drift'"), ({"item": "x"}, "has no item 'x'")):
        with pytest.raises(ValueError, match=message):
            result.plot(**options)
