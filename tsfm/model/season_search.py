"""Find the seasonal lags of each series by autocorrelation of its visible values.

N rows (batch and channels together), T steps, L lags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tsfm.model.fill import can_branch_on_data, has_no_gaps, visible_extent

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

SHORT_PEAK_RATIO = 0.8  # the short lag is the shortest peak with this share of the highest one
MIN_RISE = 0.1  # of the autocorrelation above its lowest value so far, after which a peak may be a season
COMMON_LAGS = (4, 7, 12, 24, 48, 52, 96, 144, 168, 288, 336, 365, 672, 720, 1440)  # of hours, days, weeks and years
COMMON_LAG_BONUS = 0.02  # added to their autocorrelation: noise moves a flat peak by a few steps
MIN_AUTOCORRELATION = 0.1  # below it a lag is not seasonal


def find_seasonal_lags(
    rows: Float[Tensor, "N T"], visible: Bool[Tensor, "N T"]
) -> tuple[Int[Tensor, "N 2"], Float[Tensor, "N 2"]]:
    """Return the shortest strong seasonal lag of each row and its strongest one, and their autocorrelation.

    The autocorrelation is computed by FFT (Wiener-Khinchin) over pairs of visible steps, after a linear trend is
    removed. Lags count from the first rise on: before it, a smooth series resembles itself without any season. The
    visible part must be two seasons long.

    Returns
    -------
    tuple
        Lags in steps, at least 1; and strengths between 0 and 1, 0 where no lag exceeds `MIN_AUTOCORRELATION`.
    """
    first, last = visible_extent(visible)
    if can_branch_on_data(rows):  # hidden steps at both ends are not part of the search
        inside = slice(int(first.min()), int(last.max()) + 1)
        rows, visible = rows[:, inside], visible[:, inside]
        first, last = first - inside.start, last - inside.start
    num_steps = rows.shape[-1]
    if num_steps < 4:  # two seasons do not fit
        return torch.ones(len(rows), 2, dtype=torch.long, device=rows.device), rows.new_zeros(len(rows), 2)
    detrended, count = detrend(rows, visible)
    lag = torch.arange(num_steps // 2 + 1, device=rows.device)
    product, num_pairs, energy = lagged_products(detrended, visible, lag=lag, first=first, last=last)
    rho = product / energy.clamp_min(1e-6)
    extent = (last - first + 1).clamp_min(0)
    usable = (lag >= 2) & (2 * lag <= extent) & (num_pairs >= 0.25 * count[:, None]) & (energy > 1e-6)
    common = torch.tensor([lag for lag in COMMON_LAGS if lag < rho.shape[-1]], dtype=torch.long, device=rows.device)
    rho = rho.clamp(-1, 1) * (1 - 0.2 * lag / extent.clamp_min(1))
    bonus = torch.full_like(rho[:, : len(common)], COMMON_LAG_BONUS)
    rho = torch.where(usable, rho.index_add(-1, common, bonus), -1.0)
    has_risen = (usable & (rho > torch.where(usable, rho, 1.0).cummin(dim=-1).values + MIN_RISE)).cummax(dim=-1).values
    after = torch.nn.functional.pad(rho, (0, 1), value=-1.0)[:, 1:]
    before = torch.nn.functional.pad(rho, (1, 0), value=-1.0)[:, :-1]
    is_peak = has_risen & (rho >= after) & (rho >= before)
    height = torch.where(is_peak, rho, -1.0)
    best, best_lag = height.max(dim=-1)
    is_strong = height >= SHORT_PEAK_RATIO * best[:, None].clamp_min(0) + (best[:, None] <= 0)
    short_lag = torch.where(is_strong, lag, rho.shape[-1]).amin(dim=-1, keepdim=True)
    around = (lag - short_lag).abs() <= (0.05 * short_lag).clamp_min(1)  # noise splits a peak into several
    short_lag = torch.where(around, height, -2.0).argmax(dim=-1)
    short_lag = torch.where(best > MIN_AUTOCORRELATION, short_lag, 1)
    best_lag = torch.where(best > MIN_AUTOCORRELATION, best_lag, 1)
    strength = torch.stack([height.gather(-1, short_lag[:, None])[:, 0], best], dim=-1).clamp(0, 1)
    strength = torch.where((best > MIN_AUTOCORRELATION)[:, None], strength, 0.0)
    return torch.stack([short_lag, best_lag], dim=-1), strength


def detrend(rows: Float[Tensor, "N T"], visible: Bool[Tensor, "N T"]) -> tuple[Tensor, Tensor]:
    """Return the rows minus the least-squares line through their visible steps, 0 where hidden, and the counts."""
    weight = visible.to(rows.dtype)
    count = weight.sum(dim=-1)
    divisor = count.clamp_min(1)[:, None]
    time = torch.linspace(-1, 1, rows.shape[-1], dtype=rows.dtype, device=rows.device)
    values = torch.where(visible, rows, 0.0)
    mean_time, mean = (time * weight).sum(-1, keepdim=True) / divisor, values.sum(-1, keepdim=True) / divisor
    dt, dy = (time - mean_time) * weight, (values - mean) * weight
    slope = (dt * dy).sum(-1, keepdim=True) / dt.square().sum(-1, keepdim=True).clamp_min(1e-6)
    return dy - slope * dt, count


def lagged_products(
    detrended: Float[Tensor, "N T"],
    visible: Bool[Tensor, "N T"],
    *,
    lag: Int[Tensor, " L"],
    first: Int[Tensor, "N 1"],
    last: Int[Tensor, "N 1"],
) -> tuple[Float[Tensor, "N L"], Tensor, Tensor]:
    """Return sums over the pairs of visible steps at each lag.

    Parameters
    ----------
    detrended, visible
        The rows, 0 where hidden, and which steps are visible.
    lag
        The lags 0, 1, 2, ...
    first, last
        As from `visible_extent`.

    Returns
    -------
    tuple
        `[rows, lags]` each: the sum of products; the number of pairs; and the root of the product of the energies of
        the earlier and the later steps. With the energy of the whole row, a burst at one end would decide every lag.
    """
    size = detrended.shape[-1] + len(lag)  # of the transform; in a shorter one a lag would wrap around
    unit = 1 << max(size.bit_length() - 4, 0)  # its multiples have small prime factors only
    size = -(-size // unit) * unit
    squares = detrended.square()
    if has_no_gaps(visible, first=first, last=last):  # sums over an interval are differences of cumulative sums
        product = torch.fft.irfft(_power(torch.fft.rfft(detrended, n=size)), n=size)
        cumulative = torch.nn.functional.pad(squares.cumsum(dim=-1), (1, 0))
        early = cumulative.gather(-1, (last + 1 - lag).clamp_min(0))
        late = cumulative[:, -1:] - cumulative.gather(-1, (first + lag).clamp_max(detrended.shape[-1]))
        num_pairs = last + 1 - first - lag
    else:
        spectra = torch.fft.rfft(torch.stack([detrended, visible.to(detrended.dtype), squares]), n=size)
        values, weight, energy = spectra
        powers = torch.stack([_power(values), _power(weight), weight.conj() * energy])
        product, num_pairs, cross = torch.fft.irfft(powers, n=size)
        late, early = cross[:, : len(lag)], cross.roll(-1, dims=-1).flip(-1)[:, : len(lag)]
        num_pairs = num_pairs[:, : len(lag)].round()
    return product[:, : len(lag)], num_pairs, (late.clamp_min(0) * early.clamp_min(0)).sqrt()


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square()
