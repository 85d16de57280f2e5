"""Laws of the configs: every YAML composes, every component has one, errors name the full key and the nearest name."""

from __future__ import annotations

import contextlib
import os
import re
import runpy
import sys
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobRuntime
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf

from tests.conftest import ROOT
from tsfm.config import (
    ConfigError,
    EvalConfig,
    RunConfig,
    as_overrides,
    compose,
    conf_dir,
    job_overrides,
    options,
    plain,
    sweep,
    typed,
)
from tsfm.config.hydra_state import own_hydra
from tsfm.model.model import Model
from tsfm.registry import BASELINES, REGISTRIES, TASKS, discover_all

NO_GROUPS = ("hydra", "suite")  # folders whose files no config chooses from
GROUPS = sorted(folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir() and folder.name not in NO_GROUPS)
CHOICES = [(group, name) for group in GROUPS for name in options(group)]
DATASET = "data.dataset=somewhere"  # for those that leave it open


@cache
def run(*overrides: str, folder: Path | None = None) -> RunConfig:
    return typed(compose("train", list(overrides), config_dir=str(folder) if folder else None))


@cache
def defaults() -> DictConfig:
    return compose("train")


@pytest.mark.parametrize(("group", "name"), CHOICES, ids=lambda value: value)
def test_every_yaml_composes_into_checked_dataclasses(group: str, name: str) -> None:
    config = run(f"{group}={name}", DATASET)
    assert isinstance(config, RunConfig)
    for field in fields(config):
        if field.type == "Any":
            assert is_dataclass(getattr(config, field.name)), field.name
    for registry in REGISTRIES:
        if registry.group == group:
            assert type(getattr(config, group)) is registry.entry(name).config
    if group == "experiment":
        assert config.name == name


def test_the_defaults_compose_without_overrides() -> None:
    assert isinstance(run(), RunConfig)
    assert isinstance(typed(compose("eval", ["predictor=naive"])), EvalConfig)


def test_compose_sees_the_checkouts_conf() -> None:
    assert conf_dir() == ROOT / "conf"
    assert {group for group, _ in CHOICES} == set(GROUPS) >= {registry.group for registry in REGISTRIES}


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.group)
def test_every_registered_name_has_a_yaml_and_every_yaml_a_part(registry: Any) -> None:
    built_in = [name for name in registry.names() if registry.entry(name).component.__module__.startswith("tsfm.")]
    assert options(registry.group) == built_in


@pytest.mark.parametrize(
    "file", sorted((ROOT / "conf").rglob("*.yaml")), ids=lambda file: str(file.relative_to(ROOT / "conf"))
)
def test_yaml_holds_numbers_and_names(file: Path) -> None:
    """No dotted class path, no resolver but Hydra's own below `hydra:`; a part's YAML begins from its schema."""
    text = file.read_text(encoding="utf-8")
    assert "_target_" not in text
    body = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    assert isinstance(body, dict)
    body.pop("hydra", None)
    assert "${" not in str(body)
    group = file.parent.relative_to(ROOT / "conf").parts
    if group and group[0] not in ("experiment", "debug", "hydra", "suite"):
        first, last = body["defaults"][0], body["defaults"][-1]
        assert (first[0], last) == ("_", "_self_")
    if group and group[0] in ("experiment", "debug"):
        assert text.startswith("# @package _global_\n#"), "an experiment says in a comment what it is"


@pytest.mark.parametrize("name", [name for name in options("experiment") if name.startswith("ltsf/")])
def test_a_published_experiment_is_a_claim_with_a_source(name: str) -> None:
    config = run(f"experiment={name}", DATASET)
    assert {claim.metric for claim in config.expect} in ({"mse", "mae"}, {"mse"})
    for claim in config.expect:
        assert 0 < claim.value < 10
        assert 0 < claim.tolerance <= 0.05
        assert re.search(r"(arXiv:\d{4}\.\d{5}|AAAI 2026|granite-tsfm).* ?(table \d|table of|notebooks/)", claim.source)


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_describes_a_model_and_a_task_that_fit(name: str) -> None:
    config = run(f"experiment={name}", DATASET)
    model = Model(config.model, scaler=config.scaler, backbone=config.backbone, head=config.head)
    TASKS.build(config.task, horizon=config.model.horizon).check(
        quantile_levels=model.quantile_levels, predicts=model.head.predicts
    )
    assert Model.from_spec(model.spec()).num_parameters() == model.num_parameters()


def test_plain_goes_back_to_the_same_config() -> None:
    config = run("experiment=ltsf/patch_transformer_etth1_96", "seed=3")
    values = plain(config)
    assert values["backbone"]["heads"] == 4
    assert OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(config), values)) == config


