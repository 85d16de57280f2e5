"""The settings of `init`: random weights or those of a checkpoint, which of them are trained, and how.

A run that starts from a checkpoint has its architecture: `compose_with_checkpoint` uses it instead of the defaults, so
that the configuration of the run describes the model that is trained.
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

EXPANDABLE = (
    "head.quantile_levels",
    "model.known_season",
    "model.time_features",
)  # settings that init.expand may change
COMPONENTS = ("scaler", "patching", "backbone", "head")  # of a model
CONFIGURED = ("scaler", "backbone", "head")  # components with a config of their own
ALL_BUT_HEAD = "all_but_head"
LENGTHS = ("context", "horizon", "channels")  # of model: they may differ where the shapes of the weights agree
MIXING = ("mix_every", "mix_heads", "mix_zero_init", "mix_single")  # of backbone: layers that a run may add
PATCHING = ("patch", "stride", "pad_end", "embed")  # of model: settings of the patching


@dataclass(frozen=True)
class LoraConfig:
    """Low-rank adapters, see `tsfm.nn.lora`."""

    rank: int
    alpha: float | None = None  # None: the rank
    targets: tuple[str, ...] = ("backbone",)  # parts of the names of linear layers
    dropout: float = 0.0


@dataclass(frozen=True)
class InitConfig:
    """The checked settings of `init`.

    Attributes
    ----------
    source
        The setting `from`: a model directory, a run directory, or the name of a bundled model; None: random weights.
    freeze
        Names of components or parameters that are not trained, or `all_but_head`.
    reset
        Names of components that start from random weights although there is a source.
    lora
        Adapters to train instead of the weights of the source.
    layer_decay
        Factor of the learning rate from each depth of the network to the one below, in (0, 1].
    expand
        Whether the model may have further inputs and outputs, see `tsfm.training.expansion`.
    """

    source: str | None = None
    freeze: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    lora: LoraConfig | None = None
    layer_decay: float | None = None
    expand: bool = False

    @classmethod
    def of(cls, values: dict[str, Any]) -> InitConfig:
        """Return the settings from plain values; what is left out has its default.

        Raises
        ------
        ConfigError
            If a setting is unknown or has a wrong value.
        """
        values = _with_defaults("init", values, default_init())
        source, decay = values["from"], values["layer_decay"]
        if source is not None and (not isinstance(source, (str, Path)) or not str(source)):
            raise ConfigError(f"init.from is {source!r}; expected a model directory or the name of a bundled model")
        if decay is not None and (isinstance(decay, (bool, str)) or not 0 < decay <= 1):
            raise ConfigError(f"init.layer_decay is {decay!r}; expected a factor above 0 and at most 1, such as 0.8")
        init = cls(
            source=None if source is None else str(source),
            freeze=_names("init.freeze", values["freeze"]),
            reset=_names("init.reset", values["reset"]),
            lora=_lora(values["lora"]),
            layer_decay=decay,
            expand=values["expand"],
        )
        if not isinstance(init.expand, bool):
            raise ConfigError(f"init.expand is {init.expand!r}; expected true or false")
        needs_source = [key for key in ("freeze", "reset", "lora", "expand") if getattr(init, key)]
        if init.source is None and needs_source:
            raise ConfigError(f"init.{needs_source[0]} is about the weights of a checkpoint; name one by init.from=...")
        for name in init.reset:
            if (component := name.partition(".")[0]) not in COMPONENTS:
                raise ConfigError(f"init.reset has {name!r}; {did_you_mean(component, list(COMPONENTS))}")
        return init

    @property
    def method(self) -> str:
        """How the weights of the source are used, as text for cards and logs."""
        texts = [f"lora rank {self.lora.rank}"] if self.lora else []
        texts += [f"frozen {', '.join(self.freeze)}"] if self.freeze else []
        texts += ["expanded"] if self.expand else []
        texts += [f"reset {', '.join(self.reset)}"] if self.reset else []
        return "; ".join(texts) or "full"


def _with_defaults(key: str, values: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ConfigError(f"{key} is {values!r}; expected settings by name: {', '.join(defaults)}")
    for name in values:
        if name not in defaults:
            raise ConfigError(f"{key}.{name} is not a setting; {did_you_mean(str(name), list(defaults))}")
    return defaults | values


def _names(key: str, value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{key} is {value!r}; expected a list of names, as in {key}=[backbone]")
    return tuple(names)


def _lora(values: Any) -> LoraConfig | None:
    if values is None:
        return None
    values = _with_defaults("init.lora", values, default_init()["lora"])
    rank, alpha, dropout = values["rank"], values["alpha"], values["dropout"]
    targets = _names("init.lora.targets", values["targets"])
    if rank is None:
        if alpha is not None or targets or dropout:
            raise ConfigError("init.lora has settings but no rank; give init.lora.rank=8, say")
        return None
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise ConfigError(f"init.lora.rank is {rank!r}; expected a whole number of at least 1, for instance 8")
    if alpha is not None and (isinstance(alpha, (bool, str)) or not alpha > 0):
        raise ConfigError(f"init.lora.alpha is {alpha!r}; expected a number above 0, for instance {rank}")
    if isinstance(dropout, (bool, str)) or not 0 <= dropout < 1:
        raise ConfigError(f"init.lora.dropout is {dropout!r}; it is a probability in [0, 1)")
    return LoraConfig(rank=rank, alpha=alpha, targets=targets or LoraConfig.targets, dropout=float(dropout))


def checkpoint_directory(init: InitConfig) -> Path:
    """Return the checkpoint directory of `init.source`.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    try:
        return find(init.source or "")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"init.from: {error}") from None


