"""The chunked scan agrees with the recurrence of arXiv:2405.21060 (eq. 1-2, discretised as in section 7.1), in float64.

h heads, K head width, G groups, J state. The loop below is written from the formulas.
"""

from __future__ import annotations

import sys
import types

import pytest
import torch
from torch import Tensor

from tsfm.nn import scan_chunks
from tsfm.nn.scan import scan, scan_chunked, scan_sequential, scan_step
from tsfm.nn.scan_kernels import find_kernel

ROWS, HEADS, WIDTH, GROUPS, STATE = 2, 4, 3, 2, 5
CUDA = pytest.mark.skipif(
    not torch.cuda.is_available() or find_kernel()[0] is None, reason="needs CUDA, and mamba_ssm or fla"
)


def random_inputs(tokens: int, *, dtype: torch.dtype = torch.float64, device: str = "cpu") -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    inputs = {
        "x": draw(ROWS, tokens, HEADS, WIDTH),
        "dt": 0.5 * draw(ROWS, tokens, HEADS).abs(),
        "a": -0.2 - draw(HEADS).abs(),
        "b": draw(ROWS, tokens, GROUPS, STATE),
        "c": draw(ROWS, tokens, GROUPS, STATE),
        "state": draw(ROWS, HEADS, WIDTH, STATE),
    }
    return {key: value.to(device, dtype).requires_grad_() for key, value in inputs.items()}


def recurrence(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, *, state: Tensor) -> tuple[Tensor, Tensor]:
    """state_t = exp(dt_t a) state_{t-1} + dt_t x_t b_t^T;  y_t = state_t c_t, head by head."""
    rows = []
    for n in range(x.shape[0]):
        heads = []
        for h in range(x.shape[2]):
            group, now, out = h // (x.shape[2] // b.shape[2]), state[n, h], []
            for t in range(x.shape[1]):
                now = torch.exp(dt[n, t, h] * a[h]) * now + dt[n, t, h] * torch.outer(x[n, t, h], b[n, t, group])
                out.append(now @ c[n, t, group])
            heads.append((torch.stack(out), now))
        rows.append((torch.stack([y for y, _ in heads], dim=1), torch.stack([s for _, s in heads])))
    return torch.stack([y for y, _ in rows]), torch.stack([s for _, s in rows])


def gradients(result: tuple[Tensor, Tensor], values: dict[str, Tensor]) -> list[Tensor]:
    y, last = result
    weight = torch.linspace(-1, 1, y.numel(), dtype=y.dtype, device=y.device).view_as(y)
    return list(torch.autograd.grad((y * weight).sum() + last.square().sum(), list(values.values())))


