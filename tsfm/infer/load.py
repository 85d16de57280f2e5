"""A trained model as a Predictor, and load(): from a directory or the name of a bundled model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from tsfm.infer.abilities import check_forecasts
from tsfm.infer.classify import classify, classify_df, probabilities, regress
from tsfm.infer.detect import detect, detect_df
from tsfm.infer.embed import embed, embed_df
from tsfm.infer.impute import impute, impute_df
from tsfm.infer.predictor import Predictor
from tsfm.infer.rollout import rollout
from tsfm.infer.strided import LONG, pays, phases, shown, together
from tsfm.model.checkpoint import About, find
from tsfm.model.checkpoint import bundled as bundled
from tsfm.model.checkpoint import load as load_checkpoint
from tsfm.model.checkpoint import weights_dir as weights_dir
from tsfm.model.model import Model


class ModelPredictor(Predictor):
    """Forecasts of a trained model. Horizons beyond the trained one are rolled out. Covariates are used by models that
    mix channels: what is visible of them, no more is told.

    What else it can be asked stands in the file of each verb, whose functions are methods here."""

    impute, impute_df = impute, impute_df
    detect, detect_df = detect, detect_df
    embed, embed_df = embed, embed_df
    classify, probabilities, regress, classify_df = classify, probabilities, regress, classify_df
    check_forecasts = check_forecasts

    max_context_length: int
    context_lengths: tuple[
        int, ...
    ] = ()  # steps of the past to look at, whose forecasts are averaged; none: its context
    stride = 4  # of a season of 96 steps or more, every so manyth step is forecast by itself too; 1: never
    flip = False  # forecast the mirrored series too, and take the mean of both
    precision = "32"  # 32 | bf16, in which a CPU with AVX-512 or AMX answers two to three times as fast

    def __init__(self, model: Model, *, name: str, about: About | None = None, device: str = "cpu"):
        self.model, self.name, self.about = model.eval().to(device), name, about or About()
        self.quantile_levels = model.quantile_levels
        self.max_context_length, self.max_horizon = model.config.context, model.config.horizon
        self.any_horizon = self.about.task.get("name") == "pretrain"  # trained on tails of any length
        self.uses_covariates = model.mixes_channels
        data: dict[str, Any] = self.about.trained_on.get("data") or {}
        self.trained_data, self.trained_context_length = data, model.config.context
        self.past: list[str] = data.get("past") or []  # covariates as they were named in training
        self.known: list[str] = data.get("known") or []
        self.time_features = tuple(data.get("calendar") or ()) if self.uses_covariates else ()

    def to(self, device: Any) -> ModelPredictor:
        """See `Predictor.to`."""
        self.model.to(device)
        return self

    def num_parameters(self) -> int:
        """See `Predictor.num_parameters`."""
        return self.model.num_parameters()

    @torch.inference_mode()
    def quantiles(
        self,
        context: np.ndarray,
        *,
        horizon: int,
        quantile_levels: tuple[float, ...],
        season_length: int = 1,
        known: np.ndarray | None = None,
    ) -> np.ndarray:
        """[B, C, L] with NaN where missing -> [B, C, H, Q] at the asked levels. A model whose scaler keeps units
        (`none`, `last`) reads and answers in the standardised units it was trained in."""
        known = known if self.uses_covariates else None
        self._check_channels(context.shape[1], 0 if known is None else known.shape[1])
        device = next(self.model.parameters()).device

        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32), device=device)

        values = tensor(context)
        observed = torch.isfinite(values)
        beside = None if known is None else tensor(known)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            read = self._look(values, observed, beside, horizon=horizon)
            if (
                self._thins(season_length)
                and known is None
                and bool((worth := pays(observed, season=season_length)).any())
            ):
                read = self._look_again(read, values, observed, worth=worth, horizon=horizon)
        return self.interpolate_quantiles(read.cpu().numpy(), quantile_levels)

    def _thins(self, season: int) -> bool:
        """Only a model that answers for any horizon and any length can look at phases."""
        return self.stride > 1 and self.any_horizon and not self.model.fixed_length and season >= LONG

    def usable_context_length(self, season_length: int) -> int | None:
        return self.max_context_length * (self.stride if self._thins(season_length) else 1)

    def _look(
        self, values: torch.Tensor, observed: torch.Tensor, known: torch.Tensor | None, *, horizon: int
    ) -> torch.Tensor:
        """[B, C, L] -> [B, C, H, Q] ascending: the mean over `context_lengths`."""
        reads = []
        for steps in self.context_lengths or (self.max_context_length,):
            past = slice(max(values.shape[-1] - steps, 0), None)
            ahead = None if known is None else known[..., past]
            reads.append(self._roll_out(values[..., past], observed[..., past], ahead, horizon=horizon))
        return torch.stack([one.sort(dim=-1).values for one in reads]).mean(dim=0)

    def _look_again(
        self, read: torch.Tensor, values: torch.Tensor, observed: torch.Tensor, *, worth: torch.Tensor, horizon: int
    ) -> torch.Tensor:
        """The mean with what is said of every `stride`-th step, where that is worth it and each phase has values."""
        values, observed = phases(values, self.stride), phases(observed, self.stride)
        steps = -(-horizon // self.stride)
        again = together(self._look(values, observed, None, horizon=steps), self.stride, horizon=horizon)
        there = shown(observed[..., -self.max_context_length :], self.stride) & worth[:, None]
        return torch.where(there[..., None, None], (read + again) / 2, read)

    def _roll_out(
        self, values: torch.Tensor, observed: torch.Tensor, known: torch.Tensor | None, *, horizon: int
    ) -> torch.Tensor:
        """[B, C, L] -> [B, C, H, Q] at the model's levels, in as many passes as the horizon takes."""
        going = rollout(
            self.model,
            torch.where(observed, values, 0.0),
            observed,
            steps=horizon if self.any_horizon else None,
            known=known,
            marks=len(self.time_features),
            flip=self.flip,
        )
        blocks = [next(going)]
        while sum(block.shape[-2] for block in blocks) < horizon:
            blocks.append(next(going))
        return torch.cat(blocks, dim=-2)[..., :horizon, :]

    def _check_channels(self, targets: int, covariates: int) -> None:
        """A model of a fixed number of channels must get that many; without covariates the model says it itself."""
        count, marks = self.model.config.channels, len(self.time_features)
        if count in (None, targets + covariates) or not (covariates or self.past or self.known):
            return
        wanted = ", ".join(self.past + self.known) or "none"
        raise ValueError(
            f"{self.name} was built for {count} channels; found {targets} targets, {covariates - marks} covariates and "
            f"{marks} time features: give the targets of its training and the covariates {wanted}"
        )

    def select_covariates(self, past: Sequence[str], known: Sequence[str]) -> tuple[list[str], list[str]]:
        """Where number or order of the channels is fixed, those of the training are taken."""
        if not self.uses_covariates:
            return super().select_covariates(past, known)
        notes = []
        if not self.model.scaler.equivariant and (units := self.about.standardize):
            if strange := [name for name in (*past, *known) if name not in units]:
                notes.append(f"{self.name} does not use {', '.join(strange)}: it does not know their units")
            past, known = ([name for name in names if name in units] for names in (past, known))
        held, trained = [*past, *known], self.past + self.known
        names = held
        lost = [name for name in trained if name not in held]
        if self.model.config.channels is not None or self.model.backbone.ordered_channels:
            if lost:
                raise ValueError(
                    f"{self.name} was built for the covariates {', '.join(trained)}; {', '.join(lost)} is missing "
                    f"(found {', '.join(held) or 'none'}): give df such numeric columns"
                )
            names = trained
            if left := [name for name in held if name not in trained]:
                notes.append(f"{self.name} does not use the covariates {', '.join(left)}: it was not built for them")
        elif lost:
            notes.append(f"{self.name} was trained with the covariates {', '.join(lost)}, which df does not hold")
        if short := [name for name in self.known if name in past]:
            notes.append(f"future_df does not hold {', '.join(short)}, which {self.name} knew ahead in training")
        ahead = set(known) if self.model.head.reads_window else set()
        if names:
            kinds = (f"{name} ({'known ahead' if name in ahead else 'up to now'})" for name in names)
            notes.append(f"{self.name} uses the covariates {', '.join(kinds)}")
        if known and not ahead:
            notes.append(f"the head of {self.name} reads the context alone, so nothing that is known ahead is used")
        return names, notes

    def channel_units(self, names: Sequence[str], *, what: str = "target") -> np.ndarray | None:
        """A model that was trained on standardised data without standardising each window knows the
        units of its training channels only."""
        known = self.about.standardize
        if self.model.scaler.equivariant or not known:
            return None
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(
                f"{self.name} was trained with scaler={self.model.parts['scaler'].name} and knows only the units of "
                f"{', '.join(known)}; found {what} {', '.join(unknown)}. "
                f"Name the {what} as in training, or train with scaler=standard"
            )
        return np.array([known[name] for name in names], np.float64).T


Kind = TypeVar("Kind", bound=ModelPredictor)


def load(name_or_path: str | Path, *, device: str = "cpu", kind: type[Kind] = ModelPredictor) -> Kind:
    """A trained model, ready to forecast, from a checkpoint directory (or the run directory that holds it), or the
    name of a bundled model. Needs no network and runs no code from the checkpoint. `kind` adds to what it can do."""
    path = find(name_or_path)
    model, about = load_checkpoint(path)
    name = path.parent.name if path.name == "model" and path.parent.name else path.name
    return kind(model, name=name or path.resolve().name, about=about, device=device)
