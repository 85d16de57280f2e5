"""The feed-forward layers agree with their formulas."""

from __future__ import annotations

import torch

from tsfm.nn.mlp import FeedForward, ResidualMLP


def test_feed_forward_layers_are_their_formulas() -> None:
    x = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for gated in (False, True):
        layer = FeedForward(6, hidden=4, gated=gated, dropout=0.5).double().eval()
        up = x @ layer.up.weight.T + layer.up.bias
        inner = up[:, :4] * up[:, 4:] * torch.sigmoid(up[:, 4:]) if gated else up * (1 + torch.erf(up / 2**0.5)) / 2
        torch.testing.assert_close(layer(x), inner @ layer.down.weight.T + layer.down.bias)
    layer = ResidualMLP(6, hidden=4, outputs=3).double()
    up = x @ layer.up.weight.T + layer.up.bias
    inner = up * torch.sigmoid(up)
    expected = x @ layer.skip.weight.T + layer.skip.bias + inner @ layer.down.weight.T + layer.down.bias
    torch.testing.assert_close(layer(x), expected)
