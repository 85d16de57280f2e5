"""Sharded weights: each process keeps a shard of every tensor, and gathers a block of the network while it runs.

`trainer.strategy=fsdp` is torch's `fully_shard` (FSDP2) in Lightning's ModelParallelStrategy, which also runs on CPUs;
the older FSDPStrategy needs CUDA and cannot clip gradients by their norm.
"""

from __future__ import annotations

import copy
from typing import Any

from pytorch_lightning.strategies import ModelParallelStrategy

from tsfm.model.model import Model
from tsfm.training.learner import Learner


class ShardedLearner(Learner):
    """A Learner whose model is sharded once the processes are connected: each block separately, and the rest.

    `whole_model` copies the weights of all processes into a model without sharding hooks.
    """

    unsharded: Model

    def __init__(self, model: Model, *args: Any, **kwargs: Any):
        super().__init__(model, *args, **kwargs)
        object.__setattr__(self, "unsharded", copy.deepcopy(model))  # not a submodule

    def configure_model(self) -> None:
        """Shard the model."""
        from torch.distributed.fsdp import FSDPModule, fully_shard

        mesh = self.device_mesh
        if mesh is None or isinstance(self.model, FSDPModule):
            return
        for block in getattr(self.model.backbone, "blocks", ()):
            fully_shard(block, mesh=mesh["data_parallel"])
        fully_shard(self.model, mesh=mesh["data_parallel"])

    def whole_model(self) -> Model:
        """Return the model with all weights; all processes must call it at the same time."""
        from torch.distributed.tensor import DTensor

        state = self.model.state_dict()
        gathered = {name: t.full_tensor() if isinstance(t, DTensor) else t for name, t in state.items()}
        self.unsharded.load_state_dict(gathered)
        return self.unsharded


def fsdp_strategy(devices: int) -> ModelParallelStrategy:
    """Return the strategy: every process has a shard of all weights, and a checkpoint is one file of whole weights.

    Raises
    ------
    ImportError
        Before torch 2.6.
    """
    from torch.distributed.fsdp import fully_shard as fully_shard

    return ModelParallelStrategy(data_parallel_size=devices, tensor_parallel_size=1, save_distributed_checkpoint=False)
