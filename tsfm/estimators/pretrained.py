"""A loaded model that can learn: what `tsfm.load` returns. H horizon, C channels, L steps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tsfm.infer.load import ModelPredictor
from tsfm.infer.load import load as load_predictor
from tsfm.messages import did_you_mean
from tsfm.model.checkpoint import save

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("tsfm")
TASKS = ("forecast", "impute", "detect")  # those that need no labels
VALIDATION = 0.1  # share of each series, at its end, that chooses among the epochs


class Pretrained(ModelPredictor):
    """A trained model: every verb of ModelPredictor, `fit_df` and `save`."""

    def save(self, path: str | Path) -> Path:
        """Write the model as a directory that `tsfm.load` reads."""
        return save(self.model, path, about=self.about)

    def fit_df(
        self,
        df: pd.DataFrame,
        prediction_length: int | None = None,
        *,
        task: str = "forecast",
        method: str = "full",
        epochs: int | None = None,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        past: Sequence[str] = (),
        known: Sequence[str] = (),
        freq: str | None = None,
        overrides: Sequence[str] = (),
        seed: int = 0,
        device: str = "auto",
        verbose: bool = False,
    ) -> Pretrained:
        """A new model that went on learning on the items of a long DataFrame; this one stays as it is.

        prediction_length: the horizon, None for the model's own. task: forecast | impute | detect; labels are learnt by
        `tsfm.Classifier(model)`. method: full | head | lora. past, known: covariate columns. epochs None leaves them to
        the recipe, experiment=finetune/series; `overrides` change it. The last tenth of each item validates.
        """
        from tsfm.estimators import tuning
        from tsfm.estimators.fitting import describe, fit, init_words, keep_source, workshop
        from tsfm.estimators.portable import place
        from tsfm.store.ingest import ingest
        from tsfm.store.series_store import SeriesStore

        place(device)
        horizon = settle_horizon(task, prediction_length, own=self.model.config.horizon, name=self.name)
        shape = tuning.shape_for(self, horizon=horizon)
        targets = [target] if isinstance(target, str) else list(target)
        with workshop() as folder:
            store = folder / "store"
            report = ingest(
                df,
                store,
                id_column=id_column,
                timestamp_column=timestamp_column,
                target=[*targets, *past, *known],
                freq=freq,
                progress=False,
            )
            for note in report.notes:
                log.info(note)
            words = ["experiment=finetune/series", f"task={task}", f"seed={seed}"]
            words += [f"data.dataset={tuning.quoted(store)}"]
            words += init_words(keep_source(self, folder), method) + shape.words
            words += tuning.task_words(self, task, levels=shape.levels)
            words += tuning.column_words(self, targets, past=past, known=known)
            words += tuning.context_words(shape, SeriesStore.open(store).lengths, share=VALIDATION)
            words += [f"trainer.max_epochs={epochs}"] if epochs is not None else []
            config = describe(words, overrides)
            found = fit(config, folder, device=device, verbose=verbose, name=self.name, source=self.name)
        return type(self)(found.model, name=self.name, about=found.about, device=place(device))


def settle_horizon(task: str, asked: int | None, *, own: int, name: str) -> int | None:
    """Steps to learn to forecast; None for a task that has no horizon."""
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; {did_you_mean(str(task), list(TASKS))}; for labels use tsfm.Classifier")
    if task != "forecast":
        if asked is not None:
            raise ValueError(f"prediction_length is {asked}, and task={task} has no horizon; leave it out")
        return None
    if asked is None and own < 1:
        raise ValueError(f"{name} has no horizon of its own; give prediction_length")
    if asked is None:
        return own
    if isinstance(asked, bool) or not isinstance(asked, (int, np.integer)) or asked < 1:
        raise ValueError(f"prediction_length is {asked!r}; it is a number of steps, at least 1")
    return int(asked)


def load(name_or_path: str | Path, *, device: str = "cpu") -> Pretrained:
    """A trained model, ready for every verb, from a checkpoint directory (or the run directory that holds it), or the
    name of a bundled model. Needs no network and runs no code from the checkpoint."""
    return load_predictor(name_or_path, device=device, kind=Pretrained)
