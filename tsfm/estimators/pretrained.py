"""A loaded model that can be fine-tuned and saved: what `tsfm.load` returns. H horizon, C channels, L steps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsfm.infer.inference_config import InferenceConfig
from tsfm.infer.load import bundled
from tsfm.infer.load import load as load_predictor
from tsfm.infer.model_predictor import ModelPredictor
from tsfm.infer.progress import check_progress
from tsfm.model.checkpoint import save
from tsfm.store.foreign_frames import accepts_frames
from tsfm.store.read_options import ReadOptions, read_settings, takes_options

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Unpack

    from tsfm.ensemble.adaptive import AdaptiveForecaster
    from tsfm.estimators.stream import ForecastStream


class Pretrained(ModelPredictor):
    """A trained model with all methods of `ModelPredictor`, and `fit_df`, `save` and `from_pretrained`."""

    def adaptive(self) -> AdaptiveForecaster:
        """Return a forecaster that weighs this model and simpler members by a back-test; for ``effort="best"``."""
        from tsfm.ensemble.adaptive import AdaptiveForecaster

        return AdaptiveForecaster(self)

    def stream(self, history: Any) -> ForecastStream:
        """Return a forecaster of one series that grows, with constant memory and one step of the network for each row.

        Only for models whose network keeps a state of constant size, such as backbone=mamba in one direction. The
        scale is that of `history` and stays, so that the forecasts are those of the model for all rows so far in this
        scale; right after `history` they are those of the model itself.

        Parameters
        ----------
        history
            The first rows, `[steps]` or `[channels, steps]`: enough of them to show the level and the spread of the
            series.

        Raises
        ------
        ValueError
            If the model cannot stream, with the reasons; or the first row has a missing value.
        """
        from tsfm.estimators.stream import ForecastStream

        return ForecastStream(self, history)

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
        keep_better: bool = True,
        progress: bool | None = None,
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
            Number of validations, after equally many steps each; None takes 6, as long as they improve.
        past, known
            Covariate columns known only in the past, and known in the future.
        overrides
            Settings of the recipe, ``experiment=finetune/series``, such as ``["optim.lr=1e-4"]``. Windows, steps and
            learning rate follow from the size of the data where they are not set.
        device
            "auto", "cpu", "cuda" or "mps".
        keep_better
            Keep the weights of this model unless the fine-tuned ones validate better by more than chance, which is
            less the more windows validate; this is announced.
        progress
            Show a progress bar. None: in a terminal or a notebook. The expected time is announced by a
            `tsfm.AssumptionWarning` before the training begins.
        **options
            How `df` is read, see `tsfm.store.read_options.ReadOptions`. With errors="warn" and "skip" the model is
            fitted to the other items where one cannot be used; here the default is "raise".

        Returns
        -------
        Pretrained
            The weights with the best validation loss: the last tenth of each item validates, in 128 windows at most.
            It reads contexts as long as this model does.

        Raises
        ------
        ValueError
            If an argument is not valid, a column is missing, or the series are too short.
        """
        from tsfm.estimators.devices import resolve_device
        from tsfm.estimators.fine_tune import FitRequest, check_horizon, fine_tune

        resolve_device(device)
        horizon = check_horizon(task, prediction_length, own=self.model.config.horizon, name=self.name)
        request = FitRequest(
            task=task, method=method, horizon=horizon, epochs=epochs, past=past, known=known, overrides=overrides,
            seed=seed, device=device, progress=check_progress(progress), keep_better=keep_better,
        )  # fmt: skip
        tuned = fine_tune(self, df, request, settings=read_settings({"errors": "raise", **options}))
        return type(self)(
            tuned.model,
            name=self.name,
            about=tuned.about,
            device=resolve_device(device),
            config=self.inference_config,
        )


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
