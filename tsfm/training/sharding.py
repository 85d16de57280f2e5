"""Weights in shards: each process keeps a part of every tensor, and gathers a block of the network while it runs.

`trainer.strategy=fsdp` is torch's fully_shard (FSDP2) by Lightning's ModelParallelStrategy, which runs on CPUs too; its
older FSDPStrategy wants CUDA, and can't clip gradients by their norm.
"""

from __future__ import annotations

import copy
from typing import Any

from pytorch_lightning.strategies import ModelParallelStrategy

from tsfm.model.model import Model
from tsfm.training.learner import Learner


class ShardedLearner(Learner):
    """A Learner whose model is cut into shards once the processes know each other: each block by itself, and the rest
    together. `whole` puts the weights of all processes together in a model that no hook of sharding touches."""

    plain: Model

    def __init__(self, model: Model, *args: Any, **kwargs: Any):
        super().__init__(model, *args, **kwargs)
        object.__setattr__(self, "plain", copy.deepcopy(model))  # not a submodule

    def configure_model(self) -> None:
        from torch.distributed.fsdp import FSDPModule, fully_shard

        mesh = self.device_mesh
        if mesh is None or isinstance(self.model, FSDPModule):
            return
        for block in getattr(self.model.backbone, "blocks", ()):
            fully_shard(block, mesh=mesh["data_parallel"])
        fully_shard(self.model, mesh=mesh["data_parallel"])

    def whole(self) -> Model:
        from torch.distributed.tensor import DTensor

        state = self.model.state_dict()
        gathered = {name: t.full_tensor() if isinstance(t, DTensor) else t for name, t in state.items()}
        self.plain.load_state_dict(gathered)
        return self.plain


def sharded(devices: int) -> ModelParallelStrategy:
    """Every process holds its shard of all weights; a checkpoint is one file of whole weights. ImportError before torch
    2.6."""
    from torch.distributed.fsdp import fully_shard as fully_shard

    return ModelParallelStrategy(data_parallel_size=devices, tensor_parallel_size=1, save_distributed_checkpoint=False)
