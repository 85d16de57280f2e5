"""An ensemble that was fitted: its members, their weights, and how these differ between windows.

N series, W windows, H horizon, Q quantile levels, M members, R of them that a router knows, M1 and R1 with the network,
F features of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tsfm.ensemble.member import Member
from tsfm.ensemble.panel import Panel, Windows
from tsfm.ensemble.router import Router, describe_windows

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NETWORK = "network"


@dataclass(frozen=True)
class Routing:
    """What moves the weights from window to window.

    Attributes
    ----------
    router
        Fitted on other data.
    usual
        Its mean prediction in the windows of the back-test.
    quantile_levels, season_length
        Those of the fit.
    index
        Places of the network and of the members that the router knows; the weights of the others do not move.
    """

    router: Router
    usual: Float[np.ndarray, " R"]
    quantile_levels: tuple[float, ...]
    season_length: int
    index: Int[np.ndarray, " R1"]

    def weights(
        self,
        weights: Float[np.ndarray, " M1"],
        quantiles: Float[np.ndarray, "M1 W H Q"],
        panel: Panel,
        windows: Windows,
    ) -> Float[np.ndarray, "W M1"]:
        """Return the weights of each window from those of the panel."""
        features = describe_windows(
            quantiles[self.index], quantile_levels=self.quantile_levels, spread=panel.scale_of(windows),
            num_past=windows.origin, season_length=self.season_length,
        )  # fmt: skip
        return route_some(self.router, weights, features, self.usual, self.index)


def route_some(
    router: Router,
    weights: Float[np.ndarray, " M1"],
    features: Float[np.ndarray, "W F"],
    usual: Float[np.ndarray, " R"],
    index: Int[np.ndarray, " R1"],
) -> Float[np.ndarray, "W M1"]:
    """Return the weights of each window: a router moves those at `index`, whose sum stays; see `Router.route`."""
    moved = np.repeat(weights[None], len(features), axis=0)
    moved[:, index] = weights[index].sum() * router.route(weights[index], features, usual)
    return moved


def routed_members(names: Sequence[str], router: Router) -> Int[np.ndarray, " R1"]:
    """Return the places of the network and of the members that a router knows, in its order."""
    return np.array([list(names).index(name) for name in (NETWORK, *router.names)])


@dataclass(frozen=True)
class FittedMembers:
    """Members fitted to a panel, and the weights of all and of the network.

    Attributes
    ----------
    members
        Those that could be fitted.
    weights
        Of the network first, then of the members; their sum is 1.
    spread
        The scale of each series in its past.
    num_windows
        Windows of the back-test.
    gain
        Share by which the pinball loss in the back-test is below that of the network.
    routing
        How the weights differ between windows; None: they do not.
    """

    members: tuple[Member, ...]
    weights: Float[np.ndarray, " M"]
    spread: Float[np.ndarray, " N"]
    num_windows: int
    gain: float
    routing: Routing | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that belong to the weights."""
        return (NETWORK, *(member.name for member in self.members))

    def describe(self) -> tuple[str, ...]:
        """Return the weights and the settings of the members, one line each."""
        if not self.members:
            return ("the past is too short for a back-test: the network forecasts alone",)
        if not self.num_windows:
            rows = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(self.names, self.weights, strict=True))
            return (f"the past is too short for a back-test: usual weights, {rows}",)
        first = f"back-test on {self.num_windows} windows: quantile loss {self.gain:.1%} below that of the network"
        settings = ["", *(f" ({member.settings})" for member in self.members)]
        rows = zip(self.names, self.weights, settings, strict=True)
        return (first, *(f"{name}{text}: weight {weight:.2f}" for name, weight, text in rows))

    def combine(
        self, network: Float[np.ndarray, "W H Q"], panel: Panel, windows: Windows
    ) -> Float[np.ndarray, "W H Q"]:
        """Return the weighted mean of the quantiles of all members."""
        quantiles = np.stack([network, *(member.quantiles(panel, windows) for member in self.members)])
        if self.routing is None:
            return np.tensordot(self.weights, quantiles, 1)
        weights = self.routing.weights(self.weights, quantiles, panel, windows)
        return np.einsum("wm,mwhq->whq", weights, quantiles)
