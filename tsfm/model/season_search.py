"""Seasonal copies: what a series showed one cycle ago, and on average over the last cycles, at every step.

B batch, C channels, T steps, N rows (batch and channels together), D width, Q quantiles,
F bases of each step, G facts about a channel, L lags, K of them chosen.
The cycle is found on the visible part alone, so a hidden value can change neither the lag nor any copy. Explicit copies
bought the most of all inputs at small budgets (TinyCast, arXiv:2608.15767; lags of Moirai-2 re-trainings).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from tsfm.model.fill import Neighbours, between, extent, looks, neighbours, without_gaps
from tsfm.model.scalers import arcsinh

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

CYCLES = 4  # cycles that the mean of a phase looks back
NEAR = 0.8  # the short lag is the shortest peak with this share of the highest one
RISE = 0.1  # of the autocorrelation above its lowest value so far, after which a peak may be a cycle
CALENDAR = (4, 7, 12, 24, 48, 52, 96, 144, 168, 288, 336, 365, 672, 720, 1440)  # lags that seasons mostly have
BONUS = 0.02  # of the autocorrelation, for those: noise moves a flat peak by a few steps
UNIT = 1e-4  # smallest unit, in scaled values
LEAST = 0.1  # autocorrelation below which a lag is no cycle
PER_LAG = 3  # features of a lag at each step: the last cycle's value, the mean of the last cycles, that mean moved


class Copies(NamedTuple):
    """`bases` holds for each lag the value one cycle back, the mean of the last cycles, and that mean moved to the
    level of the visible neighbours; at the end the value one cycle ahead. Where there is none, the line between
    neighbours. `zoom` is the distance
    of each step from the newest visible one in the channel's `unit`: what a smooth or trending series does near its end
    is too small to see beside its whole range."""

    bases: Float[Tensor, "B C T F"]
    zoom: Float[Tensor, "B C T 1"]
    facts: Float[Tensor, "B C G"]  # of the lags: strength, and log2 of the length over 10; of the unit: log10
    unit: Float[Tensor, "B C 1"]  # the typical error of the last value, or of the copy if that is nearer; at most 1


def num_steps(lags: int) -> int:
    """Bases of each step: some for each lag, and the one ahead."""
    return PER_LAG * lags + 1


def num_facts(lags: int) -> int:
    return 2 * lags + 2


def seasonal(
    values: Float[Tensor, "B C T"],
    visible: Bool[Tensor, "B C T"],
    *,
    line: Float[Tensor, "B C T"],
    lags: int,
    at: Neighbours | None = None,
) -> Copies:
    """The copies of each channel. With two lags the first is the shortest good one (a day), the second the best one
    (a week, say); they agree where one explains all. `at` are the neighbours that `line` was drawn between, where they
    are known."""
    # a compiler is to leave this as it is; a decorator that says so would import the compiler, for seconds, every time
    search: Any = torch.compiler.disable(_seasonal) if torch.compiler.is_compiling() else _seasonal
    at = neighbours(visible, dtype=torch.float32) if at is None else at
    return search(values, visible, line=line, lags=lags, at=at)


@torch.no_grad()
def _seasonal(
    values: Float[Tensor, "B C T"],
    visible: Bool[Tensor, "B C T"],
    *,
    line: Float[Tensor, "B C T"],
    lags: int,
    at: Neighbours,
) -> Copies:
    batch = values.shape[0]
    rows, shown = values.flatten(0, 1).float(), visible.flatten(0, 1)
    base = line.flatten(0, 1).float()
    at = Neighbours(*(one.flatten(0, 1) for one in (*at[:3], at.share.to(rows.dtype))))
    lag, strength = (one[:, :lags] for one in find_lags(rows, shown))
    is_cycle = strength > LEAST
    facts = torch.stack([strength, torch.where(is_cycle, lag.clamp_min(1).float().log2() / 10, 0.0)], dim=-1).flatten(1)
    # all lags at once, N K T: few large steps are faster than many small ones
    folded = fold(rows.repeat_interleave(lags, 0), shown.repeat_interleave(lags, 0), lag.flatten())
    back, mean, ahead = (one.unflatten(0, (-1, lags)) for one in folded)
    found = is_cycle[..., None] & ~back.isnan()
    back, mean = (torch.where(found, one, base[:, None]) for one in (back, mean))
    each = Neighbours(*(one[:, None].expand_as(back) for one in at))
    moved = mean + between(rows[:, None] - mean, shown[:, None], at=each)
    copied = shown & found[:, 0]
    last = torch.where(is_cycle[:, :1] & ~ahead[:, 0].isnan(), ahead[:, 0], back[:, 0])
    step = typical(rows[:, 1:] - rows[:, :-1], shown[:, 1:] & shown[:, :-1])
    cycle = torch.where(copied.any(dim=-1), typical(rows - back[:, 0], copied), step)
    unit = torch.minimum(step, cycle).clamp(UNIT, 1.0)
    errors = torch.stack([step, cycle], dim=-1).clamp(UNIT, 10.0).log10()
    zoom = arcsinh((base - newest(rows, shown)) / unit[:, None]) / 4
    # in memory each feature's steps lie side by side
    joined = torch.cat([torch.stack([back, mean, moved], dim=2).flatten(1, 2), last[:, None], zoom[:, None]], dim=1)
    joined = rearrange(joined, "(b c) f t -> b c t f", b=batch)
    return Copies(
        bases=joined[..., :-1],
        zoom=joined[..., -1:],
        facts=rearrange(torch.cat([facts, errors], dim=-1), "(b c) g -> b c g", b=batch),
        unit=rearrange(unit, "(b c) -> b c 1", b=batch),
    )


def typical(errors: Float[Tensor, "N T"], counts: Bool[Tensor, "N T"]) -> Float[Tensor, " N"]:
    """Mean absolute error over the steps that count; 1, the spread of a scaled row, where none does."""
    number = counts.sum(dim=-1)
    mean = torch.where(counts, errors.abs(), 0.0).sum(dim=-1) / number.clamp_min(1)
    return torch.where(number > 0, mean, 1.0)


def newest(rows: Float[Tensor, "N T"], shown: Bool[Tensor, "N T"]) -> Float[Tensor, "N 1"]:
    """The last shown value of each row; 0 where there is none."""
    _, last = extent(shown)
    return torch.where(last >= 0, rows.gather(-1, last.clamp_min(0)), 0.0)


def find_lags(rows: Float[Tensor, "N T"], shown: Bool[Tensor, "N T"]) -> tuple[Int[Tensor, "N 2"], Tensor]:
    """The shortest good cycle of each row and its best one, in steps, and their autocorrelation [N, 2].

    Autocorrelation by FFT (Wiener-Khinchin) over pairs of visible steps, after a linear trend is taken away. Lags count
    from the first rise on: before it, a smooth series resembles itself without any cycle. Two cycles must be visible.
    """
    first, last = extent(shown)
    if looks(rows):  # what nobody sees at the ends is no part of the search
        inside = slice(int(first.min()), int(last.max()) + 1)
        rows, shown, first, last = rows[:, inside], shown[:, inside], first - inside.start, last - inside.start
    steps = rows.shape[-1]
    if steps < 4:  # no cycle is visible twice
        return torch.ones(len(rows), 2, dtype=torch.long, device=rows.device), rows.new_zeros(len(rows), 2)
    flat, count = detrended(rows, shown)
    lag = torch.arange(steps // 2 + 1, device=rows.device)
    product, pairs, energy = products(flat, shown, lag=lag, first=first, last=last)
    rho = product / energy.clamp_min(1e-6)
    span = (last - first + 1).clamp_min(0)
    usable = (lag >= 2) & (2 * lag <= span) & (pairs >= 0.25 * count[:, None]) & (energy > 1e-6)
    usual = torch.tensor([one for one in CALENDAR if one < rho.shape[-1]], dtype=torch.long, device=rows.device)
    rho = rho.clamp(-1, 1) * (1 - 0.2 * lag / span.clamp_min(1))
    rho = torch.where(usable, rho.index_add(-1, usual, torch.full_like(rho[:, : len(usual)], BONUS)), -1.0)
    risen = (usable & (rho > torch.where(usable, rho, 1.0).cummin(dim=-1).values + RISE)).cummax(dim=-1).values
    after = torch.nn.functional.pad(rho, (0, 1), value=-1.0)[:, 1:]
    before = torch.nn.functional.pad(rho, (1, 0), value=-1.0)[:, :-1]
    peak = risen & (rho >= after) & (rho >= before)
    height = torch.where(peak, rho, -1.0)
    best, where = height.max(dim=-1)
    near = height >= NEAR * best[:, None].clamp_min(0) + (best[:, None] <= 0)
    short = torch.where(near, lag, rho.shape[-1]).amin(dim=-1, keepdim=True)
    around = (lag - short).abs() <= (0.05 * short).clamp_min(1)  # noise makes several peaks of one
    short = torch.where(around, height, -2.0).argmax(dim=-1)
    short = torch.where(best > LEAST, short, 1)
    where = torch.where(best > LEAST, where, 1)
    strength = torch.stack([height.gather(-1, short[:, None])[:, 0], best], dim=-1).clamp(0, 1)
    return torch.stack([short, where], dim=-1), torch.where((best > LEAST)[:, None], strength, 0.0)


def products(
    flat: Float[Tensor, "N T"],
    shown: Bool[Tensor, "N T"],
    *,
    lag: Int[Tensor, " L"],
    first: Int[Tensor, "N 1"],
    last: Int[Tensor, "N 1"],
) -> tuple[Float[Tensor, "N L"], Tensor, Tensor]:
    """Over the pairs of shown steps at each lag, [N, L]: the sum of their products, their number, and the root of the
    energies of the two ends that are compared: a burst at one end would else make or break every lag."""
    size = flat.shape[-1] + len(lag)  # of the transform: in a shorter one a lag would meet the other end
    unit = 1 << max(size.bit_length() - 4, 0)  # a multiple of it has small prime factors only
    size = -(-size // unit) * unit
    squares = flat.square()
    if without_gaps(shown, first=first, last=last):  # sums over a run are differences of running sums
        product = torch.fft.irfft(_power(torch.fft.rfft(flat, n=size)), n=size)
        upto = torch.nn.functional.pad(squares.cumsum(dim=-1), (1, 0))
        early = upto.gather(-1, (last + 1 - lag).clamp_min(0))
        later = upto[:, -1:] - upto.gather(-1, (first + lag).clamp_max(flat.shape[-1]))
        pairs = last + 1 - first - lag
    else:
        own, weight, energy = torch.fft.rfft(torch.stack([flat, shown.to(flat.dtype), squares]), n=size)
        together = torch.stack([_power(own), _power(weight), weight.conj() * energy])
        product, pairs, cross = torch.fft.irfft(together, n=size)
        later, early = cross[:, : len(lag)], cross.roll(-1, dims=-1).flip(-1)[:, : len(lag)]
        pairs = pairs[:, : len(lag)].round()
    return product[:, : len(lag)], pairs, (later.clamp_min(0) * early.clamp_min(0)).sqrt()


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square()


def detrended(rows: Float[Tensor, "N T"], shown: Bool[Tensor, "N T"]) -> tuple[Tensor, Tensor]:
    """Rows without the straight line of least squares through what is shown, zero where nothing is; and the counts."""
    weight = shown.to(rows.dtype)
    count = weight.sum(dim=-1)
    most = count.clamp_min(1)[:, None]
    time = torch.linspace(-1, 1, rows.shape[-1], dtype=rows.dtype, device=rows.device)
    clean = torch.where(shown, rows, 0.0)
    centre, mean = (time * weight).sum(-1, keepdim=True) / most, clean.sum(-1, keepdim=True) / most
    along, across = (time - centre) * weight, (clean - mean) * weight
    slope = (along * across).sum(-1, keepdim=True) / along.square().sum(-1, keepdim=True).clamp_min(1e-6)
    return across - slope * along, count


def fold(
    rows: Float[Tensor, "N T"], shown: Bool[Tensor, "N T"], lag: Int[Tensor, " N"]
) -> tuple[Float[Tensor, "N T"], Float[Tensor, "N T"], Float[Tensor, "N T"]]:
    """Of every step: the newest shown value a whole number of cycles before it, the mean of the newest `CYCLES` of
    them, and the first shown value a whole number of cycles after it. NaN where there is none.

    Steps are put in order of phase, and of time within a phase; running counts and sums then tell all three at once."""
    first, last = extent(shown)
    if without_gaps(shown, first=first, last=last):  # a third of the time
        return _fold_run(rows, lag[:, None], first=first, last=last)
    num, size = rows.shape
    steps = torch.arange(size, device=rows.device).expand(num, size)
    cycles, rest = size // lag[:, None], size % lag[:, None]  # the first `rest` phases have one cycle more
    phase = steps % lag[:, None]
    place = phase * cycles + torch.minimum(phase, rest) + steps // lag[:, None]
    order = torch.empty_like(place).scatter_(-1, place, steps)
    known = shown.gather(-1, order)
    value = torch.where(known, rows.gather(-1, order), 0.0)
    group = phase.gather(-1, order)
    upto = known.cumsum(dim=-1)  # shown steps up to here, in this order
    begins = torch.cat([torch.ones_like(known[:, :1]), group[:, 1:] != group[:, :-1]], dim=-1)
    earlier = upto - known.long()  # before this step
    floor = torch.where(begins, earlier, -1).cummax(dim=-1).values  # before this phase
    ends = torch.cat([begins[:, 1:], torch.ones_like(begins[:, :1])], dim=-1)
    ceiling = torch.where(ends, upto, size + 1).flip(-1).cummin(dim=-1).values.flip(-1)  # up to the end of the phase
    compact = torch.zeros(num, size + 1, dtype=rows.dtype, device=rows.device)
    compact.scatter_(-1, torch.where(known, upto - 1, size), value)  # the i-th shown value; the last slot is scrap
    sums = torch.nn.functional.pad(compact[:, :size].double().cumsum(dim=-1), (1, 0))
    depth = (earlier - floor).clamp_max(CYCLES)
    nothing = torch.full_like(rows, torch.nan)
    back = torch.where(depth > 0, compact.gather(-1, (earlier - 1).clamp_min(0)), nothing)
    total = sums.gather(-1, earlier) - sums.gather(-1, earlier - depth)
    mean = torch.where(depth > 0, (total / depth.clamp_min(1)).to(rows.dtype), nothing)
    ahead = torch.where(upto < ceiling, compact.gather(-1, upto.clamp_max(size - 1)), nothing)
    return back.gather(-1, place), mean.gather(-1, place), ahead.gather(-1, place)


def _fold_run(
    rows: Float[Tensor, "N T"], lag: Int[Tensor, "N 1"], *, first: Int[Tensor, "N 1"], last: Int[Tensor, "N 1"]
) -> tuple[Float[Tensor, "N T"], Float[Tensor, "N T"], Float[Tensor, "N T"]]:
    """`fold` of rows that show every step from `first` to `last`: where to look is then plain arithmetic."""
    # as floats, exact for windows of less than 2^24 steps: a CPU divides integers one by one
    end = rows.shape[-1] + 1  # with a step at each end, 0 and this, that stand for all beyond
    steps = torch.arange(1, end, dtype=rows.dtype, device=rows.device)
    lag, first, last = lag.to(rows.dtype), first.to(rows.dtype) + 1, last.to(rows.dtype) + 1
    held = torch.where((steps >= first) & (steps <= last), rows, torch.nan)
    held = torch.nn.functional.pad(held, (1, 1), value=torch.nan)

    def look(where: Tensor) -> Tensor:
        return held.gather(-1, where.clamp(0, end).long())

    newest_ = steps - lag * ((steps - last + lag - 1) / lag).floor_().clamp_min_(1)
    depth = ((newest_ - first) / lag).floor_().add_(1).clamp_(0, CYCLES)
    back = look(newest_)
    total = back.clone()
    for one in range(1, CYCLES):
        total += look(newest_ - one * lag).nan_to_num_()
    next_ = steps + lag * ((first - steps + lag - 1) / lag).floor_().clamp_min_(1)
    return back, total / depth, look(next_)
