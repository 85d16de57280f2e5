"""What `init` says: random weights, or those of a checkpoint, what of it is trained, and how.

A run that begins from a checkpoint has its architecture: `with_checkpoint` composes it below what the experiment and
the command line say, so that the config of the run tells the truth.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tsfm.config import ConfigError, compose, default_init
from tsfm.messages import did_you_mean
from tsfm.model.checkpoint import build_from_config, find

COMPONENTS = ("scaler", "patching", "backbone", "head")  # what a model is made of
CONFIGURED = ("scaler", "backbone", "head")  # those that have a config of their own
ALL_BUT_HEAD = "all_but_head"
LENGTHS = ("context", "horizon", "channels")  # of model: the shapes of the weights say whether these may differ
PATCHING = ("patch", "stride", "pad_end", "embed")  # of model: what the patching is made of


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters, see tsfm.nn.lora."""

    rank: int
    alpha: float | None = None  # None: the rank
    targets: tuple[str, ...] = ("backbone",)  # parts of the names of linear layers
    dropout: float = 0.0


@dataclass(frozen=True)
class InitConfig:
    """`init`, checked."""

    source: str | None = None  # `from`
    freeze: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    lora: LoraConfig | None = None
    layer_decay: float | None = None

    @classmethod
    def of(cls, values: dict[str, Any]) -> InitConfig:
        values = _filled("init", values, default_init())
        source, decay = values["from"], values["layer_decay"]
        if source is not None and (not isinstance(source, (str, Path)) or not str(source)):
            raise ConfigError(f"init.from is {source!r}; expected a model directory or the name of a bundled model")
        if decay is not None and (isinstance(decay, (bool, str)) or not 0 < decay <= 1):
            raise ConfigError(f"init.layer_decay is {decay!r}; expected a factor above 0 and at most 1, such as 0.8")
        init = cls(
            source=None if source is None else str(source),
            freeze=_words("init.freeze", values["freeze"]),
            reset=_words("init.reset", values["reset"]),
            lora=_lora(values["lora"]),
            layer_decay=decay,
        )
        given = [key for key in ("freeze", "reset", "lora") if getattr(init, key)]
        if init.source is None and given:
            raise ConfigError(f"init.{given[0]} speaks of weights that are there already; say whose: init.from=...")
        for name in init.reset:
            if (part := name.partition(".")[0]) not in COMPONENTS:
                raise ConfigError(f"init.reset has {name!r}; {did_you_mean(part, list(COMPONENTS))}")
        return init

    @property
    def method(self) -> str:
        """How the weights of a checkpoint are used, in words."""
        said = [f"lora rank {self.lora.rank}"] if self.lora else []
        said += [f"frozen {', '.join(self.freeze)}"] if self.freeze else []
        said += [f"anew {', '.join(self.reset)}"] if self.reset else []
        return "; ".join(said) or "full"


def _filled(key: str, values: Any, known: dict[str, Any]) -> dict[str, Any]:
    """`values` with the defaults for what they leave out."""
    if not isinstance(values, dict):
        raise ConfigError(f"{key} is {values!r}; expected settings by name: {', '.join(known)}")
    for name in values:
        if name not in known:
            raise ConfigError(f"{key}.{name} is not a setting; {did_you_mean(str(name), list(known))}")
    return known | values


def _words(key: str, value: Any) -> tuple[str, ...]:
    words = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) and word for word in words):
        raise ConfigError(f"{key} is {value!r}; expected a list of names, as in {key}=[backbone]")
    return tuple(words)


