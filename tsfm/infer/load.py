"""A trained model as a Predictor, and load(): from a directory or the name of a bundled model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tsfm.infer.predictor import Predictor
from tsfm.infer.rollout import rollout
from tsfm.model.checkpoint import CONFIG, About
from tsfm.model.checkpoint import load as load_checkpoint
from tsfm.model.model import Model
from tsfm.registry import closest


class ModelPredictor(Predictor):
    """Forecasts of a trained model. Horizons beyond the trained one are rolled out."""

    def __init__(self, model: Model, *, name: str, about: About | None = None, device: str = "cpu"):
        self.model, self.name, self.about = model.eval().to(device), name, about or About()
        self.levels = model.levels
        self.context_limit, self.horizon_limit = model.config.context, model.config.horizon

    @torch.no_grad()
    def quantiles(
        self,
        context: np.ndarray,
        *,
        horizon: int,
        levels: tuple[float, ...],
        season: int = 1,
        known: np.ndarray | None = None,
    ) -> np.ndarray:
        """[B, C, L] with NaN where missing -> [B, C, H, Q] at the asked levels. A model whose scaler keeps units
        (`none`, `last`) reads and answers in the standardised units it was trained in."""
        device = next(self.model.parameters()).device
        values = torch.as_tensor(np.ascontiguousarray(context, dtype=np.float32), device=device)
        observed = torch.isfinite(values)
        blocks, steps = [], 0
        for block in rollout(self.model, torch.where(observed, values, 0.0), observed):
            blocks.append(block)
            steps += block.shape[-2]
            if steps >= horizon:
                break
        read = torch.cat(blocks, dim=-2)[..., :horizon, :].cpu().numpy()
        return self.at_levels(read, levels)

    def units(self, targets: Sequence[str]) -> np.ndarray | None:
        """See Predictor.units. A model that was trained on standardised data without standardising each window knows
        the units of its training channels only."""
        known = self.about.standardize
        if self.model.scaler.equivariant or not known:
            return None
        unknown = [name for name in targets if name not in known]
        if unknown:
            raise ValueError(
                f"{self.name} was trained with scaler={self.model.parts['scaler'].name} and knows only the units of "
                f"{', '.join(known)}; found target {', '.join(unknown)}. "
                "Name the target as in training, or train with scaler=standard"
            )
        return np.array([known[name] for name in targets], np.float64).T


def weights_dir() -> Path:
    return Path(__file__).resolve().parents[1] / "weights"


def bundled() -> list[str]:
    """Names of the models that come with the package."""
    folder = weights_dir()
    return sorted(p.parent.name for p in folder.glob(f"*/{CONFIG}")) if folder.is_dir() else []


def load(name_or_path: str | Path, *, device: str = "cpu") -> ModelPredictor:
    """A trained model, ready to forecast, from a checkpoint directory (or the run directory that holds it), or the
    name of a bundled model. Needs no network and runs no code from the checkpoint."""
    path = Path(name_or_path)
    if str(name_or_path) in bundled():
        path = weights_dir() / str(name_or_path)
    elif (path / "model" / CONFIG).is_file():
        path = path / "model"
    elif not path.exists():
        raise FileNotFoundError(
            f"no model {str(name_or_path)!r}: neither a folder nor a bundled model "
            f"({closest(str(name_or_path), bundled())})"
        )
    model, about = load_checkpoint(path)
    name = path.parent.name if path.name == "model" and path.parent.name else path.name
    return ModelPredictor(model, name=name or path.resolve().name, about=about, device=device)
