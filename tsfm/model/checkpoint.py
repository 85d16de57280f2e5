"""A published model is a directory: model.safetensors, config.json and a generated README.md. No pickle.

`config.json` holds `format`, `tsfm` (version), `model` (the resolved typed config), and `about`: task, training data
with fingerprints, standardisation, metrics. A change of format number comes with one pure `upgrade` function here.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tsfm import __version__
from tsfm.model.model import Model
from tsfm.registry import closest

FORMAT = 1
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
USES = {  # what a model is asked that was not trained to forecast, by its task
    "impute": "model.impute_df(df)",
    "detect": "model.detect_df(df, level=0.99)",
    "classify": "model.classify_df(df)",
    "regress": "model.classify_df(df)",
}


@dataclass
class About:
    """What a reader of a checkpoint wants to know beyond its network."""

    task: dict[str, Any] = field(default_factory=dict)
    trained_on: dict[str, Any] = field(default_factory=dict)  # dataset, split, windows, fingerprints
    standardize: dict[str, tuple[float, float]] = field(default_factory=dict)  # channel -> loc, scale of the data
    labels: dict[str, Any] = field(default_factory=dict)  # {"classes": names} or {"loc":, "scale":} of the numbers
    metrics: dict[str, float] = field(default_factory=dict)
    command: str = ""


def save(model: Model, path: str | Path, *, about: About) -> Path:
    """Write the directory in full beside its place, then move it there; an interrupted save leaves the old one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        save_file(tensors, draft / WEIGHTS, metadata={"format": "pt"})
        config = {"format": FORMAT, "tsfm": __version__, "model": model.spec(), "about": vars(about)}
        (draft / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (draft / CARD).write_text(card(model, about), encoding="utf-8")
        draft.chmod(0o755)  # mkdtemp makes it private
        _put_in_place(draft, path)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, SafetensorError):  # its name for a full disk
            raise OSError(f"can't write the checkpoint {path} ({error}); free space there, or choose another") from None
        raise
    return path


def _put_in_place(draft: Path, path: Path) -> None:
    """Move `draft` to `path`; what stood there stays, or comes back, unless the move succeeds."""
    old = draft.with_name(draft.name + "-old")
    replaces = path.exists()
    if replaces:
        os.rename(path, old)
    try:
        os.rename(draft, path)
    except BaseException:
        if replaces:
            os.rename(old, path)
        raise
    if replaces:
        shutil.rmtree(old, ignore_errors=True)


def weights_dir() -> Path:
    """Where the models are that come with the package."""
    return Path(__file__).resolve().parents[1] / "weights"


def bundled() -> list[str]:
    """Names of the models that come with the package."""
    folder = weights_dir()
    return sorted(p.parent.name for p in folder.glob(f"*/{CONFIG}")) if folder.is_dir() else []


def find(name_or_path: str | Path) -> Path:
    """The checkpoint directory that is meant: of a bundled model, of a run directory, or the directory itself."""
    path = Path(name_or_path)
    if str(name_or_path) in bundled():
        return weights_dir() / str(name_or_path)
    if (path / "model" / CONFIG).is_file():
        return path / "model"
    if not path.exists():
        raise FileNotFoundError(
            f"no model {str(name_or_path)!r}: neither a folder nor a bundled model "
            f"({closest(str(name_or_path), bundled())})"
        )
    return path


def described(path: Path, config: dict[str, Any] | None = None) -> Model:
    """The network that a checkpoint directory describes, with random weights."""
    config = read_config(path) if config is None else config
    try:
        return Model.from_spec(config["model"])
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path / CONFIG}, written by tsfm {config.get('tsfm', '?')}, describes no model that this tsfm can "
            f"build ({__version__}): {error}"
        ) from None


def load(path: str | Path) -> tuple[Model, About]:
    """Read a checkpoint directory; the model is in evaluation mode. Runs no code but ours."""
    path = Path(path)
    config = read_config(path)
    model = described(path, config)
    try:
        tensors = load_file(path / WEIGHTS)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} has no {WEIGHTS}; copy it there, beside its {CONFIG}") from None
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path / WEIGHTS} can't be read ({error}); it may be cut short: copy it again") from None
    expected = model.state_dict()
    missing, extra = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or extra:
        raise ValueError(
            f"{path / WEIGHTS} does not belong to its {CONFIG}: missing {missing[:3] or 'none'}, "
            f"unexpected {extra[:3] or 'none'}; copy both files from the same model"
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{path / WEIGHTS}: {name} has shape {tuple(tensor.shape)}; "
                f"{CONFIG} describes {tuple(expected[name].shape)}; copy both files from the same model"
            )
    model.load_state_dict(tensors)
    known = About.__dataclass_fields__
    return model.eval(), About(**{key: value for key, value in config.get("about", {}).items() if key in known})


def read_config(path: Path) -> dict[str, Any]:
    """config.json of a checkpoint directory, upgraded to the present format."""
    file = path / CONFIG
    if not path.is_dir():
        raise FileNotFoundError(f"no checkpoint directory at {path}; expected a folder with {CONFIG} and {WEIGHTS}")
    if not file.is_file():
        raise FileNotFoundError(
            f"{path} has no {CONFIG}; found {sorted(p.name for p in path.iterdir())[:8]}: name the folder of a "
            "model, such as <run directory>/model"
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        number = config["format"]
        if not isinstance(config["model"], dict) or not isinstance(config.get("about", {}), dict):
            raise TypeError("`model` and `about` hold settings by name")
    except (ValueError, KeyError, TypeError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{file} is not a tsfm model config ({why}); name a folder that tsfm wrote, or copy it again"
        ) from None
    if number != FORMAT:
        raise ValueError(
            f"{file} has checkpoint format {number}, written by tsfm {config.get('tsfm', '?')}; this tsfm "
            f"{__version__} reads format {FORMAT}: install the version that wrote it, or a newer one"
        )
    return config


def card(model: Model, about: About) -> str:
    """The README.md of a checkpoint, from the same facts as config.json."""
    config, trained = model.config, about.trained_on
    shape = f"context {config.context}, horizon {config.horizon}, patches of {config.patch} every {config.stride} steps"
    parts = ", ".join(f"{kind} `{part.name}`" for kind, part in model.parts.items())
    name = model.parts["backbone"].name
    lines = [
        f"# {name} for {about.task.get('name', 'time series')}",
        "",
        f"A tsfm {__version__} checkpoint with {model.num_parameters():,} parameters. Load it with",
        "",
        "```python",
        "import tsfm",
        "",
        'model = tsfm.load("this/folder")',
        USES.get(about.task.get("name", ""), f"model.predict_df(df, prediction_length={config.horizon})"),
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| shape | {shape} |",
        f"| parts | {parts} |",
        *([f"| quantile levels | {', '.join(f'{level:g}' for level in model.levels)} |"] if model.levels else []),
        *(
            f"| {key.replace('_', ' ')} | {value} |"
            for key, value in trained.items()
            if key not in ("fingerprints", "data", "init")
        ),
        *([f"| begun from | {init['from']}: {init['method']} |"] if (init := trained.get("init")) else []),
        *(f"| {key} | {value:.4f} |" for key, value in about.metrics.items() if isinstance(value, float)),
    ]
    if about.command:
        lines += ["", f"Made by `{about.command}`."]
    return "\n".join(lines) + "\n"
