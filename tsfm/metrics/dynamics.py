"""Whether a generated trajectory has the geometry and the spectrum of a dynamical system. T steps, D states, F bins.

Definitions of DynaMix (arXiv:2505.13192), in our own words. Its code leaves out points in the lowest bin of an axis and
points outside the range of the true trajectory; `drop_edges` does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

BINS = 30  # of each axis
SMOOTHING = 1e-5  # added to the count of each bin
SPECTRUM_STD = 20.0  # bins, of the Gaussian that smooths a spectrum


def _check(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both trajectories as float64 [steps, states], or raise a ValueError."""
    arrays = np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64)
    for name, values in zip(("y_true", "y_pred"), arrays, strict=True):
        if values.ndim != 2 or not values.shape[0] or not values.shape[1]:
            raise ValueError(f"{name} has the shape {values.shape}; expected [steps, states], such as x[:, None]")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has values that are missing or not finite; give whole trajectories")
    if arrays[0].shape[1] != arrays[1].shape[1]:
        raise ValueError(
            f"y_true has {arrays[0].shape[1]} states and y_pred {arrays[1].shape[1]}; give the same states"
        )
    return arrays


def state_space_divergence(
    y_true: Float[np.ndarray, "T D"],
    y_pred: Float[np.ndarray, "_ D"],
    *,
    bins: int = BINS,
    smoothing: float = SMOOTHING,
    drop_edges: bool = False,
) -> float:
    """Return D_stsp, the Kullback-Leibler divergence of the occupied state space, true from generated.

    Parameters
    ----------
    y_true, y_pred
        Trajectories [steps, states]; their lengths may differ.
    bins
        Of each axis, over the range of `y_true`. The number of bins is ``bins ** D``: three states are usual.
    smoothing
        Added to the count of each bin.
    drop_edges
        Leave out points in the lowest bin of an axis and outside the range, as the code of DynaMix does. By default
        all points count: those outside the range are in a bin of their own.

    Returns
    -------
    float
        0 for equal trajectories; in nats.

    Raises
    ------
    ValueError
        If the trajectories are not finite arrays of the same states, or there would be more than 10^8 bins.
    """
    true, predicted = _check(y_true, y_pred)
    if bins < 2 or smoothing <= 0:
        raise ValueError(f"bins is {bins} and smoothing {smoothing}; expected at least 2 bins, and more than 0")
    if bins ** true.shape[1] > 1e8:
        raise ValueError(f"{bins} bins of {true.shape[1]} states are more than 10^8; give fewer bins or fewer states")
    low, high = true.min(0), true.max(0)
    p, q = (_occupancy(x, low, high, bins, smoothing, drop_edges) for x in (true, predicted))
    return float((p * np.log(p / q)).sum())


def _occupancy(
    values: Float[np.ndarray, "T D"],
    low: Float[np.ndarray, " D"],
    high: Float[np.ndarray, " D"],
    bins: int,
    smoothing: float,
    drop_edges: bool,
) -> Float[np.ndarray, " F"]:
    """Return the smoothed share of points in each bin, the last one for points outside of all."""
    width = np.where(high > low, high - low, 1.0) / bins
    inside = ((values >= low) & (values <= high)).all(1)
    cell = np.clip(((values - low) / width).astype(np.int64), 0, bins - 1)  # the upper border is in the last bin
    if drop_edges:
        inside &= (cell > 0).all(1)
    index = np.zeros(len(values), np.int64)
    for state in range(values.shape[1]):
        index = index * bins + cell[:, state]
    counts = np.bincount(index[inside], minlength=bins ** values.shape[1]).astype(np.float64)
    if not drop_edges:
        counts = np.append(counts, len(values) - inside.sum())
    return (counts + smoothing) / (counts + smoothing).sum()


def spectral_distance(
    y_true: Float[np.ndarray, "T D"], y_pred: Float[np.ndarray, "T D"], *, smoothing_std: float = SPECTRUM_STD
) -> float:
    """Return D_H, the mean over states of the Hellinger distance of power spectra.

    Neither the scale nor the level nor a cyclic shift in time of either trajectory matters.

    Parameters
    ----------
    y_true, y_pred
        Trajectories [steps, states] of equal length, at least 4 steps.
    smoothing_std
        Standard deviation in frequency bins of the Gaussian that smooths the spectra; 0: none.

    Returns
    -------
    float
        From 0 (equal spectra) to 1. A constant trajectory has all its power at frequency 0.

    Raises
    ------
    ValueError
        If the trajectories are not finite arrays of one shape, or are too short.
    """
    true, predicted = _check(y_true, y_pred)
    if true.shape != predicted.shape or len(true) < 4:
        raise ValueError(
            f"y_true has {len(true)} steps and y_pred {len(predicted)}; expected equally many, at least 4; "
            "cut the longer"
        )
    if smoothing_std < 0:
        raise ValueError(f"smoothing_std is {smoothing_std}; expected frequency bins, 0 or more")
    p, q = (_spectrum(x, smoothing_std) for x in (true, predicted))
    overlap = np.sqrt(p * q).sum(0)
    return float(np.sqrt(np.clip(1 - overlap, 0, None)).mean())


def _spectrum(values: Float[np.ndarray, "T D"], smoothing_std: float) -> Float[np.ndarray, "F D"]:
    """Return the smoothed power spectrum of each state, with sum 1."""
    centred = values - values.mean(0)
    std = centred.std(0)
    constant = std <= 1e-12 * np.abs(values).max(0)
    power = np.abs(np.fft.rfft(centred / np.where(constant, 1.0, std), axis=0)) ** 2
    power[:, constant] = 0.0
    power[0, constant] = 1.0
    if smoothing_std > 0:
        half_width = min(int(4 * smoothing_std + 0.5), len(power) - 1)
        kernel = np.exp(-0.5 * (np.arange(-half_width, half_width + 1) / smoothing_std) ** 2)
        padded = np.pad(power, ((half_width, half_width), (0, 0)), mode="reflect")
        power = np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=0) @ kernel
    return power / power.sum(0)
