"""Networks of tsfm and of other libraries (peers) at one shape, and a step of training and of inference of each.

B batch, C channels, T steps, H horizon. Windows have the layout of each library, [B, C, T] in tsfm and [B, T, C] in the
peers. The loss is the mean squared error of all B C H values, the optimizer is torch.optim.Adam with its defaults.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tsfm.model.model import Model
from tsfm.model.model_config import ModelConfig
from tsfm.registry import BACKBONES, HEADS, SCALERS, TASKS
from tsfm.types import Batch

MODES = {"float32": (False, False), "bf16": (True, False), "compiled": (False, True), "bf16 compiled": (True, True)}


@dataclass(frozen=True)
class Shape:
    """Sizes of the windows and of the networks."""

    batch: int = 32
    channels: int = 7
    lookback: int = 336
    horizon: int = 96
    patch: int = 16
    stride: int = 8
    width: int = 128
    depth: int = 3
    heads: int = 16
    hidden: int = 256
    dropout: float = 0.2

    def __str__(self) -> str:
        return (
            f"batch {self.batch}, {self.channels} channels, lookback {self.lookback}, horizon {self.horizon}, patch "
            f"{self.patch} stride {self.stride}, width {self.width}, {self.depth} layers, {self.heads} heads, hidden "
            f"{self.hidden}, dropout {self.dropout}"
        )

    def windows(self, device: str) -> Tensor:
        """Return random windows [B, C, T]."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(self.batch, self.channels, self.lookback + self.horizon, generator=generator).to(device)


@dataclass(frozen=True)
class Side:
    """A network with its loss and its forecast [B, C, H] of one batch."""

    name: str
    network: nn.Module
    loss: Callable[[], Tensor]
    forecast: Callable[[], Tensor]

    def training_step(self, *, device: str, bf16: bool = False) -> Callable[[], None]:
        """Return a function that takes one training step."""
        optimizer = torch.optim.Adam([p for p in self.network.parameters() if p.requires_grad], lr=1e-4)

        def step() -> None:
            optimizer.zero_grad()
            with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
                loss = self.loss()
            loss.backward()
            optimizer.step()

        return step

    def inference_step(self, *, device: str, bf16: bool = False) -> Callable[[], Tensor]:
        """Return a function that forecasts without gradients."""

        def step() -> Tensor:
            with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
                return self.forecast()

        return step

    def num_parameters(self) -> int:
        """Return the number of trained parameters."""
        return sum(p.numel() for p in self.network.parameters() if p.requires_grad)


def tsfm_network(shape: Shape, backbone: dict[str, Any], *, device: str, compiled: bool, **changes: Any) -> Side:
    """Return a model of tsfm; `changes` are further settings of the model."""
    settings: dict[str, Any] = {"context": shape.lookback, "horizon": shape.horizon, "width": shape.width}
    settings |= {"patch": shape.patch, "stride": shape.stride}
    network = Model(
        ModelConfig(**(settings | changes)),
        scaler=SCALERS.config({"name": "standard"}),
        backbone=BACKBONES.config(backbone),
        head=HEADS.config({"name": "flatten"}),
    ).to(device)
    task = TASKS.build(TASKS.config({"name": "forecast", "loss": "mse"}), horizon=shape.horizon)
    values = shape.windows(device)
    batch = Batch(values=values, observed=torch.ones_like(values, dtype=torch.bool))
    answer: Any = torch.compile(network, dynamic=False) if compiled else network

    def loss() -> Tensor:
        problem = task.pose(batch)
        return task.loss(answer(problem), problem)

    def forecast() -> Tensor:
        return answer(task.pose(batch)).prediction[..., -shape.horizon :, 0]

    return Side(f"tsfm {backbone['name']}", network, loss, forecast)


def transformers_network(name: str, shape: Shape, settings: dict[str, Any], *, device: str, compiled: bool) -> Side:
    """Return a model of transformers; its own loss, computed where it gets the future, is the mean squared error."""
    library = importlib.import_module("transformers")
    common = {
        "num_input_channels": shape.channels,
        "context_length": shape.lookback,
        "prediction_length": shape.horizon,
        "patch_length": shape.patch,
        "patch_stride": shape.stride,
        "d_model": shape.width,
        "scaling": "std",
        "loss": "mse",
        "head_dropout": 0.0,
    }
    config = getattr(library, f"{name}Config")(**(common | settings))
    network = getattr(library, f"{name}ForPrediction")(config).to(device)
    past, future = shape.windows(device).transpose(1, 2).contiguous().split([shape.lookback, shape.horizon], dim=1)
    answer: Any = torch.compile(network, dynamic=False) if compiled else network
    attention = getattr(network.config, "_attn_implementation", None) if "num_attention_heads" in settings else None
    return Side(
        f"transformers {name}" + (f" ({attention} attention)" if attention else ""),
        network,
        lambda: answer(past_values=past, future_values=future).loss,
        lambda: answer(past_values=past).prediction_outputs.transpose(1, 2),
    )


