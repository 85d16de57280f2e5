"""Chronos-Bolt (the successor of arXiv:2403.07815) at the size of its smallest release, with random weights.

Nothing is downloaded: the speed of a network does not depend on its weights.

B batch, L context, H horizon, Q quantile levels.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from typing import Any

import torch
from torch import Tensor

QUANTILE_LEVELS = [k / 10 for k in range(1, 10)]
NATIVE = 64  # steps of one pass
# of amazon/chronos-bolt-tiny: the T5 sizes of google/t5-efficient-tiny, the rest as in all its sizes
TINY = {
    "d_model": 256,
    "d_ff": 1024,
    "d_kv": 64,
    "num_layers": 4,
    "num_decoder_layers": 4,
    "num_heads": 4,
    "feed_forward_proj": "relu",
    "dropout_rate": 0.1,
    "initializer_factor": 0.05,
    "vocab_size": 2,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
    "use_cache": False,
    "chronos_config": {
        "context_length": 2048,
        "prediction_length": NATIVE,
        "input_patch_size": 16,
        "input_patch_stride": 16,
        "quantiles": QUANTILE_LEVELS,
        "use_reg_token": True,
    },
}


class Bolt:
    """The pipeline that users of Chronos-Bolt call, and the network in it."""

    name = "Chronos-Bolt-tiny"

    def __init__(self, *, dtype: torch.dtype):
        transformers = importlib.import_module("transformers")
        bolt: Any = importlib.import_module("chronos.chronos_bolt")
        warnings.filterwarnings("ignore", message="We recommend keeping prediction length")
        logging.getLogger("transformers").setLevel(logging.ERROR)
        torch.manual_seed(0)
        self.network = bolt.ChronosBoltModelForForecasting(transformers.T5Config(**TINY)).eval().to(dtype)
        self.pipeline = bolt.ChronosBoltPipeline(self.network)

    def forecast(self, context: Tensor, *, horizon: int) -> Tensor:
        """Return quantiles [B, H, Q] of a context [B, L], as users do."""
        return self.pipeline.predict_quantiles(context, prediction_length=horizon, quantile_levels=QUANTILE_LEVELS)[0]

    @torch.no_grad()
    def one_pass(self, context: Tensor) -> Tensor:
        """Return the output of the network [B, Q, 64] for a context [B, L], without the pipeline."""
        return self.network(context=context).quantile_preds

    def num_parameters(self) -> int:
        """Return the number of parameters."""
        return sum(p.numel() for p in self.network.parameters())