# overrides, and what the message must say; train is composed unless the first word is eval
WRONG: list[tuple[str, list[str]]] = [
    # a typo in a key
    ("backbone.dept=3", ["backbone.dept is not a setting; did you mean 'depth'?", "heads"]),
    ("trainer.max_epoch=3", ["trainer.max_epoch is not a setting; did you mean 'max_epochs'?"]),
    ("modle.width=3", ["modle is not a setting; did you mean 'model'?"]),
    ("seeds=1", ["seeds is not a setting; did you mean 'seed'?"]),
    ("backbon=dlinear", ["backbon is not a setting; did you mean 'backbone'?"]),
    ("experimen=demo", ["experimen is not a setting; did you mean 'experiment'?"]),
    ("scaler.afine=true", ["scaler.afine is not a setting; did you mean 'affine'?"]),
    ("backbone=dlinear backbone.depth=3", ["backbone.depth is not a setting", "kernel"]),
    ("expect=[{metric: mse, val: 3}]", ["expect.val is not a setting; did you mean 'value'?"]),
    ("+model.widht=3", ["model.widht is not a setting; did you mean 'width'?"]),
    ("+sede=3", ["sede is not a setting; did you mean 'seed'?"]),
    ("eval predictor=naive dat=etth1", ["dat is not a setting; did you mean 'data'?"]),
    ("eval predictor=naive backbone=dlinear", ["backbone is not chosen here; known: bench, data"]),
    # a wrong type
    ("model.width=wide", ["model.width is 'wide'; expected a value of type integer"]),
    ("model.width=1.5", ["model.width is '1.5'; expected a value of type integer"]),
    ("model.channels=x", ["model.channels is 'x'; expected a value of type integer"]),
    ("optim.lr=fast", ["optim.lr is 'fast'; expected a value of type float"]),
    ("trainer.progress=maybe", ["trainer.progress is 'maybe'; expected a value of type bool"]),
    ("head.quantile_levels=0.5", ["head.quantile_levels has type float; expected a list"]),
    ("head.quantile_levels=[a]", ["head.quantile_levels[0] is 'a'; expected a value of type float"]),
    ("head.quantile_levels=[0.5,null]", ["head.quantile_levels[1] is null"]),
    ("model.width=null", ["model.width is null; it needs a value"]),
    ("expect=[{metric: mse, value: x}]", ["expect.value is 'x'; expected a value of type float"]),
    ("model=3", ["must be a string", "model=3"]),
    ("seed=${nothing}", ["seed", "Interpolation key 'nothing' not found"]),
    # an unknown option
    ("backbone=dlinera", ["unknown backbone 'dlinera'; did you mean 'dlinear'?", "nlinear", "patch_transformer"]),
    ("data=eth1", ["unknown data 'eth1'; did you mean 'etth1'?", "exchange"]),
    ("optim=lion", ["unknown optim 'lion'; known: adam, adamw, muon, sgd"]),
    (
        "experiment=ltsf/patch_transformer_eth1_96",
        ["unknown experiment", "did you mean 'ltsf/patch_transformer_etth1_96'?", "more"],
    ),
    ("experiment=ltsf", ["unknown experiment 'ltsf'", "ltsf/dlinear_etth1_96"]),
    ("backbone=", ["unknown backbone ''; known: dilated_conv"]),
    ("debug=slow", ["unknown debug 'slow'; known: fast"]),
    # a missing value
    ("data=store", ["no value for data.dataset", "data.dataset=..."]),
    ("~backbone", ["no value for backbone"]),
    ("eval data=etth1", ["no value for predictor", "predictor=..."]),
    # not an override at all
    ("seed", ["'seed'", "EQUAL"]),
    ("backbone=[a", ["[a"]),
]


