"""Convolutions over steps, applied before steps are combined into tokens.

N rows (batch and channels together), I inputs of a step, D width, T steps.

Three lengths of filters in parallel, then two dilated convolutions, as in LITE (Ismail-Fawaz et al. 2023, "LITE: Light
Inception with boosTing tEchniques for Time Series Classification", section 3), which has the accuracy of InceptionTime
with a fortieth of its weights. Departures: no fixed filters; and dense convolutions with few taps and a large dilation
instead of separable ones with many taps, since depthwise convolutions take three times as long on a CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

KERNELS = (41, 21, 11)  # steps; odd, so that a filter is centred
DILATED = ((7, 6), (5, 8))  # taps, and steps from one to the next


class StepNorm(nn.BatchNorm1d):
    """BatchNorm of each feature whose statistics leave out padding."""

    def forward(self, input: Float[Tensor, "N D T"], begun: Bool[Tensor, "N 1 T"] | None = None) -> Tensor:
        """Return the normalised features; `begun` is True from the first visible step on, None where all are."""
        if begun is None or not self.training:
            return super().forward(input)
        rows = input.transpose(1, 2)[begun[:, 0]]
        if len(rows) < 2:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        out = torch.zeros_like(input).transpose(1, 2)
        out[begun[:, 0]] = super().forward(rows)
        return out.transpose(1, 2)


class ConvStem(nn.Module):
    """Features of every step from the steps around it.

    Steps before the first visible one of a row stay zero after every layer, so that padding equals a shorter series.
    """

    def __init__(self, inputs: int, *, width: int):
        super().__init__()
        filters = max(1, width // len(KERNELS))
        self.first = nn.ModuleList(nn.Conv1d(inputs, filters, size, padding=size // 2, bias=False) for size in KERNELS)
        self.norms = nn.ModuleList([StepNorm(len(KERNELS) * filters), *(StepNorm(width) for _ in DILATED)])
        self.rest = nn.ModuleList()
        for index, (taps, dilation) in enumerate(DILATED):
            inputs, padding = width if index else len(KERNELS) * filters, taps // 2 * dilation
            self.rest.append(nn.Conv1d(inputs, width, taps, padding=padding, dilation=dilation, bias=False))

    def forward(self, x: Float[Tensor, "N I T"], begun: Bool[Tensor, "N T"]) -> Float[Tensor, "N D T"]:
        """Return `[rows, width, time]`; `begun` is True from the first visible step of a row on."""
        without_padding = not torch.compiler.is_compiling() and bool(begun.all())  # the check costs less than a mask
        mask = None if without_padding else begun[:, None]
        y = self._activate(torch.cat([conv(x) for conv in self.first], dim=1), 0, mask)
        for index, conv in enumerate(self.rest):
            y = self._activate(conv(y), index + 1, mask)
        return y

    def _activate(self, y: Tensor, index: int, mask: Bool[Tensor, "N 1 T"] | None) -> Tensor:
        y = F.relu(self.norms[index](y, mask))
        return y if mask is None else torch.where(mask, y, 0.0)
