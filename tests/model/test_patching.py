"""Laws of patching: no step is lost, the newest step ends the last patch. T steps, S patch, P patches."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tsfm.model.patching import EMBEDS, Patching, from_first, num_patches, raw_width

fast = settings(max_examples=60, deadline=None)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[int, int, int]:
    """(steps, patch, stride); the window may be shorter than a patch."""
    patch = draw(st.integers(1, 20))
    return draw(st.integers(1, 90)), patch, draw(st.integers(1, patch))


def raw(patch: int, stride: int, *, pad_end: bool = False, embed: str = "values") -> Patching:
    return Patching(patch=patch, stride=stride, pad_end=pad_end, embed=embed, width=raw_width(embed, patch) or 8)


def numbered(steps: int) -> torch.Tensor:
    return torch.arange(1.0, steps + 1).expand(2, 3, steps)


@fast
@given(cut=cuts(), pad_end=st.booleans())
def test_every_step_is_in_a_patch_and_the_newest_ends_the_last(cut: tuple[int, int, int], pad_end: bool) -> None:
    steps, patch, stride = cut
    x = numbered(steps)
    tokens, valid = raw(patch, stride, pad_end=pad_end)(x, torch.ones_like(x, dtype=torch.bool))
    count = num_patches(steps, patch=patch, stride=stride, pad_end=pad_end)
    assert tokens.shape == (2, 3, count, patch)
    assert valid.shape == (2, 3, count)
    assert valid.all()
    assert set(tokens[0, 0].unique().tolist()) - {0.0} == set(range(1, steps + 1))
    assert tokens[0, 0, -1, -1] == steps
    assert tokens[0, 0, count - 1 - pad_end, -1] == steps


@fast
@given(cut=cuts())
def test_patches_are_a_stride_apart_and_only_the_first_is_padded(cut: tuple[int, int, int]) -> None:
    steps, patch, stride = cut
    x = numbered(steps)
    tokens, _ = raw(patch, stride)(x, torch.ones_like(x, dtype=torch.bool))
    ends = tokens[0, 0, :, -1]
    assert (ends.diff() == stride).all()
    inner = tokens[0, 0, 1:]
    assert (inner.diff(dim=-1) == 1).all()
    padded = int((tokens[0, 0, 0] == 0).sum())
    assert padded < max(stride, patch - steps + 1)  # not more than needed
    assert (tokens[0, 0, 0, :padded] == 0).all()


@pytest.mark.parametrize(
    ("steps", "patch", "stride", "published"), [(336, 16, 8, 42), (512, 16, 8, 64), (512, 16, 16, 33)]
)
def test_pad_end_is_the_replicate_padding_of_patchtst(steps: int, patch: int, stride: int, published: int) -> None:
    """ReplicationPad1d((0, stride)), then unfold: PatchTST/42 and PatchTST/64 (arXiv:2211.14730, section 3.1)."""
    x = torch.randn(2, 3, steps)
    tokens, _ = raw(patch, stride, pad_end=True)(x, torch.ones_like(x, dtype=torch.bool))
    expected = F.pad(x, (0, stride), mode="replicate").unfold(-1, patch, stride)
    assert torch.equal(tokens, expected)
    assert tokens.shape[2] == num_patches(steps, patch=patch, stride=stride, pad_end=True) == published


@fast
@given(cut=cuts(), seed=st.integers(0, 1000), rate=st.sampled_from([0.0, 0.3, 0.9, 1.0]))
def test_from_first_is_true_from_the_first_visible_step_on(cut: tuple[int, int, int], seed: int, rate: float) -> None:
    steps, patch, stride = cut
    x = numbered(steps)
    visible = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < rate
    tokens, valid = raw(patch, stride)(x, visible)
    for b in range(2):
        for c in range(3):
            has_visible = [bool((tokens[b, c, p] != 0).any()) for p in range(tokens.shape[2])]
            expected = [any(has_visible[: p + 1]) for p in range(len(has_visible))]
            assert valid[b, c].tolist() == expected


def test_from_first_of_hidden_tails_and_empty_channels() -> None:
    mask = torch.tensor([[False, True, False, True, False], [False] * 5])
    assert from_first(mask).tolist() == [[False, True, True, True, True], [False] * 5]


@pytest.mark.parametrize("embed", EMBEDS)
@pytest.mark.parametrize("poison", [float("nan"), 1e9])
def test_hidden_values_have_no_effect_on_tokens(embed: str, poison: float) -> None:
    torch.manual_seed(0)
    patching = raw(8, 8, embed=embed)
    x, visible = torch.randn(2, 3, 30), torch.rand(2, 3, 30) < 0.6
    assert torch.equal(patching(x, visible)[0], patching(torch.where(visible, x, poison), visible)[0])


def test_residual_and_values_visible_distinguish_a_hidden_step_from_a_zero() -> None:
    x, visible = torch.zeros(1, 1, 16), torch.ones(1, 1, 16, dtype=torch.bool)
    hidden = visible.clone()
    hidden[..., 3] = False
    for embed in ("residual", "values_visible"):
        patching = raw(8, 8, embed=embed)
        assert not torch.equal(patching(x, visible)[0], patching(x, hidden)[0])
    tokens, _ = raw(8, 8, embed="values_visible")(x, hidden)
    assert tokens[..., 8:].flatten().tolist() == hidden.flatten().tolist()


@fast
@given(patch=st.integers(1, 12), count=st.integers(1, 6), prefix=st.integers(0, 3))
def test_unobserved_patches_before_a_series_only_add_tokens_that_are_not_valid(
    patch: int, count: int, prefix: int
) -> None:
    patching = raw(patch, patch, embed="values_visible")
    x = torch.randn(2, 3, patch * count)
    visible = torch.ones_like(x, dtype=torch.bool)
    short, _ = patching(x, visible)
    long, valid = patching(F.pad(x, (prefix * patch, 0), value=7.0), F.pad(visible, (prefix * patch, 0)))
    assert torch.equal(long[:, :, prefix:], short)
    assert (long[:, :, :prefix] == 0).all()
    assert not valid[:, :, :prefix].any()
    assert valid[:, :, prefix:].all()