@pytest.mark.parametrize(("overrides", "expected"), WRONG, ids=[overrides for overrides, _ in WRONG])
def test_a_mistake_is_named_with_its_full_key_and_a_hint(overrides: str, expected: list[str]) -> None:
    name, _, rest = overrides.partition(" ") if overrides.startswith("eval ") else ("train", "", overrides)
    with pytest.raises(ConfigError) as caught:
        typed(compose(name, re.split(r" (?![^\[{]*[\]}])", rest)))
    message = str(caught.value)
    assert [word for word in expected if word not in message] == []
    assert "\n" not in message
    assert "object_type" not in message
    assert "full_key" not in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("head.quantile_levels=[0.5,0.4]", r"head\.quantile_levels is \[0\.5, 0\.4\]; expected increasing"),
        (
            "head.quantile_levels=[0.1,0.9]",
            r"head\.quantile_levels is \[0\.1, 0\.9\]; expected the median 0\.5 in the middle",
        ),
        ("trainer.loggers=[csv,wandb]", r"an item of trainer\.loggers is 'wandb'; known: csv, tensorboard"),
        ("resume=sometimes", r"resume is 'sometimes'; known: auto, never"),
        ("model.patch=0", r"model\.patch is 0; it must be at least 1"),
        ("model.stride=32 model.patch=16", r"model\.stride 32 skips steps between patches of 16"),
        (
            "model.context=8 model.horizon=4 model.patch=16",
            r"model\.patch 16 is longer than .* context \+ horizon = 12",
        ),
        ("model.embed=linaer", r"model\.embed is 'linaer'; did you mean 'linear'"),
        ("backbone.norm=bach", r"backbone\.norm is 'bach'; known: batch"),
        ("backbone.positions=rope", r"backbone\.positions is 'rope'; known: learned, rotary, none"),
        ("backbone.dropout=1.0", r"backbone\.dropout is 1\.0; expected a probability"),
        ("backbone.attention_dropout=2", r"backbone\.attention_dropout is 2"),
        ("backbone.heads=0", r"backbone\.heads is 0; .* at least 1"),
        ("task.loss=msee", r"task\.loss is 'msee'; did you mean 'mse'"),
        ("optim.lr=0", r"optim\.lr is 0.*; a learning rate is above 0"),
        ("trainer.precision=8", r"trainer\.precision is '8'; known: .*32"),
        ("trainer.max_epochs=0", r"trainer\.max_epochs is 0; expected at least 1"),
        ("trainer.max_epochs=-1", r"trainer has no end"),
        ("bench.split=testt", r"bench\.split is 'testt'; did you mean 'test'"),
        ("data.batch_size=0", r"data\.batch_size is 0; it must be at least 1"),
        ("data.sampling=rnadom", r"data\.sampling is 'rnadom'; did you mean 'random'"),
        ("backbone.name=dlinear", r"backbone\.name is 'dlinear' .* choose it by backbone=dlinear"),
    ],
)
def test_a_value_out_of_its_range_is_refused_before_anything_runs(overrides: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        typed(OmegaConf.merge(defaults(), OmegaConf.from_dotlist(overrides.split(" "))))  # type: ignore[arg-type]


def test_ones_own_folder_of_configs_is_searched_too(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    mine = tmp_path / "experiment" / "mine.yaml"
    mine.write_text("# @package _global_\nname: mine\nmodel: {width: 48}\n")
    assert run("experiment=mine", folder=tmp_path).model.width == 48
    assert run("experiment=mine", "model.width=24", folder=tmp_path).model.width == 24
    with pytest.raises(ConfigError, match=r"unknown experiment 'mien'; did you mean 'mine'\? known: .* and \d+ more"):
        run("experiment=mien", folder=tmp_path)
    with pytest.raises(ConfigError, match=r"--config-dir .*nowhere is not a folder"):
        run(folder=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {widht: 3}", r"model\.widht is not a setting; did you mean 'width'.*\(in experiment/mine\.yaml\)"),
        ("model: {width: x}", r"model\.width is 'x'; expected .* integer \(in experiment/mine\.yaml\)"),
        ("model: [{width: 3}", r"not YAML: .*experiment/mine\.yaml\", line 2"),
        ("defaults:\n  - override /backbone: dlinaer", r"unknown backbone 'dlinaer'; did you mean 'dlinear'"),
        (
            "defaults:\n  - override /bakbone: dlinear",
            r"bakbone is not chosen here; did you mean 'backbone'\?.*mine\.yaml",
        ),
        (
            "defaults:\n  - dlinear_etth1_96",
            r"unknown experiment 'dlinear_etth1_96'; did you mean 'ltsf/dlinear_etth1_96'",
        ),
    ],
    ids=["typo", "type", "yaml", "option", "group", "base"],
)
def test_a_mistake_in_a_file_names_the_file(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    mine = tmp_path / "experiment" / "mine.yaml"
    mine.write_text(f"# @package _global_\n{text}\n")
    with pytest.raises(ConfigError, match=message):
        run("experiment=mine", folder=tmp_path)
    mine.write_text("model: {width: 3}\n")  # without its first line it would be a setting called experiment
    with pytest.raises(ConfigError, match=r"begin the file with `# @package _global_` \(in experiment/mine\.yaml\)"):
        run("experiment=mine", folder=tmp_path)


def hydra_state() -> list[Any]:
    """What Hydra keeps for the whole process, and what its apps read."""
    runtime = OmegaConf.to_container(JobRuntime.instance().conf)
    names = sorted(ConfigStore.instance().repo)
    instances = [GlobalHydra.instance(), GlobalHydra.instance().hydra, HydraConfig.instance().cfg]
    return [*instances, runtime, VersionBase.instance().getbase(), names, sys.argv, dict(os.environ)]


def test_composing_leaves_the_state_of_hydra_and_of_the_process_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("seed: 7\n")
    run()  # registers all parts
    for wrong in ([], ["backbone.dept=3"]):
        with initialize_config_dir(str(tmp_path), job_name="mine", version_base="1.2"):
            before = hydra_state()
            with contextlib.suppress(ConfigError):
                compose("train", wrong, base_settings={"model": {"width": 24}})
            assert hydra_state() == before
            assert hydra_compose("app").seed == 7  # the caller's app goes on


def test_a_sweep_leaves_the_state_of_hydra_and_of_the_process_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    run()
    before, seeds = hydra_state(), []
    for overrides in (["seed=1,2"], ["backbone.dept=1,2"]):
        with contextlib.suppress(ConfigError):
            sweep(
                "train",
                [*overrides, "hydra.sweep.dir=out"],
                lambda config: seeds.append(typed(compose("train", job_overrides())).seed),
            )
        assert hydra_state() == before
    assert seeds == [1, 2]


APP = """
import hydra, sys
from hydra.core.hydra_config import HydraConfig
from tsfm.config import compose, typed

@hydra.main(config_path=None, version_base="1.3")
def app(config):
    assert typed(compose("train", [f"seed={config.number}"])).seed == config.number
    print("job", HydraConfig.get().job.name, config.number)

app()
"""


def test_composing_inside_an_app_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["app.py", "--multirun", "hydra/job_logging=disabled", "+number=3,4"])
    with own_hydra():  # the app's own state is not restored by Hydra
        runpy.run_path("app.py", run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("job")] == ["job app 3", "job app 4"]


@pytest.mark.parametrize(
    ("settings", "overrides"),
    [
        (
            {"seed": 3, "trainer": {"progress": False, "max_time": None}},
            ["seed=3", "trainer.progress=false", "trainer.max_time=null"],
        ),
        ({"optim.lr": 1e-05, "data": {"past": ["a b", "c"]}}, ["optim.lr=1e-05", "data.past=['a b','c']"]),
        ({"init": {"from": Path("a/b")}}, ["init.from='a/b'"]),
    ],
)
def test_python_values_become_overrides(settings: dict[str, Any], overrides: list[str]) -> None:
    assert as_overrides(settings) == overrides


@pytest.mark.parametrize("name", ["it's", "a, b", "x=1", "[a]", "a\\b", "\u00e9", " ", "a'b\\"])
def test_any_text_comes_back_from_an_override(name: str) -> None:
    assert run(*as_overrides({"name": name})).name == name


def test_a_value_of_another_type_is_refused_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"model\.width has type object; expected a number"):
        as_overrides({"model": {"width": object()}})


