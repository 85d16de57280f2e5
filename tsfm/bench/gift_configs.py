"""Configurations of GIFT-Eval (arXiv:2410.10393) with public data, and their series. C variates, L steps.

A configuration is a file, a transform to the frequency of the benchmark, and the settings of its windows. The
transforms are inferred: with each of them the seasonal naive has its published MASE and CRPS to five digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tsfm.messages import did_you_mean
from tsfm.store.catalog import RAW_FOLDER, data_roots

if TYPE_CHECKING:
    from jaxtyping import Float

Transform = Callable[[pd.DataFrame], "list[Float[np.ndarray, 'C _']]"]
STEPS = {"M": 12, "W": 8, "D": 30, "H": 48, "T": 48, "S": 60}  # prediction length of the term "short"
M4_STEPS = {"A": 6, "Q": 8, "M": 18, "W": 13, "D": 14, "H": 48}
TERMS = {"short": 1, "medium": 10, "long": 15}  # factor of the prediction length
TEST_RATE, MAX_WINDOWS = 0.1, 20  # share of the shortest series that is scored; windows of a series


def as_stored(frame: pd.DataFrame) -> list[Float[np.ndarray, "C _"]]:
    """Return every item of a long table, train and test part joined, or the columns of a wide one."""
    if "item_id" not in frame:
        return _wide(frame.set_index("timestamp"))
    items = frame.groupby("item_id", sort=False, observed=True)["target"]
    return [item.to_numpy(np.float32)[None] for _, item in items]


def hourly_sum(frame: pd.DataFrame) -> list[Float[np.ndarray, "C L"]]:
    """Return hourly sums."""
    return _wide(_by_timestamp(frame).resample("h").sum())


def daily_sum(frame: pd.DataFrame) -> list[Float[np.ndarray, "C L"]]:
    """Return daily sums without the last day, which is not complete."""
    return _wide(_by_timestamp(frame).resample("D").sum().iloc[:-1])


def weekly_sum(frame: pd.DataFrame) -> list[Float[np.ndarray, "C L"]]:
    """Return weekly sums without the last week, which is not complete; weeks begin on the weekday of the first day."""
    return _wide(_weeks(frame).sum().iloc[:-1])


def weekly_mean(frame: pd.DataFrame) -> list[Float[np.ndarray, "C L"]]:
    """Return weekly means of the weeks of `weekly_sum`.

    Sums would have the same scores; the monthly configuration of the set consists of means.
    """
    return _wide(_weeks(frame).mean().iloc[:-1])


def monthly_sum(frame: pd.DataFrame) -> list[Float[np.ndarray, "C L"]]:
    """Return monthly sums."""
    return _wide(_by_timestamp(frame).resample("MS").sum())


def monthly_mean(frame: pd.DataFrame) -> list[Float[np.ndarray, "C L"]]:
    """Return monthly means."""
    return _wide(_by_timestamp(frame).resample("MS").mean())


def ten_minutes(frame: pd.DataFrame) -> list[Float[np.ndarray, "C L"]]:
    """Return the values on a regular grid of 10 minutes; missing timestamps are NaN."""
    return _wide(_by_timestamp(frame).asfreq("10min"))


def hourly_mean(frame: pd.DataFrame) -> list[Float[np.ndarray, "C L"]]:
    """Return hourly means without the last hour, which is not complete."""
    return _wide(_by_timestamp(frame).resample("h").mean().iloc[:-1])


def daily_mean(frame: pd.DataFrame) -> list[Float[np.ndarray, "C L"]]:
    """Return daily means without the last day, which is not complete."""
    return _wide(_by_timestamp(frame).resample("D").mean().iloc[:-1])


def _by_timestamp(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the numeric columns, indexed by timestamp; of a duplicate the first row."""
    return frame.drop_duplicates("timestamp").set_index("timestamp").select_dtypes("number")


def _weeks(frame: pd.DataFrame) -> Any:
    """Weeks that begin on the weekday of the first timestamp."""
    table = _by_timestamp(frame)
    return table.resample(f"W-{(table.index[0] - pd.Timedelta(days=1)).strftime('%a').upper()}")


def _wide(frame: pd.DataFrame) -> list[Float[np.ndarray, "C L"]]:
    """Return the columns as the variates of one series."""
    return [np.ascontiguousarray(frame.to_numpy(np.float32).T)]


@dataclass(frozen=True)
class GiftConfig:
    """A configuration: data set / frequency / term, and the published scores of its seasonal naive."""

    name: str
    file: str  # stem, in the folder `forecasting` of a data root
    transform: Transform
    horizon: int  # steps
    season_length: int  # steps, of MASE and the seasonal naive
    windows: int  # the last ones of each series, without overlap
    mase: float  # of the seasonal naive
    crps: float

    @property
    def term(self) -> str:
        """Return short, medium or long."""
        return self.name.rsplit("/", 1)[-1]

    @property
    def freq(self) -> str:
        """Return the frequency, such as 15T."""
        return self.name.split("/")[1]

    def read(self) -> list[Float[np.ndarray, "C _"]]:
        """Return the series, float32; NaN is missing."""
        return self.transform(pd.read_parquet(find_file(self.file)))


def prediction_length(freq: str, term: str, *, m4: bool) -> int:
    """Return the prediction length of GIFT-Eval: that of the unit of the frequency, times the factor of the term."""
    return (M4_STEPS if m4 else STEPS)[freq.lstrip("0123456789")] * TERMS[term]