def _lora(values: Any) -> LoraConfig | None:
    if values is None:
        return None
    values = _filled("init.lora", values, default_init()["lora"])
    rank, alpha, dropout = values["rank"], values["alpha"], values["dropout"]
    targets = _words("init.lora.targets", values["targets"])
    if rank is None:
        if alpha is not None or targets or dropout:
            raise ConfigError("init.lora says how, and not of which rank; give init.lora.rank=8, say")
        return None
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise ConfigError(f"init.lora.rank is {rank!r}; expected a whole number of at least 1, for instance 8")
    if alpha is not None and (isinstance(alpha, (bool, str)) or not alpha > 0):
        raise ConfigError(f"init.lora.alpha is {alpha!r}; expected a number above 0, for instance {rank}")
    if isinstance(dropout, (bool, str)) or not 0 <= dropout < 1:
        raise ConfigError(f"init.lora.dropout is {dropout!r}; it is a probability in [0, 1)")
    return LoraConfig(rank=rank, alpha=alpha, targets=targets or LoraConfig.targets, dropout=float(dropout))


def checkpoint_directory(init: InitConfig) -> Path:
    """The checkpoint directory that a run begins from."""
    try:
        return find(init.source or "")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"init.from: {error}") from None


def compose_with_checkpoint(overrides: list[str] | None = None, *, config_dir: str | None = None) -> DictConfig:
    """compose("train", ...), where the architecture that nobody names is that of the checkpoint in `init.from`.

    Three compositions: the first tells the checkpoint, the second which of its parts the experiment or the command
    line replace, and the settings of the others are the base of the third.
    """
    words = list(overrides or [])
    few = [word for word in words if not re.match(rf"[+~]*({'|'.join(CONFIGURED)})\.", word)]  # of parts not known yet
    config = compose("train", few, config_dir=config_dir)
    init = InitConfig.of(OmegaConf.to_container(config.init, resolve=True))  # type: ignore[arg-type]
    if init.source is None:
        return config if few == words else compose("train", words, config_dir=config_dir)
    spec = build_from_config(checkpoint_directory(init)).spec()
    base: dict[str, Any] = {"defaults": [{f"override /{part}": spec[part]["name"]} for part in CONFIGURED]}
    chosen = compose("train", few, config_dir=config_dir, base_settings=base)
    if any(OmegaConf.is_missing(chosen, part) for part in CONFIGURED):
        return chosen  # typed() says which has no value
    base |= {part: spec[part] for part in CONFIGURED if chosen[part].name == spec[part]["name"]}
    base["model"] = {key: value for key, value in spec.items() if key not in CONFIGURED}
    config = compose("train", words, config_dir=config_dir, base_settings=base)
    check_architecture(config, spec, init)
    return config


def check_architecture(config: Any, spec: dict[str, Any], init: InitConfig) -> None:
    """Refuse a run whose architecture is another than that of its checkpoint, but for what begins anew."""
    wrong: list[str] = []
    for part in CONFIGURED:
        found, wanted = _plain(getattr(config, part)), spec[part]
        if part in init.reset:
            continue
        if found["name"] != wanted["name"]:
            wrong.append(f"{part} is {found['name']}, and {init.source} has {wanted['name']}")
        else:  # how much is dropped in training is no part of a network
            differ = [key for key in wanted if found.get(key) != wanted[key] and not key.endswith("dropout")]
            wrong += [f"{part}.{key} is {found.get(key)}, and {init.source} has {wanted[key]}" for key in differ]
    free = {*CONFIGURED, *LENGTHS, *(PATCHING if "patching" in init.reset else ())}
    free |= {"width"} if {"patching", "backbone", "head"} <= set(init.reset) else set()
    found = _plain(config.model)
    differ = [key for key in spec if key not in free and found.get(key) != spec[key]]
    wrong += [f"model.{key} is {found.get(key)}, and {init.source} has {spec[key]}" for key in differ]
    if wrong:
        part = wrong[0].partition(" ")[0].partition(".")[0]
        anew = part if part in CONFIGURED else "patching"
        more = f", or begin that part anew: init.reset=[{','.join([*init.reset, anew])}]"
        more = "" if wrong[0].startswith("model.width ") else more  # it is part of all
        raise ConfigError(f"{'; '.join(wrong[:3])}; keep to that{more}")


def _plain(config: Any) -> dict[str, Any]:
    return asdict(config) if is_dataclass(config) else OmegaConf.to_container(config, resolve=True)  # type: ignore