def test_an_error_leaves_nothing_behind_for_the_next_composition() -> None:
    for depth in (5, 6):
        with pytest.raises(ConfigError):
            run("backbone.dept=3")
        assert run(f"backbone.depth={depth}").backbone.depth == depth


def test_discovering_twice_changes_nothing() -> None:
    before = [registry.names() for registry in (*REGISTRIES, BASELINES)]
    discover_all()
    assert [registry.names() for registry in (*REGISTRIES, BASELINES)] == before


def test_base_settings_replace_the_defaults_and_come_before_the_rest(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nmodel: {width: 48}\n")
    base = {"defaults": [{"override /backbone": "mixer"}], "model": {"width": 24, "patch": 8, "stride": 8}}

    def composed(*overrides: str) -> RunConfig:
        return typed(compose("train", list(overrides), config_dir=str(tmp_path), base_settings=base))

    plainly = composed()
    assert (plainly.backbone.name, plainly.model.width, plainly.model.patch) == ("mixer", 24, 8)
    assert plainly.data == run().data
    assert composed("experiment=mine").model.width == 48
    assert composed("experiment=mine", "model.width=12").model.width == 12
    assert composed("backbone=dlinear").backbone.name == "dlinear"
    assert run().model == typed(compose("train")).model  # and nothing of it stays
    with pytest.raises(ConfigError, match=r"model\.widht is not a setting; did you mean 'width'"):
        composed("model.widht=3")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("init.form=x", r"init\.form is not a setting; did you mean 'from'\? known: expand, freeze, from"),
        ("init.lora.rnak=8", r"init\.lora\.rnak is not a setting; did you mean 'rank'\?"),
        ("inti.from=x", r"inti is not a setting; did you mean 'init'\?"),
    ],
)
def test_a_typo_in_init_is_named_though_it_is_a_dict(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(word)