def compose_with_checkpoint(overrides: list[str] | None = None, *, config_dir: str | None = None) -> DictConfig:
    """Compose the configuration of a training run, with the architecture of the checkpoint in `init.from`.

    There are three compositions: the first finds the checkpoint, the second finds which of its components the
    experiment or the overrides replace, and the third has the settings of the other components instead of defaults.

    Parameters
    ----------
    overrides
        Settings `key=value`.
    config_dir
        A folder of further configs.

    Raises
    ------
    ConfigError
        If a setting is wrong, or contradicts the checkpoint.
    """
    overrides = list(overrides or [])
    # settings of components are left out until it is known which components there are
    general = [text for text in overrides if not re.match(rf"[+~]*({'|'.join(CONFIGURED)})\.", text)]
    config = compose("train", general, config_dir=config_dir)
    init = InitConfig.of(OmegaConf.to_container(config.init, resolve=True))  # type: ignore[arg-type]
    if init.source is None:
        return config if general == overrides else compose("train", overrides, config_dir=config_dir)
    spec = build_from_config(checkpoint_directory(init)).spec()
    base: dict[str, Any] = {"defaults": [{f"override /{name}": spec[name]["name"]} for name in CONFIGURED]}
    chosen = compose("train", general, config_dir=config_dir, base_settings=base)
    if any(OmegaConf.is_missing(chosen, name) for name in CONFIGURED):
        return chosen  # typed() reports which has no value
    base |= {name: spec[name] for name in CONFIGURED if chosen[name].name == spec[name]["name"]}
    base["model"] = {key: value for key, value in spec.items() if key not in CONFIGURED}
    config = compose("train", overrides, config_dir=config_dir, base_settings=base)
    check_architecture(config, spec, init)
    return config


def check_architecture(config: Any, spec: dict[str, Any], init: InitConfig) -> None:
    """Refuse a run whose architecture differs from that of its checkpoint in a component that is not reset.

    A backbone may have layers across channels (`mix_every`) that the checkpoint has not.

    Parameters
    ----------
    config
        Of the run, composed or typed.
    spec
        The architecture of the checkpoint, as `Model.spec` returns it.
    init
        The settings of `init`.
    """
    differences: list[str] = []
    changeable = EXPANDABLE if init.expand else ()
    for name in CONFIGURED:
        own, saved = _plain(getattr(config, name)), spec[name]
        if name in init.reset:
            continue
        if own["name"] != saved["name"]:
            differences.append(f"{name} is {own['name']}, but it is {saved['name']} in {init.source}")
        else:  # dropout is not part of the architecture
            added = MIXING if name == "backbone" and saved.get("mix_every") == 0 else ()
            keys = [key for key in saved if own.get(key) != saved[key] and not key.endswith("dropout")]
            keys = [key for key in keys if key not in added and f"{name}.{key}" not in changeable]
            differences += [f"{name}.{key} is {own.get(key)}, but it is {saved[key]} in {init.source}" for key in keys]
    free = {*CONFIGURED, *LENGTHS, *(PATCHING if "patching" in init.reset else ())}
    free |= {"width"} if {"patching", "backbone", "head"} <= set(init.reset) else set()
    own = _plain(config.model)
    free |= {name.partition(".")[2] for name in changeable if name.startswith("model.")}
    keys = [key for key in spec if key not in free and own.get(key) != spec[key]]
    differences += [f"model.{key} is {own.get(key)}, but it is {spec[key]} in {init.source}" for key in keys]
    if differences:
        component = differences[0].partition(" ")[0].partition(".")[0]
        reset = [*init.reset, component if component in CONFIGURED else "patching"]
        advice = f", or start that part from random weights: init.reset=[{','.join(reset)}]"
        if differences[0].startswith("model.width "):  # all components have this width
            advice = ""
        raise ConfigError(f"{'; '.join(differences[:3])}; use the value of the checkpoint{advice}")


def _plain(config: Any) -> dict[str, Any]:
    return asdict(config) if is_dataclass(config) else OmegaConf.to_container(config, resolve=True)  # type: ignore
