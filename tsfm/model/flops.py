"""Count the floating-point operations of a model."""

from __future__ import annotations

import torch

from tsfm.model.model import Model


def flops_per_window(model: Model, *, channels: int) -> int:
    """Return the floating-point operations of a forward pass over one window, twice the multiply-adds."""
    from torch.utils.flop_counter import FlopCounterMode

    training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(model.example(channels=channels))
    model.train(training)
    return int(counter.get_total_flops())
