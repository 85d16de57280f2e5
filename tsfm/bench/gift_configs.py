"""The configurations of GIFT-Eval (arXiv:2410.10393) whose data tsfm's users can lay beside them, and their series.

A configuration is a file, a transform that brings it to the benchmark's frequency, and a rule. The transforms were
found by trial: with each of them the seasonal naive equals its published MASE and CRPS to five digits.
C variates, L steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsfm.messages import did_you_mean
from tsfm.store.catalog import RAW_FOLDER, data_roots

if TYPE_CHECKING:
    from jaxtyping import Float

Transform = Callable[[pd.DataFrame], "list[Float[np.ndarray, 'C L']]"]
STEPS = {"M": 12, "W": 8, "D": 30, "H": 48, "T": 48, "S": 60}  # prediction length of the term "short"
M4_STEPS = {"A": 6, "Q": 8, "M": 18, "W": 13, "D": 14, "H": 48}
TERMS = {"short": 1, "medium": 10, "long": 15}  # what multiplies it
SHARE, MOST = 0.1, 20  # test part of the shortest series; windows


def as_stored(frame: pd.DataFrame) -> list[np.ndarray]:
    """Every item of a long table, train and test part joined, or the columns of a wide one."""
    if "item_id" not in frame:
        return _wide(frame.set_index("timestamp"))
    parts = frame.groupby("item_id", sort=False, observed=True)["target"]
    return [part.to_numpy(np.float32)[None] for _, part in parts]


def hourly_sum(frame: pd.DataFrame) -> list[np.ndarray]:
    return _wide(_clock(frame).resample("h").sum())


def daily_sum(frame: pd.DataFrame) -> list[np.ndarray]:
    """The last day is not whole and is dropped."""
    return _wide(_clock(frame).resample("D").sum().iloc[:-1])


def weekly_sum(frame: pd.DataFrame) -> list[np.ndarray]:
    """Weeks that end on the weekday before the first stamp's; the last is not whole and is dropped."""
    return _wide(_weeks(frame).sum().iloc[:-1])


def weekly_mean(frame: pd.DataFrame) -> list[np.ndarray]:
    """As `weekly_sum`; the sum gives the same scores, the monthly configuration of this set is known to be means."""
    return _wide(_weeks(frame).mean().iloc[:-1])


def monthly_sum(frame: pd.DataFrame) -> list[np.ndarray]:
    return _wide(_clock(frame).resample("MS").sum())


def monthly_mean(frame: pd.DataFrame) -> list[np.ndarray]:
    return _wide(_clock(frame).resample("MS").mean())


def ten_minutes(frame: pd.DataFrame) -> list[np.ndarray]:
    """On its grid: the gap in the stamps is NaN."""
    return _wide(_clock(frame).asfreq("10min"))


def hourly_mean(frame: pd.DataFrame) -> list[np.ndarray]:
    """The last hour is not whole and is dropped."""
    return _wide(_clock(frame).resample("h").mean().iloc[:-1])


def daily_mean(frame: pd.DataFrame) -> list[np.ndarray]:
    """The last day is not whole and is dropped."""
    return _wide(_clock(frame).resample("D").mean().iloc[:-1])


def _clock(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers alone, by their stamps; a stamp that occurs twice counts once."""
    return frame.drop_duplicates("timestamp").set_index("timestamp").select_dtypes("number")


def _weeks(frame: pd.DataFrame):
    table = _clock(frame)
    return table.resample(f"W-{(table.index[0] - pd.Timedelta(days=1)).strftime('%a').upper()}")


def _wide(frame: pd.DataFrame) -> list[np.ndarray]:
    return [np.ascontiguousarray(frame.to_numpy(np.float32).T)]


@dataclass(frozen=True)
class GiftConfig:
    """One configuration: data set / frequency / term, and what GIFT-Eval published of its seasonal naive."""

    name: str
    file: str  # stem, in the folder `forecasting` of a data root
    transform: Transform
    horizon: int  # steps of a window
    season: int  # steps, of MASE and the seasonal naive
    windows: int  # per series, without overlap, at its end
    mase: float  # of the seasonal naive
    crps: float

    @property
    def term(self) -> str:
        return self.name.rsplit("/", 1)[-1]

    @property
    def freq(self) -> str:
        return self.name.split("/")[1]

    def read(self) -> list[Float[np.ndarray, "C L"]]:
        """The series, float32, NaN where nobody observed."""
        return self.transform(pd.read_parquet(find_file(self.file)))


def prediction_length(freq: str, term: str, *, m4: bool) -> int:
    """GIFT-Eval's rule: by the unit of the frequency, whatever its multiple, times the term's factor."""
    return (M4_STEPS if m4 else STEPS)[freq.lstrip("0123456789")] * TERMS[term]


def num_windows(shortest: int, *, horizon: int, m4: bool) -> int:
    """GIFT-Eval's rule: as many horizons as cover a tenth of the shortest series, 1 to 20; of M4 the last one."""
    return 1 if m4 else min(max(1, int(np.ceil(SHARE * shortest / horizon))), MOST)


def _ett(one: int, rows: Sequence[tuple[str, Transform, int, int, int, float, float]]) -> list[GiftConfig]:
    """The rows of one transformer: its hours, days and weeks are sums of its quarters of an hour."""
    return [
        GiftConfig(f"ett{one}/{name}", f"ETTm{one}", transform, horizon, season, windows, mase, crps)
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
    """The raw file of that name in the first data root that has it."""
    looked = [root / RAW_FOLDER / f"{stem}.parquet" for root in data_roots()]
    for path in looked:
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{stem}.parquet is not on this machine (looked for {', '.join(map(str, looked))}); set TSFM_DATA to a folder "
        f"that holds {RAW_FOLDER}/{stem}.parquet, or choose other configurations by bench.configs"
    )


def chosen(names: Sequence[str] | None) -> list[GiftConfig]:
    """The configurations of those names, in the order of the table; None: all. An unknown name lists the known."""
    if names is None:
        return list(GIFT)
    known = [entry.name for entry in GIFT]
    for name in names:
        if name not in known:
            raise ValueError(f"bench.configs has {name!r}; {did_you_mean(name, known)}")
    if not names:
        raise ValueError("bench.configs is empty; name at least one configuration, or null for all")
    return [entry for entry in GIFT if entry.name in set(names)]