@pytest.mark.parametrize("scan_function", [scan_chunked, scan_sequential])
@pytest.mark.parametrize(("tokens", "chunk"), [(1, 4), (3, 4), (4, 4), (5, 4), (17, 4), (29, 8), (16, 64), (7, 1)])
def test_forward_and_every_gradient_are_those_of_the_recurrence(scan_function, tokens: int, chunk: int) -> None:
    values = random_inputs(tokens)
    exact = recurrence(**values)
    result = scan_function(**values, **({"chunk": chunk} if scan_function is scan_chunked else {}))
    torch.testing.assert_close(result, exact, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(gradients(result, values), gradients(exact, values), rtol=1e-9, atol=1e-9)


def test_float32_stays_within_rounding() -> None:
    exact = recurrence(**random_inputs(67))
    values = random_inputs(67, dtype=torch.float32)
    result = scan_chunked(**values, chunk=16)
    torch.testing.assert_close(result, tuple(t.float() for t in exact), rtol=1e-4, atol=1e-4)
    wide = gradients(exact_from(values), values)
    torch.testing.assert_close(gradients(result, values), wide, rtol=1e-3, atol=1e-3)


def exact_from(values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    y, last = recurrence(**{key: value.double() for key, value in values.items()})
    return y.float(), last.float()


def test_blocks_of_cells_and_both_ways_to_pass_states_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU takes a few cells at a time and passes states in a loop; a compiler or a GPU all at once, by doubling."""
    values = random_inputs(45)
    whole = scan_chunked(**values, chunk=4)
    expected_gradients = gradients(whole, values)
    monkeypatch.setitem(scan_chunks.MAX_DECAYS, "cpu", 3 * 4 * 4 * HEADS)
    assert len(scan_chunks._blocks(torch.zeros(24, 4, HEADS // GROUPS))) > 3
    few = scan_chunked(**values, chunk=4)
    torch.testing.assert_close(few, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients(few, values), expected_gradients, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    doubled = scan_chunked(**values, chunk=4)
    torch.testing.assert_close(doubled, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients(doubled, values), expected_gradients, rtol=1e-12, atol=1e-12)


def test_under_autocast_the_result_is_close_and_states_are_float32() -> None:
    values = random_inputs(130, dtype=torch.float32)
    exact = scan_chunked(**values, chunk=32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = scan_chunked(**values, chunk=32)
    assert rough[1].dtype == torch.float32
    for a, b in zip([*rough, *gradients(rough, values)], [*exact, *gradients(exact, values)], strict=True):
        assert torch.isfinite(a).all()
        assert (a - b).abs().max() < 0.05 * b.abs().max()


def test_without_a_state_it_starts_at_zero() -> None:
    values = random_inputs(21)
    zero = torch.zeros_like(values.pop("state"))
    torch.testing.assert_close(scan_chunked(**values, chunk=4), recurrence(**values, state=zero))


def test_a_sequence_in_two_parts_equals_the_whole() -> None:
    values = random_inputs(23)
    whole = scan_chunked(**values, chunk=4)
    state, a = values.pop("state"), values.pop("a")
    first, state = scan_chunked(**{k: v[:, :9] for k, v in values.items()}, a=a, state=state, chunk=4)
    second, last = scan_chunked(**{k: v[:, 9:] for k, v in values.items()}, a=a, state=state, chunk=4)
    torch.testing.assert_close((torch.cat([first, second], dim=1), last), whole)


def test_a_step_is_a_scan_of_one_token() -> None:
    values = random_inputs(1)
    y, last = scan_chunked(**values)
    inputs = {key: values[key][:, 0] for key in ("x", "dt", "b", "c")}
    torch.testing.assert_close(scan_step(**inputs, a=values["a"], state=values["state"]), (y[:, 0], last))


def test_tokens_with_a_step_of_zero_have_no_effect() -> None:
    values = {key: value.detach().clone() for key, value in random_inputs(20).items()}
    values["dt"][:, 5:9] = 0.0
    y, last = scan_chunked(**values, chunk=4)
    kept = [t for t in range(20) if not 5 <= t < 9]
    shorter = {k: v[:, kept] if k in ("x", "dt", "b", "c") else v for k, v in values.items()}
    torch.testing.assert_close((y[:, kept], last), scan_chunked(**shorter, chunk=4))


@pytest.mark.parametrize("dt", [0.0, 1e-6, 50.0, 1e4])
def test_extreme_steps_stay_finite_forward_and_backward(dt: float) -> None:
    values = random_inputs(40, dtype=torch.float32)
    with torch.no_grad():
        values["dt"].fill_(dt)
    result = scan_chunked(**values, chunk=8)
    assert all(torch.isfinite(t).all() for t in result)
    assert all(torch.isfinite(g).all() for g in gradients(result, values))


def test_a_large_step_does_not_reduce_the_precision_of_later_ones() -> None:
    values = {key: value.detach() for key, value in random_inputs(60, dtype=torch.float32).items()}
    values["dt"][:, ::20] = 1e5
    values["x"][:, ::20] /= 1e5
    exact, _ = scan_sequential(**{key: value.double() for key, value in values.items()})
    result, _ = scan_chunked(**values, chunk=32)
    assert (result - exact).abs().max() < 1e-4 * exact.abs().max()


def test_bf16_inputs_keep_float32_states() -> None:
    exact, _ = scan_chunked(**random_inputs(130, dtype=torch.float32), chunk=32)
    values = random_inputs(130, dtype=torch.float32)
    rough, last = scan_chunked(
        **{key: value if key in ("dt", "a", "state") else value.bfloat16() for key, value in values.items()}, chunk=32
    )
    assert (rough.dtype, last.dtype) == (torch.bfloat16, torch.float32)
    assert (rough.float() - exact).abs().max() < 0.05 * exact.abs().max()


def test_the_kernel_is_used_if_it_can_be_imported_and_described_if_not(monkeypatch) -> None:
    ran = []

    def stand_in(x, dt, a, b, c, *, chunk_size, initial_states, return_final_states):
        ran.append((dt.dtype, a.dtype, chunk_size, return_final_states))
        return scan_chunked(x, dt, a, b, c, chunk=chunk_size, state=initial_states)

    find_kernel.cache_clear()
    for name in ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    combined = types.ModuleType("mamba_ssm.ops.triton.ssd_combined")
    combined.mamba_chunk_scan_combined = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mamba_ssm.ops.triton.ssd_combined", combined)
    scan_function, description = find_kernel()
    assert scan_function is not None
    assert "mamba_ssm's SSD kernel on CUDA" in description
    values = random_inputs(9, dtype=torch.float32)
    torch.testing.assert_close(scan_function(**values), scan_chunked(**values, chunk=4))
    assert [(dt, a, last) for dt, a, _, last in ran] == [(torch.float32, torch.float32, True)]
    find_kernel.cache_clear()
    monkeypatch.setitem(sys.modules, "mamba_ssm.ops.triton.ssd_combined", None)
    monkeypatch.setitem(sys.modules, "fla", None)
    assert find_kernel()[0] is None
    assert find_kernel()[1].count("does not import") == 2
    find_kernel.cache_clear()


@pytest.mark.slow
def test_it_compiles_as_one_graph() -> None:
    values = random_inputs(37, dtype=torch.float32)
    compiled = torch.compile(scan_chunked, fullgraph=True)
    result, plain = compiled(**values, chunk=8), scan_chunked(**values, chunk=8)
    torch.testing.assert_close(result, plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gradients(result, values), gradients(plain, values), rtol=1e-3, atol=1e-4)


@CUDA
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-2), (torch.bfloat16, 5e-2)])
def test_the_kernel_agrees_with_our_scan_on_cuda(dtype: torch.dtype, near: float) -> None:
    """Forward and backward. The kernel multiplies in TF32, so float32 agrees to three digits."""
    generator = torch.Generator("cuda").manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, device="cuda")  # noqa: E731
    x, b, c = (draw(2, 300, 4, 64).to(dtype), draw(2, 300, 1, 64).to(dtype), draw(2, 300, 1, 64).to(dtype))
    dt, a = 0.05 * draw(2, 300, 4).abs(), -1 - draw(4).abs()
    values = {
        key: value.requires_grad_() for key, value in zip(("x", "dt", "a", "b", "c"), (x, dt, a, b, c), strict=True)
    }
    chunked, by_kernel = scan_chunked(**values), scan(**values)
    for mine, other in zip(
        [*chunked, *gradients(chunked, values)], [*by_kernel, *gradients(by_kernel, values)], strict=True
    ):
        assert (mine - other).float().abs().max() < near * mine.float().abs().max()
