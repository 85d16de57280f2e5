"""Every backbone on the device against float64 on the CPU: loss, forecasts and gradients, in each mode."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields, replace

import torch
from torch import Tensor

from gpu.section import Recorder, Slot, relative_error
from tests.tiny import cases, forecast_problem, tiny, waves
from tsfm.model.model import Model
from tsfm.types import Problem

# mode -> the largest relative error: products of float32 are exact to 1e-6, of bf16 to 8e-3 each
LIMITS = {"float32": 1e-4, "compiled": 1e-4, "bf16": 5e-2}


def measure(slot: Slot, record: Recorder) -> None:
    """Add a row for each backbone, arrangement and mode; `fits` says whether the errors are within the limit."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    for backbone, kind in chosen_arrangements():
        exact = results(tiny(backbone, kind).double(), problem_on("cpu", torch.float64))
        for mode, limit in LIMITS.items():
            if mode == "compiled" and slot.dry_run:  # half a minute each
                record.add(backbone=backbone, arrangement=kind, mode=mode, skipped="dry run")
                continue
            with record.case(backbone=backbone, arrangement=kind, mode=mode) as row:
                model = tiny(backbone, kind).to(slot.device)
                forward: Callable[..., object] = torch.compile(model) if mode == "compiled" else model
                with torch.autocast(slot.device, torch.bfloat16) if mode == "bf16" else nullcontext():
                    result = results(model, problem_on(slot.device, torch.float32), forward=forward)
                row["forecast"], row["gradient"] = (
                    relative_error(value, expected) for value, expected in zip(result, exact, strict=True)
                )
                row["fits"] = max(row["forecast"], row["gradient"]) < limit
                if not row["fits"]:
                    raise ArithmeticError(f"errors {row['forecast']:.1e} and {row['gradient']:.1e}, limit {limit:.0e}")


def chosen_arrangements() -> list[tuple[str, str]]:
    """Return each backbone with the arrangements that the bundled models and the plain forecasters have."""
    return [(backbone, kind) for backbone, kind in cases() if kind in ("lags", "flatten")]


def problem_on(device: str, dtype: torch.dtype) -> Problem:
    """Return a small problem on a device."""
    problem = forecast_problem(waves())
    return replace(
        problem,
        **{
            field.name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for field in fields(problem)
            if isinstance(value := getattr(problem, field.name), Tensor)
        },
    )


def results(model: Model, problem: Problem, *, forward: Callable[..., object] | None = None) -> tuple[Tensor, Tensor]:
    """Return the predicted quantiles, and the gradient of their weighted sum for all weights as one vector."""
    model.eval()  # no dropout
    answer = (forward or model)(problem)
    prediction = answer.prediction  # type: ignore[attr-defined]
    y = prediction[torch.isfinite(prediction)]  # NaN at steps that the head does not predict
    scale = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype, device=y.device).view_as(y)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    grads = torch.autograd.grad((y * scale).mean(), weights, allow_unused=True)
    return y, torch.cat([grad.flatten() for grad in grads if grad is not None])
