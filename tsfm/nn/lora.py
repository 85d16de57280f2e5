"""Low-rank adapters (LoRA, arXiv:2106.09685): W + alpha / rank * B A in place of W, of which A and B alone are trained.

I inputs and O outputs of a linear map, R rank. What is adapted is the weight, not the layer: code that reads
`linear.weight` gets the adapted one, and merging leaves the same nn.Linear as before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from jaxtyping import Float


class LowRank(nn.Module):
    """The adapted weight (eq. 3; section 4.1: B is zero at first, so that training begins at W). A begins
    Kaiming-uniform as in the authors' code; the paper says Gaussian.

    `dropout` takes away inputs of the adapter. Where the paper's code draws for each token, here all tokens of a step
    share the draw: the weight is what is adapted.
    """

    def __init__(
        self,
        weight: Float[Tensor, "O I"],
        *,
        rank: int,
        scale: float,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        outputs, inputs = weight.shape
        rank = min(rank, outputs, inputs)  # more can't say more
        self.scale, self.dropout = scale, dropout
        self.a = nn.Parameter(weight.new_empty(rank, inputs))
        self.b = nn.Parameter(weight.new_zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5), generator=generator)

    def forward(self, weight: Float[Tensor, "O I"]) -> Float[Tensor, "O I"]:
        a: Float[Tensor, "R I"] = self.a
        if self.training and self.dropout:
            keep = torch.rand(a.shape[1], device=a.device) >= self.dropout
            a = a * keep / (1 - self.dropout)
        return weight + self.scale * (self.b @ a)


def add_lora(
    model: nn.Module,
    *,
    rank: int,
    alpha: float | None = None,
    targets: Sequence[str] = ("*",),
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[str]:
    """Put adapters on the nn.Linear modules that `targets` name, and freeze what they adapt; returns their names.

    A target is a dotted part of a module's name, with * and ? for what varies: `qkv`, `backbone`, `blocks.0.*.out`.
    `alpha` None is `rank`, a scale of 1, which the paper does not tune either (section 4.1).
    """
    if rank < 1:
        raise ValueError(f"the rank of LoRA is {rank}; it is at least 1, for instance 8")
    if alpha is not None and not alpha > 0:
        raise ValueError(f"alpha of LoRA is {alpha}; expected a number above 0, for instance the rank, {rank}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout of LoRA is {dropout}; it is a probability in [0, 1)")
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    if adapted := [name for name in linears if parametrize.is_parametrized(linears[name])]:
        raise ValueError(f"{adapted[0]} has an adapter already; merge_lora first")
    chosen = _chosen(linears, targets)
    for name in chosen:
        weight = linears[name].weight
        adapter = LowRank(weight, rank=rank, scale=(alpha or rank) / rank, dropout=dropout, generator=generator)
        weight.requires_grad_(False)
        parametrize.register_parametrization(linears[name], "weight", adapter.train(linears[name].training))
    return chosen


def merge_lora(model: nn.Module) -> nn.Module:
    """Write each adapter into the weight it adapts and take it away; names and shapes are those before `add_lora`."""
    for module in model.modules():
        if _has_lora(module):
            training = module.training
            module.eval()  # without the adapter's dropout
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
            module.train(training)
            module._parameters["bias"] = module._parameters.pop("bias")  # after the weight again
    return model


def _has_lora(module: nn.Module) -> bool:
    if not parametrize.is_parametrized(module, "weight"):
        return False
    return any(isinstance(part, LowRank) for part in module.parametrizations["weight"])  # type: ignore[index, union-attr]


def _chosen(names: Iterable[str], targets: Sequence[str]) -> list[str]:
    """The names that some target is a part of, each target being a part of at least one."""
    names = list(names)
    if not targets:
        raise ValueError("targets of LoRA is empty; name linear layers, or leave it out for all")
    hits = {target: [name for name in names if fnmatchcase(f".{name}.", f"*.{target}.*")] for target in targets}
    for target, hit in hits.items():
        if not hit:
            last = sorted({name.rpartition(".")[2] for name in names})
            raise ValueError(f"no linear layer is called {target!r}; known: {', '.join(last) or 'none'}")
    return [name for name in names if any(name in hit for hit in hits.values())]
