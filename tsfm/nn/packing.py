"""Packed tokens: those tokens of a batch that are needed, one after the other, without padding between them.

N rows of P tokens, M packed tokens, R returned ones.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (the stubs of torch leave the types of some results open)

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Packing:
    """Which tokens of the rows are packed, and for which of them a stack of layers returns outputs.

    Parameters
    ----------
    num_rows, num_tokens
        Rows, and tokens of a row.
    index
        Packed tokens, as ascending positions among all tokens of all rows.
    returned
        Which of the packed tokens are returned, as positions among them. None: all.
    """

    num_rows: int
    num_tokens: int
    index: Int[Tensor, " M"]
    returned: Int[Tensor, " R"] | None = None

    @classmethod
    def of(cls, kept: Bool[Tensor, "N P"], returned: Bool[Tensor, "N P"]) -> Packing:
        """Return the packing of the tokens that are kept; of these, `returned` are returned."""
        kept_before = kept.flatten().cumsum(dim=0)
        positions = kept_before[returned.flatten()] - 1
        return cls(*kept.shape, index=kept.flatten().nonzero()[:, 0], returned=positions)

    def return_all(self) -> Packing:
        """Return the packing of the same tokens that returns all of them."""
        return replace(self, returned=None)

    @property
    def positions(self) -> Int[Tensor, " M"]:
        """The position of each packed token in its row."""
        return self.index % self.num_tokens

    def unpack(self, x: Float[Tensor, "M ..."]) -> Float[Tensor, "N P ..."]:
        """Return the tokens in their rows, and zeros elsewhere."""
        rows = x.new_zeros(self.num_rows * self.num_tokens, *x.shape[1:])
        return rows.index_copy(0, self.index, x).view(self.num_rows, self.num_tokens, *x.shape[1:])

    def pack(self, rows: Float[Tensor, "N P ..."]) -> Float[Tensor, "R ..."]:
        """Return the tokens that are returned."""
        return take(rows.flatten(0, 1), self.index if self.returned is None else self.index[self.returned])

    def select(self, x: Float[Tensor, "M ..."]) -> Float[Tensor, "R ..."]:
        """Return those packed tokens that are returned."""
        return x if self.returned is None else take(x, self.returned)


class _Take(torch.autograd.Function):
    """Rows of a tensor, each taken once at most: the gradient is a copy, where that of `index_select` adds."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.num_rows = len(x)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0]
        zeros = gradient.new_zeros(ctx.num_rows, *gradient.shape[1:])
        return zeros.index_copy_(0, ctx.saved_tensors[0], gradient), None


def take(x: Float[Tensor, "M ..."], index: Int[Tensor, " R"]) -> Float[Tensor, "R ..."]:
    """Return the rows of `x` at an index without repetitions."""
    result: Tensor = _Take.apply(x, index)  # pyright: ignore[reportAssignmentType]
    return result
