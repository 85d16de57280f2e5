"""Our models and their peers at the same shape: what one step of training and of inference is on each side.

B batch, C channels, T steps, H horizon. A side takes its windows as its own users would hold them, [B, C, T] here and
[B, T, C] there; both lose by the mean squared error of all B C H steps and step with torch.optim.Adam as it comes.
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
        generator = torch.Generator().manual_seed(0)
        return torch.randn(self.batch, self.channels, self.lookback + self.horizon, generator=generator).to(device)


@dataclass(frozen=True)
class Side:
    """A network with its loss of one batch and its forecast [B, C, H] of it."""

    name: str
    network: nn.Module
    loss: Callable[[], Tensor]
    forecast: Callable[[], Tensor]

    def trains(self, *, device: str, bf16: bool = False) -> Callable[[], None]:
        optimizer = torch.optim.Adam([p for p in self.network.parameters() if p.requires_grad], lr=1e-4)

        def step() -> None:
            optimizer.zero_grad()
            with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
                loss = self.loss()
            loss.backward()
            optimizer.step()

        return step

    def infers(self, *, device: str, bf16: bool = False) -> Callable[[], Tensor]:
        def step() -> Tensor:
            with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
                return self.forecast()

        return step

    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.network.parameters() if p.requires_grad)


def ours(shape: Shape, backbone: dict[str, Any], *, device: str, compiled: bool, **changes: Any) -> Side:
    settings = {"context": shape.lookback, "horizon": shape.horizon, "width": shape.width}
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


def of_transformers(name: str, shape: Shape, settings: dict[str, Any], *, device: str, compiled: bool) -> Side:
    """A model of transformers; its own loss, when it is given the future, is the mean squared error."""
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


def of_neuralforecast(name: str, shape: Shape, settings: dict[str, Any], *, device: str, compiled: bool) -> Side:
    """The nn.Module of a neuralforecast model, without its trainer: a dictionary of windows in, [B, H, C] out."""
    for noisy in ("pytorch_lightning", "lightning_fabric", "lightning"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    library = importlib.import_module("neuralforecast.models")
    common = {"h": shape.horizon, "input_size": shape.lookback, "n_series": shape.channels, "dropout": shape.dropout}
    network = getattr(library, name)(**(common | settings)).to(device)
    past, future = shape.windows(device).transpose(1, 2).contiguous().split([shape.lookback, shape.horizon], dim=1)
    answer: Any = torch.compile(network, dynamic=False) if compiled else network

    def said() -> Tensor:  # a new tensor each time: iTransformer scales what it is given in place
        outside = {"hist_exog": None, "futr_exog": None, "stat_exog": None}
        return answer({"insample_y": past.clone()} | outside)

    return Side(f"neuralforecast {name}", network, lambda: F.mse_loss(said(), future), lambda: said().transpose(1, 2))


def patchtst(shape: Shape, **how: Any) -> tuple[Side, Side]:
    settings = {"depth": shape.depth, "heads": shape.heads, "hidden": shape.hidden, "dropout": shape.dropout}
    theirs = {
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "ffn_dim": shape.hidden,
        "pre_norm": False,
        "positional_encoding_type": "random",
        "pooling_type": None,
    } | {f"{place}_dropout": shape.dropout for place in ("positional", "path", "ff")}
    mine = ours(shape, {"name": "patch_transformer"} | settings, **how)
    return mine, of_transformers("PatchTST", shape, theirs, **how)


def mixer(shape: Shape, **how: Any) -> tuple[Side, Side]:
    expansion = max(shape.hidden // shape.width, 1)
    settings = {"depth": shape.depth, "expansion": expansion, "dropout": shape.dropout}
    theirs = {"num_layers": shape.depth, "expansion_factor": expansion, "dropout": shape.dropout}
    return ours(shape, {"name": "mixer"} | settings, **how), of_transformers("PatchTSMixer", shape, theirs, **how)


def inverted(shape: Shape, **how: Any) -> tuple[Side, Side]:
    settings = {"depth": shape.depth, "heads": shape.heads, "hidden": shape.hidden, "dropout": shape.dropout}
    settings["attention_dropout"] = shape.dropout  # theirs has one dropout for all
    theirs = {"hidden_size": shape.width, "n_heads": shape.heads, "e_layers": shape.depth, "d_ff": shape.hidden}
    whole = {"patch": shape.lookback, "stride": shape.lookback}
    mine = ours(shape, {"name": "inverted"} | settings, **how, **whole)
    return mine, of_neuralforecast("iTransformer", shape, theirs, **how)


def tsmixerx(shape: Shape, **how: Any) -> tuple[Side, Side]:
    """Two different mixers over time, features and channels: theirs mixes the H steps of the answer and knows no
    patches, so that width and depth are alike and nothing else."""
    expansion = max(shape.hidden // shape.width, 1)
    settings = {"depth": shape.depth, "expansion": expansion, "dropout": shape.dropout, "channel_mlp": True}
    mine = ours(shape, {"name": "mixer"} | settings, channels=shape.channels, **how)
    return mine, of_neuralforecast("TSMixerx", shape, {"n_block": shape.depth, "ff_dim": shape.width}, **how)


PAIRS: dict[str, Callable[..., tuple[Side, Side]]] = {
    "patchtst": patchtst,
    "mixer": mixer,
    "inverted": inverted,
    "tsmixerx": tsmixerx,
}