def neuralforecast_network(name: str, shape: Shape, settings: dict[str, Any], *, device: str, compiled: bool) -> Side:
    """Return the nn.Module of a neuralforecast model without its trainer; from a dict of windows to [B, H, C]."""
    for noisy in ("pytorch_lightning", "lightning_fabric", "lightning"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    library = importlib.import_module("neuralforecast.models")
    common = {"h": shape.horizon, "input_size": shape.lookback, "n_series": shape.channels, "dropout": shape.dropout}
    network = getattr(library, name)(**(common | settings)).to(device)
    past, future = shape.windows(device).transpose(1, 2).contiguous().split([shape.lookback, shape.horizon], dim=1)
    answer: Any = torch.compile(network, dynamic=False) if compiled else network

    def predict() -> Tensor:  # a new tensor each time, because iTransformer scales its input in place
        covariates = {"hist_exog": None, "futr_exog": None, "stat_exog": None}
        return answer({"insample_y": past.clone()} | covariates)

    return Side(
        f"neuralforecast {name}", network, lambda: F.mse_loss(predict(), future), lambda: predict().transpose(1, 2)
    )


def patchtst(shape: Shape, **options: Any) -> tuple[Side, Side]:
    """Return the patch transformer of tsfm and the PatchTST of transformers."""
    settings = {"depth": shape.depth, "heads": shape.heads, "hidden": shape.hidden, "dropout": shape.dropout}
    peer_settings = {
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "ffn_dim": shape.hidden,
        "pre_norm": False,
        "positional_encoding_type": "random",
        "pooling_type": None,
    } | {f"{name}_dropout": shape.dropout for name in ("positional", "path", "ff")}
    network = tsfm_network(shape, {"name": "patch_transformer"} | settings, **options)
    return network, transformers_network("PatchTST", shape, peer_settings, **options)


def mixer(shape: Shape, **options: Any) -> tuple[Side, Side]:
    """Return the mixer of tsfm and the PatchTSMixer of transformers."""
    expansion = max(shape.hidden // shape.width, 1)
    settings = {"depth": shape.depth, "expansion": expansion, "dropout": shape.dropout}
    peer_settings = {"num_layers": shape.depth, "expansion_factor": expansion, "dropout": shape.dropout}
    return tsfm_network(shape, {"name": "mixer"} | settings, **options), transformers_network(
        "PatchTSMixer", shape, peer_settings, **options
    )


def inverted(shape: Shape, **options: Any) -> tuple[Side, Side]:
    """Return the inverted transformer of tsfm and the iTransformer of neuralforecast."""
    settings = {"depth": shape.depth, "heads": shape.heads, "hidden": shape.hidden, "dropout": shape.dropout}
    settings["attention_dropout"] = shape.dropout  # the peer has one dropout for all
    peer_settings = {"hidden_size": shape.width, "n_heads": shape.heads, "e_layers": shape.depth, "d_ff": shape.hidden}
    one_patch: dict[str, Any] = {"patch": shape.lookback, "stride": shape.lookback}
    network = tsfm_network(shape, {"name": "inverted"} | settings, **options, **one_patch)
    return network, neuralforecast_network("iTransformer", shape, peer_settings, **options)


def tsmixerx(shape: Shape, **options: Any) -> tuple[Side, Side]:
    """Return two different mixers over time, features and channels.

    The peer mixes the H steps of its output and has no patches, so only width and depth are equal.
    """
    expansion = max(shape.hidden // shape.width, 1)
    settings = {"depth": shape.depth, "expansion": expansion, "dropout": shape.dropout, "channel_mlp": True}
    network = tsfm_network(shape, {"name": "mixer"} | settings, channels=shape.channels, **options)
    return network, neuralforecast_network(
        "TSMixerx", shape, {"n_block": shape.depth, "ff_dim": shape.width}, **options
    )


PAIRS: dict[str, Callable[..., tuple[Side, Side]]] = {
    "patchtst": patchtst,
    "mixer": mixer,
    "inverted": inverted,
    "tsmixerx": tsmixerx,
}
