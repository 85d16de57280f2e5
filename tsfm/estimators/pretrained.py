"""A loaded model that can be fine-tuned and saved: what `tsfm.load` returns. H horizon, C channels, L steps."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.load import bundled
from tsfm.infer.load import load as load_predictor
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.messages import announce, did_you_mean
from tsfm.model.checkpoint import save
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, read_settings, takes_options

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Unpack

    from tsfm.ensemble.adaptive import AdaptiveForecaster

UNLABELLED_TASKS = ("forecast", "impute", "detect")  # tasks that need no labels
VALIDATION_SHARE = 0.1  # share of each series, at its end, that selects the best epoch


class Pretrained(ModelPredictor):
    """A trained model with all methods of `ModelPredictor`, and `fit_df`, `save` and `from_pretrained`."""

    def adaptive(self) -> AdaptiveForecaster:
        """Return a forecaster that weighs this model and simpler members by a back-test; for ``effort="best"``."""
        from tsfm.ensemble.adaptive import AdaptiveForecaster

        return AdaptiveForecaster(self)

    def save(self, path: str | Path) -> Path:
        """Write the model as a directory that `tsfm.load` reads; returns its path."""
        return save(self.model, path, about=self.about)

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        token: str | None = None,
        private: bool = False,
    ) -> Path:
        """Write the model as `save` does: config.json, model.safetensors and README.md, as model hubs expect them.

        Parameters
        ----------
        save_directory
            The folder; an earlier model in it is replaced.
        repo_id, push_to_hub
            With `push_to_hub=True` the folder is also uploaded, as `repo_id` (default: the name of the folder).
        token, private
            Of the upload.
        """
        path = self.save(save_directory)
        if push_to_hub:
            from tsfm.estimators.hub import upload

            logging.getLogger("tsfm").info(
                "uploaded to %s", upload(path, repo_id or path.resolve().name, token=token, private=private)
            )
        return path

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        device: str = "cpu",
        config: InferenceConfig | None = None,
        **options: Any,
    ) -> Pretrained:
        """Load a model from a folder, by the name of a bundled model, or from the Hugging Face hub.

        Parameters
        ----------
        pretrained_model_name_or_path
            As in `tsfm.load`, or `organisation/name`, which needs the extra `hub`.
        device, config
            As in `tsfm.load`.
        **options
            Of the download: revision, token, cache_dir, local_files_only, ...

        Raises
        ------
        FileNotFoundError
            If there is no such model.
        ValueError
            If the folder does not hold a valid model.

        Examples
        --------
        >>> Pretrained.from_pretrained("tsfm-mini").name
        'tsfm-mini'
        """
        name = str(pretrained_model_name_or_path)
        if Path(name).exists() or name in bundled():
            return load_predictor(name, device=device, config=config, kind=cls)
        from tsfm.estimators.hub import download

        model = load_predictor(download(name, **options), device=device, config=config, kind=cls)
        model.name = name.rpartition("/")[2]
        return model

    @accepts_frames("df")
    @takes_options(errors="raise")
    def fit_df(
        self,
        df: pd.DataFrame,
        prediction_length: int | None = None,
        *,
        task: str = "forecast",
        method: str = "full",
        epochs: int | None = None,
        past: Sequence[str] = (),
        known: Sequence[str] = (),
        overrides: Sequence[str] = (),
        seed: int = 0,
        device: str = "auto",
        verbose: bool = False,
        **options: Unpack[ReadOptions],
    ) -> Pretrained:
        """Fine-tune on the items of a long DataFrame and return the new model; this one is not changed.

        Parameters
        ----------
        df
            One row per item and time; columns are found as by `predict_df`.
        prediction_length
            The horizon in steps; None takes that of the model. Only for task="forecast".
        task
            "forecast", "impute" or "detect". To learn labels, use ``tsfm.Classifier(model)``.
        method
            "full" trains all weights, "head" the head only, "lora" low-rank adapters of rank 8.
        epochs
            None takes those of the recipe, ``experiment=finetune/series``.
        past, known
            Covariate columns known only in the past, and known in the future.
        overrides
            Settings of the recipe, such as ``["optim.lr=1e-4"]``.
        device
            "auto", "cpu", "cuda" or "mps".
        verbose
            Show a progress bar.
        **options
            How `df` is read, see `tsfm.store.read_options.ReadOptions`. With errors="warn" and "skip" the model is
            fitted to the other items where one cannot be used; here the default is "raise".

        Returns
        -------
        Pretrained
            The weights of the epoch with the best validation loss: the last tenth of each item validates.

        Raises
        ------
        ValueError
            If an argument is not valid, a column is missing, or the series are too short.
        """
        from tsfm.estimators import tuning
        from tsfm.estimators.devices import resolve_device
        from tsfm.estimators.fitting import compose_config, init_overrides, save_source, temporary_run, train_predictor
        from tsfm.infer.columns import find_columns
        from tsfm.store.ingest import ingest
        from tsfm.store.series_store import SeriesStore

        resolve_device(device)
        horizon = check_horizon(task, prediction_length, own=self.model.config.horizon, name=self.name)
        shape = tuning.find_shape(self, horizon=horizon)
        notes: list[str] = []
        settings = read_settings({"errors": "raise", **options})
        columns = find_columns(df, **settings.columns, label="df", notes=notes)
        targets = [str(name) for name in columns.targets]
        announce(notes)
        with temporary_run() as folder:
            store = folder / "store"
            ingest(
                columns.frame,
                store,
                layout="wide" if columns.item is None else "long",
                progress=False,
                **settings.updated(
                    id_column=settings.id_column if columns.item is None else str(columns.item),
                    timestamp_column=None if columns.timestamp is None else str(columns.timestamp),
                    target=[*targets, *past, *known],
                ).options,
            )
            recipe = ["experiment=finetune/series", f"task={task}", f"seed={seed}"]
            recipe += [f"data.dataset={tuning.quote(store)}"]
            recipe += init_overrides(save_source(self, folder), method) + shape.overrides
            recipe += tuning.task_overrides(self, task, num_levels=shape.num_levels)
            recipe += tuning.column_overrides(self, targets, past=past, known=known)
            recipe += tuning.context_overrides(shape, SeriesStore.open(store).lengths, share=VALIDATION_SHARE)
            recipe += [f"trainer.max_epochs={epochs}"] if epochs is not None else []
            config = compose_config(recipe, overrides)
            try:
                tuned = train_predictor(
                    config, folder, device=device, verbose=verbose, name=self.name, source=self.name
                )
            except ValueError as error:
                raise too_short(error) from None
        return type(self)(
            tuned.model,
            name=self.name,
            about=tuned.about,
            device=resolve_device(device),
            config=self.inference_config,
        )


def too_short(error: ValueError) -> ValueError:
    """Return the error of series that are too short to train on in the words of `fit_df`; another one as it is."""
    match = re.search(
        r"split '(\w+)'.* horizon (\d+) fits; (\d+) rows needed, at most (\d+) found \((item .*?):", str(error)
    )
    if match is None:
        return error
    split, horizon, needed, num_found, item = match.groups()
    phase = "training" if split == "train" else "validation"
    advice = ", or a smaller prediction_length" if int(horizon) > 1 else ""
    return ValueError(
        f"df is too short: the longest, {item}, leaves {num_found} steps for the {phase}, and a horizon of {horizon} "
        f"needs {needed} (the last steps of each item validate); give longer items{advice}"
    )


def check_horizon(task: str, requested: int | None, *, own: int, name: str) -> int | None:
    """Return the number of steps to learn to forecast; None for a task without a horizon."""
    if task not in UNLABELLED_TASKS:
        raise ValueError(
            f"task is {task!r}; {did_you_mean(str(task), list(UNLABELLED_TASKS))}; for labels use tsfm.Classifier"
        )
    if task != "forecast":
        if requested is not None:
            raise ValueError(f"prediction_length is {requested}, and task={task} has no horizon; leave it out")
        return None
    if requested is None and own < 1:
        raise ValueError(f"{name} has no horizon of its own; give prediction_length")
    if requested is None:
        return own
    if isinstance(requested, bool) or not isinstance(requested, (int, np.integer)) or requested < 1:
        raise ValueError(f"prediction_length is {requested!r}; it is a number of steps, at least 1")
    return int(requested)


def load(
    name_or_path: str | Path,
    *,
    device: str = "cpu",
    config: InferenceConfig | None = None,
    precision: str | None = None,
    stride: int | None = None,
    flip: bool | None = None,
    context_lengths: Sequence[int] | None = None,
) -> Pretrained:
    """Load a trained model.

    Needs no network connection, and runs no code from the checkpoint.

    Parameters
    ----------
    name_or_path
        The name of a bundled model (`tsfm models` lists them), a model directory, or a run directory.
    device
        "cpu", "cuda", "cuda:1", ...
    config
        Settings of how it forecasts; None takes the defaults of `tsfm.infer.inference_config.InferenceConfig`.
    precision, stride, flip, context_lengths
        Single settings, which replace those of `config`.

    Raises
    ------
    FileNotFoundError
        If there is neither such a bundled model nor such a directory.
    ValueError
        If the directory does not hold a valid model.

    Examples
    --------
    >>> model = load("tsfm-mini")
    >>> model.name
    'tsfm-mini'
    """
    return load_predictor(
        name_or_path, device=device, config=config, precision=precision, stride=stride, flip=flip,
        context_lengths=context_lengths, kind=Pretrained,
    )  # fmt: skip
