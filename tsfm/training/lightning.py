"""The training of `tsfm train` as Lightning classes, for a `Trainer`, callbacks and loggers of your own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from tsfm.config import RunConfig, combine_overrides, typed
from tsfm.data.loader import WindowLoader
from tsfm.model.checkpoint import save
from tsfm.nn.lora import merge_lora
from tsfm.training.components import build_components
from tsfm.training.init_config import compose_with_checkpoint
from tsfm.training.learner import Learner
from tsfm.training.process_state import restored_random_state
from tsfm.training.training_run import describe_training


class LightningDataModule(pl.LightningDataModule):
    """The data of a training run: loaders of the training, validation and test windows.

    Parameters
    ----------
    experiment, data, overrides, config_dir, settings
        As in `tsfm.train`. Settings of the group `trainer` are not used: they are those of your own `Trainer`.

    Attributes
    ----------
    config
        The typed configuration of the run, completed by what the data decides.

    Raises
    ------
    ValueError
        If a setting is wrong, or data, model and task do not fit together.

    Examples
    --------
    >>> import pytorch_lightning as pl
    >>> import tsfm
    >>> data = tsfm.LightningDataModule(experiment="ltsf/patch_transformer_etth1_96")  # doctest: +SKIP
    >>> module = tsfm.LightningModule(data)  # doctest: +SKIP
    >>> pl.Trainer(max_epochs=3).fit(module, data)  # doctest: +SKIP
    """

    config: RunConfig

    def __init__(
        self,
        *,
        experiment: str | None = None,
        data: str | None = None,
        overrides: Sequence[str] = (),
        config_dir: str | None = None,
        **settings: Any,
    ):
        super().__init__()
        texts = combine_overrides(settings, experiment=experiment, data=data, overrides=overrides)
        with restored_random_state():
            components = build_components(typed(compose_with_checkpoint(texts, config_dir=config_dir)))
        self.config, self.source = components.config, components.data

    def prepare_data(self) -> None:
        """Read the data in one process first."""
        self.source.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Connect the data with the trainer, which knows the rank of this process."""
        self.source.trainer = self.trainer
        self.source.setup(stage)

    def train_dataloader(self) -> WindowLoader:
        """Return the training batches."""
        return self.source.train_dataloader()

    def val_dataloader(self) -> WindowLoader | list:
        """Return the batches of the validation windows, in order."""
        return self.source.val_dataloader()

    def test_dataloader(self) -> WindowLoader | list:
        """Return the batches of the test windows, in order."""
        return self.source.test_dataloader()

    def predict_dataloader(self) -> WindowLoader | list:
        """Return the batches of the test windows, in order."""
        return self.source.test_dataloader()


class LightningModule(Learner):
    """The model, loss, metrics and optimizer of a training run.

    It logs `train/loss` and the metrics of the task, such as `val/loss` and `test/loss`. `Trainer.predict` returns a
    tensor for each batch, see `Learner.predict_step`.

    Parameters
    ----------
    data
        Whose settings decide the model; it has new weights, which follow from the seed and `init`.

    Examples
    --------
    >>> import tsfm
    >>> module = tsfm.LightningModule(data)  # doctest: +SKIP
    >>> module.save("runs/mine/model")  # doctest: +SKIP
    >>> tsfm.load("runs/mine/model")  # doctest: +SKIP
    """

    def __init__(self, data: LightningDataModule):
        with restored_random_state():
            components = build_components(data.config, data.source)
        super().__init__(
            components.model,
            components.task,
            data.config.optim,
            seed=data.config.seed,
            layer_decay=components.initialization.layer_decay,
        )
        self.components = components

    def save(self, folder: str | Path) -> Path:
        """Save the model as a directory that `tsfm.load` reads, and return its path."""
        model = copy.deepcopy(self.whole_model())
        merge_lora(model)
        metrics = {f"val_{name}": float(value) for name, value in self.validation.items() if name == self.task.monitor}
        return save(model, Path(folder), about=describe_training(self.components, metrics=metrics, command=""))
