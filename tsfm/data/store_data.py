"""What a data module of one store knows without cutting windows: its series, fingerprints, frequency and season."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from tsfm.data.base import DataModule, SourceSeries
from tsfm.data.settings import DataConfig
from tsfm.store.catalog import resolve
from tsfm.store.series_store import SeriesStore
from tsfm.timestamps.offsets import make_timestamps, season_length


class StoreData(DataModule):
    """A data module whose config names one store."""

    config: DataConfig

    def source_series(self) -> SourceSeries:
        """Return every series of the store."""
        return stored_series(self.store)

    @cached_property
    def store(self) -> SeriesStore:
        """The store of the data set."""
        return resolve(self.config.dataset)

    @property
    def fingerprints(self) -> list[str]:
        """The fingerprint of every series."""
        return self.store.fingerprints

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the whole store."""
        return self.store.fingerprint

    @property
    def freq(self) -> str:
        """The frequency of all series; "mixed" where they differ."""
        freqs = set(self.store.freqs)
        return freqs.pop() if len(freqs) == 1 else "mixed"

    @property
    def season_length(self) -> int:
        """Steps of a season: those of the config, else the natural ones of the frequency.

        Raises
        ------
        ValueError
            When the series have frequencies with different seasons and the config names none.
        """
        if self.config.season is not None:
            return self.config.season
        seasons = {season_length(freq) for freq in set(self.store.freqs)}
        if len(seasons) > 1:
            raise ValueError(
                f"data set {self.config.dataset!r} mixes frequencies with the seasons {sorted(seasons)}; "
                "give data.season"
            )
        return seasons.pop()


def stored_series(store: SeriesStore) -> SourceSeries:
    """Return every series of a store, with timestamps; they are read one after another."""

    def timestamps(i: int) -> np.ndarray:
        return make_timestamps(store.starts[i], store.freqs[i], int(store.lengths[i]))

    return SourceSeries(store.ids, (store.read(i) for i in range(len(store))), store.fingerprints, timestamps)
