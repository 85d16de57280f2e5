"""The hook that executes shape hints: a false hint fails a test; what is compiled or not hinted stays as it is."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jaxtyping
import pytest
import torch

pytest.importorskip("beartype", reason="beartype, of the extra dev, checks shape hints")
hints = importlib.import_module("tests.hints")

SOURCE = """
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from torch import Tensor


def transpose(x: Float[Tensor, "T C"]) -> Float[Tensor, "C T"]:
    return x.T


def halve(x: Float[Tensor, "T"]) -> Float[Tensor, "T"]:  # false: half of the steps remain
    return x[::2]


def plain(x: np.ndarray) -> int:
    return len(x)


@dataclass
class Window:
    values: Float[Tensor, "C T"]
    scale: Float[Tensor, "C 1"]


class Pair(NamedTuple):
    first: Float[Tensor, "T"]
    second: Float[Tensor, "T"]


class Layer(torch.nn.Module):
    @torch.no_grad()
    def forward(self, x: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        return 2 * x

    @property
    def size(self) -> Float[Tensor, ""]:
        return torch.zeros(1)  # false: one axis
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "hinted").mkdir()
    (tmp_path / "hinted" / "__init__.py").touch()
    (tmp_path / "hinted" / "shapes.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    hints.install("hinted")
    yield importlib.import_module("hinted.shapes")
    for name in ("hinted", "hinted.shapes"):
        del sys.modules[name]


def test_true_hints_pass(module: ModuleType) -> None:
    x = torch.zeros(3, 2)
    assert module.transpose(x).shape == (2, 3)
    assert module.Window(x, x[:, :1]).values is x
    assert module.Pair(x[0], x[1]).second.shape == (2,)
    assert module.Layer()(x).shape == x.shape


def test_false_hints_of_arguments_fail(module: ModuleType) -> None:
    x = torch.zeros(3, 2)
    for call in (
        lambda: module.transpose(x[0]),
        lambda: module.transpose(x.int()),
        lambda: module.Window(x, x[:2, :1]),
        lambda: module.Pair(x[0], x[:, 0]),
        lambda: module.Layer()(x[0]),
    ):
        with pytest.raises(jaxtyping.TypeCheckError, match=r"hinted\.shapes|Pair"):
            call()


def test_false_hints_of_results_fail(module: ModuleType) -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match=r"return value of hinted\.shapes\.halve"):
        module.halve(torch.zeros(4))
    with pytest.raises(jaxtyping.TypeCheckError, match=r"return value of hinted\.shapes\.Layer\.size"):
        _ = module.Layer().size


def test_functions_without_shapes_and_compiled_functions_stay_as_they_are(module: ModuleType) -> None:
    assert not hasattr(module.plain, "__wrapped__")
    compiled = torch.compile(module.Layer(), backend="eager", fullgraph=True)
    assert compiled(torch.ones(2, 3)).sum() == 12


def test_the_hints_of_tsfm_are_executed() -> None:
    from tsfm.nn.attention import plain_attention

    x = torch.zeros(1, 1, 2, 4)
    with pytest.raises(jaxtyping.TypeCheckError, match="plain_attention"):
        plain_attention(x[0], x, x, None, causal=False)
