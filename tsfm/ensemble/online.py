"""Online forecasting: rows arrive, forecasts are asked for, and members are weighted by how good they turned out to be.

C channels, H horizon, L steps of a series, M members, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.ensemble.combination import FEEDBACKS, Combination, GivenAnswer, replay_answers
from tsfm.ensemble.head_adaptation import RATE
from tsfm.ensemble.online_members import OnlineMembers, read_rows
from tsfm.ensemble.online_state import (
    pending_answers,
    pending_arrays,
    read_state,
    with_prefix,
    without_prefix,
    write_state,
)
from tsfm.ensemble.online_weights import OnlineWeights
from tsfm.infer.arguments import check_choice, check_count, check_prediction_length
from tsfm.infer.predictor import Forecast, Predictor
from tsfm.messages import announce

if TYPE_CHECKING:
    from jaxtyping import Float


class Online:
    """Forecasts of one series that grows, by members whose weights follow how good their forecasts were.

    A forecast is learned from when its last step has arrived, `prediction_length` steps after it was made; nothing
    later than the rows given so far has an effect. The weights are one set per channel, by exponentiated gradient, see
    `tsfm.ensemble.online_weights.OnlineWeights`.

    Parameters
    ----------
    predictor
        A forecaster, or the name of a bundled model.
    prediction_length
        The horizon in steps.
    members
        More forecasters or names of bundled models.
    adapt
        "head" adds a member: a copy of `predictor` whose head learns from the newest complete window after every row.
    adapt_rate
        Its learning rate.
    memory
        Forecasts over which the short-term weights look back, to follow a switch of the better member sooner; None
        leaves them out.
    quantile_levels
        Levels of the forecasts; None takes those of `predictor`, else the deciles.
    season_length
        Steps of a season, such as 24 for hourly values.
    context_length
        Past steps that the members get; None takes the most that one of them uses, or 2,048.
    loss, rule
        What the weights minimize, and how; see `tsfm.ensemble.combination.Combination`.

    Raises
    ------
    ValueError
        If an argument is not valid, or a member cannot forecast.

    Examples
    --------
    >>> online = Online("tsfm-mini", prediction_length=2, members=["tsfm-mini-inverted"], season_length=7)
    >>> for value in [1.0, 2, 3, 4, 5, 9, 8] * 5:
    ...     online.observe(value)
    >>> online.predict().predictions.round().tolist()
    [[[1.0, 2.0]]]
    >>> online.member_names
    ['tsfm-mini', 'tsfm-mini-inverted']
    """

    def __init__(
        self,
        predictor: Predictor | str,
        *,
        prediction_length: int,
        members: Sequence[Predictor | str] = (),
        adapt: str | None = None,
        adapt_rate: float = RATE,
        memory: float | None = None,
        quantile_levels: Sequence[float] | None = None,
        season_length: int = 1,
        context_length: int | None = None,
        loss: str = "pinball",
        rule: str = "gradient",
    ):
        if isinstance(members, (str, Predictor)):
            raise ValueError(f"members is {members!r}; expected a list of forecasters or names")
        self.horizon = check_prediction_length(prediction_length)
        self.season_length = check_count("season_length", season_length)
        self.members = OnlineMembers(
            [predictor, *members], horizon=self.horizon, season_length=self.season_length, adapt=adapt,
            adapt_rate=adapt_rate, context_length=context_length, quantile_levels=quantile_levels,
        )  # fmt: skip
        self.loss, self.rule, self.memory = loss, rule, memory
        self.combination: Combination | None = None  # made for the channels of the first row
        self.history: np.ndarray | None = None  # [C, steps], the last ones
        self.num_observed = 0
        self.new_combination(1)  # the settings are checked now

    @property
    def member_names(self) -> list[str]:
        """Return the names of the members, in the order of the weights."""
        return self.members.names

    @property
    def weights(self) -> Float[np.ndarray, "C M"]:
        """Return the weights of the next forecast, which sum to 1 in each channel."""
        if self.combination is None:
            raise ValueError("there are no weights yet; give rows by observe first")
        return self.combination.weights.current().used

    def observe(self, values: Any) -> None:
        """Take the next value, row or rows of the series, learn from the forecasts that are complete now, and adapt.

        Parameters
        ----------
        values
            A number or [steps], for a series of one channel; an array [C], one row of several; or [C, steps], rows in
            their order. NaN is missing.
        """
        rows = read_rows(values, num_channels=self.num_channels)
        for step in range(rows.shape[1]):
            self._append(rows[:, step : step + 1])

    def predict(self) -> Forecast:
        """Forecast the next steps, and remember the forecast to learn from it.

        Returns
        -------
        Forecast
            Of one series, `[1, C, H]`, with the weights of the members in `explanation`.

        Raises
        ------
        ValueError
            Before the first row, or when no value of the context is observed.
        """
        if self.history is None or self.combination is None:
            raise ValueError("there is nothing to forecast yet; give rows by observe first")
        quantile_levels = self.members.quantile_levels
        context = self.history[:, -self.members.context_length :]
        if self.combination.pending and self.combination.pending[-1].origin == self.num_observed:
            answer = self.combination.pending[-1]  # asked for twice: it counts once
        else:
            answer = self.combination.answer(self.members.quantiles([context])[:, 0], self.num_observed)
        median = answer.quantiles[..., quantile_levels.index(0.5)]
        shares = answer.weights.used.mean(axis=0)
        explanation = tuple(f"{name} {share:.2f}" for name, share in zip(self.member_names, shares, strict=True))
        quantiles = answer.quantiles[None].astype(np.float32)
        return Forecast(median[None].astype(np.float32), quantiles, quantile_levels, explanation=explanation)

    def replay(
        self, series: Any, *, first: int, feedback: str = "delayed", batch_size: int = 256
    ) -> Iterator[GivenAnswer]:
        """Yield the forecasts that would have been made along a series, one at every step; as observe and predict do.

        Members that do not adapt forecast many origins at once, which gives the same numbers much sooner. Afterwards
        the rows of the series count as observed.

        Parameters
        ----------
        series
            Rows that follow those observed so far, `[steps]` or `[C, steps]`.
        first
            The first origin: rows of `series` that are only history.
        feedback
            "delayed", as in use, or "immediate": the published protocol of OneNet (arXiv:2309.12659), which learns
            from a forecast before its steps have happened. That is announced; its scores are no measure of use.
        batch_size
            Origins of one call of a member.
        """
        rows = read_rows(series, num_channels=self.num_channels, is_series=True)
        if not 1 <= first <= rows.shape[1] - self.horizon:
            raise ValueError(
                f"first is {first}; expected 1 to {rows.shape[1] - self.horizon}: a series of {rows.shape[1]} steps "
                f"with {self.horizon} after the last origin"
            )
        check_choice("feedback", feedback, FEEDBACKS)
        if feedback == "immediate":
            announce(["feedback='immediate' learns from values that are not known yet, as published benchmarks do"])
        self.observe(rows[:, :first])
        assert self.history is not None
        assert self.combination is not None
        whole = np.concatenate([self.history, rows[:, first:]], axis=1)
        base = self.num_observed - self.history.shape[1]  # the first step of `whole`
        forecasts = self._forecasts(whole, base, feedback=feedback, batch_size=batch_size)
        yield from replay_answers(
            self.combination, forecasts, lambda begin, end: whole[:, begin - base : end - base], feedback=feedback
        )
        self.observe(whole[:, self.num_observed - base :])

    def _forecasts(
        self, whole: Float[np.ndarray, "C L"], base: int, *, feedback: str, batch_size: int
    ) -> Iterator[tuple[int, Float[np.ndarray, "M C H Q"]]]:
        """Yield each origin and what the members forecast there; the row before it is taken first."""
        origins = range(self.num_observed, base + whole.shape[1] - self.horizon + 1)
        for begin in range(0, len(origins), batch_size):
            batch = origins[begin : begin + batch_size]
            lengths = [origin - base for origin in batch]
            contexts = [whole[:, max(length - self.members.context_length, 0) : length] for length in lengths]
            frozen = self.members.frozen_quantiles(contexts)
            for index, (origin, length) in enumerate(zip(batch, lengths, strict=True)):
                if origin > self.num_observed:
                    self._take(whole[:, length - 1 : length], adapts=feedback == "delayed")
                    if feedback == "immediate":
                        self.members.adapt(whole[:, : length - 1 + self.horizon])
                yield origin, self.members.with_adapted(frozen[:, index], contexts[index])

    def save(self, path: str | Path) -> None:
        """Write everything that was learned, and the rows that are still needed, to one file.

        The members themselves are not in it; `restore` needs an `Online` with the same ones.
        """
        arrays: dict[str, np.ndarray] = {}
        if self.history is not None and self.combination is not None:
            arrays |= {"history": self.history, "num_observed": np.array(self.num_observed)}
            arrays |= with_prefix("weights", self.combination.weights.state())
            arrays |= with_prefix("pending", pending_arrays(self.combination.pending))
        if self.members.adaptation is not None:
            arrays |= with_prefix("adaptation", self.members.adaptation.state())
        write_state(path, self._settings(), arrays)

    def restore(self, path: str | Path) -> Online:
        """Take over what `save` wrote, into an `Online` made with the same arguments; returns it.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        ValueError
            If the file is not a state, or one of other members or settings.
        """
        arrays = read_state(path, self._settings())
        if self.members.adaptation is not None:
            self.members.adaptation.load_state(without_prefix("adaptation", arrays))
        self.history, self.num_observed, self.combination = None, 0, None
        if "history" in arrays:
            combination = self.new_combination(len(arrays["history"]))
            combination.weights.load_state(without_prefix("weights", arrays))
            combination.pending.extend(pending_answers(without_prefix("pending", arrays)))
            self.history, self.num_observed = arrays["history"], int(arrays["num_observed"])
            self.combination = combination
        return self

    def _settings(self) -> dict[str, Any]:
        """Return what decides the meaning of a state."""
        own = {"members": self.member_names, "horizon": self.horizon, "season_length": self.season_length}
        own |= {"loss": self.loss, "rule": self.rule, "memory": self.memory}
        common = {"context_length": self.members.context_length, "quantile_levels": self.members.quantile_levels}
        return own | common

    @property
    def num_channels(self) -> int | None:
        """Return the number of channels; None before the first row."""
        return None if self.history is None else len(self.history)

    def _append(self, row: Float[np.ndarray, "C 1"]) -> None:
        """Take a row, and learn from the forecast that it completes."""
        self._take(row, adapts=True)
        assert self.history is not None
        assert self.combination is not None
        base, history = self.num_observed - self.history.shape[1], self.history
        self.combination.learn_until(self.num_observed, lambda begin, end: history[:, begin - base : end - base])

    def _take(self, row: Float[np.ndarray, "C 1"], *, adapts: bool) -> None:
        if self.history is None:
            self.history, self.combination = np.empty((len(row), 0)), self.new_combination(len(row))
        kept = self.members.context_length + self.horizon
        self.history = np.concatenate([self.history, row], axis=1)[:, -kept:]
        self.num_observed += 1
        if adapts:
            self.members.adapt(self.history)

    def new_combination(self, num_channels: int) -> Combination:
        """Return the combination of the members before anything was learned."""
        weights = OnlineWeights(num_channels=num_channels, num_members=len(self.members.names), memory=self.memory)
        return Combination(weights, self.members.quantile_levels, loss=self.loss, rule=self.rule)