def num_windows(shortest: int, *, horizon: int, m4: bool) -> int:
    """Return the number of windows of GIFT-Eval: 1 to 20 that cover a tenth of the shortest series; of M4 one."""
    return 1 if m4 else min(max(1, int(np.ceil(TEST_RATE * shortest / horizon))), MAX_WINDOWS)


def _ett(number: int, rows: Sequence[tuple[str, Transform, int, int, int, float, float]]) -> list[GiftConfig]:
    """Return the configurations of one transformer; hours, days and weeks are sums of the values of 15 minutes."""
    return [
        GiftConfig(f"ett{number}/{name}", f"ETTm{number}", transform, horizon, season, windows, mase, crps)
        for name, transform, horizon, season, windows, mase, crps in rows
    ]


GIFT = (  # seasonal naive: results/seasonal_naive of SalesforceAIResearch/gift-eval@4fd98a9
    *_ett(1, [
        ("15T/short", as_stored, 48, 96, 20, 0.93415, 0.24136),
        ("H/short", hourly_sum, 48, 24, 20, 0.97732, 0.24037),
        ("15T/medium", as_stored, 480, 96, 15, 1.18831, 0.32155),
        ("H/medium", hourly_sum, 480, 24, 4, 1.5678, 0.43491),
        ("15T/long", as_stored, 720, 96, 10, 1.19089, 0.34018),
        ("H/long", hourly_sum, 720, 24, 3, 1.4787, 0.47106),
        ("D/short", daily_sum, 30, 1, 3, 1.77837, 0.40843),
        ("W/short", weekly_sum, 8, 1, 2, 1.76892, 0.31183),
    ]),
    *_ett(2, [
        ("15T/short", as_stored, 48, 96, 20, 1.06731, 0.09638),
        ("H/short", hourly_sum, 48, 24, 20, 0.92317, 0.08895),
        ("15T/medium", as_stored, 480, 96, 15, 1.05124, 0.12413),
        ("H/medium", hourly_sum, 480, 24, 4, 1.23842, 0.18621),
        ("15T/long", as_stored, 720, 96, 10, 1.01266, 0.13282),
        ("H/long", hourly_sum, 720, 24, 3, 1.1284, 0.20791),
        ("D/short", daily_sum, 30, 1, 3, 1.39011, 0.15331),
        ("W/short", weekly_sum, 8, 1, 2, 0.77852, 0.13368),
    ]),
    GiftConfig("m4_hourly/H/short", "m4_hourly", as_stored, 48, 24, 1, 1.19321, 0.03757),
    GiftConfig("m4_weekly/W/short", "m4_weekly", as_stored, 13, 1, 1, 2.7773, 0.06087),
    GiftConfig("hospital/M/short", "hospital", as_stored, 12, 12, 1, 0.92053, 0.06249),
    GiftConfig("us_births/D/short", "us_births", as_stored, 30, 1, 20, 1.86484, 0.11953),
    GiftConfig("us_births/W/short", "us_births", weekly_sum, 8, 1, 14, 1.56342, 0.0193),
    GiftConfig("us_births/M/short", "us_births", monthly_sum, 12, 12, 2, 0.76053, 0.01683),
    GiftConfig("saugeen/D/short", "saugeen_river", as_stored, 30, 1, 20, 3.41305, 0.58501),
    GiftConfig("saugeen/W/short", "saugeen_river", weekly_mean, 8, 1, 20, 1.99066, 0.73404),
    GiftConfig("saugeen/M/short", "saugeen_river", monthly_mean, 12, 12, 7, 0.97637, 0.44508),
    GiftConfig("jena_weather/10T/short", "weather", ten_minutes, 48, 144, 20, 0.74289, 0.1552),
    GiftConfig("jena_weather/H/short", "weather", hourly_mean, 48, 24, 19, 0.72291, 0.15421),
    GiftConfig("jena_weather/10T/medium", "weather", ten_minutes, 480, 144, 11, 0.71601, 0.21184),
    GiftConfig("jena_weather/H/medium", "weather", hourly_mean, 480, 24, 2, 0.88861, 0.34281),
    GiftConfig("jena_weather/10T/long", "weather", ten_minutes, 720, 144, 8, 0.76149, 0.23719),
    GiftConfig("jena_weather/H/long", "weather", hourly_mean, 720, 24, 2, 1.26772, 0.41914),
    GiftConfig("jena_weather/D/short", "weather", daily_mean, 30, 1, 2, 1.57341, 0.21059),
)  # fmt: skip


def find_file(stem: str) -> Path:
    """Return the file `stem`.parquet of the first data root that has it.

    Raises
    ------
    FileNotFoundError
        If no data root has it.
    """
    searched = [root / RAW_FOLDER / f"{stem}.parquet" for root in data_roots()]
    for path in searched:
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{stem}.parquet is not on this machine (searched {', '.join(map(str, searched))}); set TSFM_DATA to a folder "
        f"that holds {RAW_FOLDER}/{stem}.parquet, or choose other configurations by bench.configs"
    )


def select_configs(names: Sequence[str] | None) -> list[GiftConfig]:
    """Return the named configurations (None: all), in the order of `GIFT`.

    Raises
    ------
    ValueError
        If a name is unknown, or there is none.
    """
    if names is None:
        return list(GIFT)
    known = [entry.name for entry in GIFT]
    for name in names:
        if name not in known:
            raise ValueError(f"bench.configs has {name!r}; {did_you_mean(name, known)}")
    if not names:
        raise ValueError("bench.configs is empty; name at least one configuration, or null for all")
    return [entry for entry in GIFT if entry.name in set(names)]
