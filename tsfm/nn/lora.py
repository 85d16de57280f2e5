"""Low-rank adapters (LoRA, arXiv:2106.09685): W + alpha / rank * B A in place of W, of which A and B alone are trained.

I inputs and O outputs of a linear map, R rank. The weight is adapted, not the layer: code that reads `linear.weight`
gets the adapted weight, and merging leaves the same nn.Linear as before.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the stubs of torch leave the types of some results open)

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from jaxtyping import Float


class LowRank(nn.Module):
    """Parametrisation of a weight W as W + scale * B A (eq. 3).

    B is zero initially (section 4.1), so that training begins at W. A is Kaiming-uniform, as in the authors' code; the
    paper says Gaussian.

    Parameters
    ----------
    weight
        `[outputs, inputs]`, of which the shape and type are used.
    rank
        Of B A; reduced to the rank of the weight where it is larger.
    scale
        Factor of B A: alpha / rank.
    dropout
        Rate at which inputs of the adapter are dropped. The authors' code draws for each token; here all tokens of a
        training step share the draw, since the weight is adapted.
    generator
        Of the initial A.
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
        rank = min(rank, outputs, inputs)
        self.scale, self.dropout = scale, dropout
        self.a = nn.Parameter(weight.new_empty(rank, inputs))
        self.b = nn.Parameter(weight.new_zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5), generator=generator)

    def forward(self, weight: Float[Tensor, "O I"]) -> Float[Tensor, "O I"]:
        """Return the adapted weight."""
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
    """Add adapters to nn.Linear modules and freeze the weights that they adapt.

    Parameters
    ----------
    model
        Changed in place.
    rank, dropout, generator
        As in `LowRank`.
    alpha
        None is `rank`, a scale of 1; the paper does not tune it either (section 4.1).
    targets
        Dotted parts of module names with the wildcards * and ?, such as `qkv`, `backbone` or `blocks.0.*.out`.

    Returns
    -------
    list of str
        The names of the adapted modules.

    Raises
    ------
    ValueError
        If a setting is out of range, a target matches no linear layer, or a layer has an adapter already.
    """
    if rank < 1:
        raise ValueError(f"the rank of LoRA is {rank}; expected at least 1, for instance 8")
    if alpha is not None and not alpha > 0:
        raise ValueError(f"alpha of LoRA is {alpha}; expected a number above 0, for instance the rank, {rank}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout of LoRA is {dropout}; expected a probability in [0, 1)")
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    if adapted := [name for name in linears if parametrize.is_parametrized(linears[name])]:
        raise ValueError(f"{adapted[0]} has an adapter already; call merge_lora first")
    selected = _select(linears, targets)
    for name in selected:
        weight = linears[name].weight
        adapter = LowRank(weight, rank=rank, scale=(alpha or rank) / rank, dropout=dropout, generator=generator)
        weight.requires_grad_(False)
        parametrize.register_parametrization(linears[name], "weight", adapter.train(linears[name].training))
    return selected


def merge_lora(model: nn.Module) -> nn.Module:
    """Write each adapter into its weight, remove it, and return the model with the names and shapes it had before."""
    for module in model.modules():
        if _has_lora(module):
            training = module.training
            module.eval()  # without the adapter's dropout
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
            module.train(training)
            bias: Any = module.bias
            del module.bias
            module.register_parameter("bias", bias)  # after the weight, as before
    return model


def _has_lora(module: nn.Module) -> bool:
    if not parametrize.is_parametrized(module, "weight"):
        return False
    return any(isinstance(layer, LowRank) for layer in module.parametrizations["weight"])  # type: ignore[index, union-attr]


def _select(names: Iterable[str], targets: Sequence[str]) -> list[str]:
    """Return the names that match a target; each target must match one."""
    names = list(names)
    if not targets:
        raise ValueError("targets of LoRA is empty; name linear layers, or leave it out for all")
    matches = {target: [name for name in names if fnmatchcase(f".{name}.", f"*.{target}.*")] for target in targets}
    for target, matching in matches.items():
        if not matching:
            last = sorted({name.rpartition(".")[2] for name in names})
            raise ValueError(f"no linear layer is called {target!r}; known: {', '.join(last) or 'none'}")
    return [name for name in names if any(name in matching for matching in matches.values())]
