"""Fine-tuning by configuration: architecture and weights come from the checkpoint, frozen weights stay bit-equal, and
adapters end as an ordinary model."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.tiny import cases, forecast_problem, tiny, waves
from tests.training.test_resume import SETTINGS
from tsfm.commands import show
from tsfm.commands.cli import main
from tsfm.commands.train import train_and_score
from tsfm.config import RunConfig, default_init, plain, typed
from tsfm.data.case_data import CaseData, CasesConfig
from tsfm.infer.load import load
from tsfm.model import checkpoint
from tsfm.model.checkpoint import About, save
from tsfm.model.model import Model
from tsfm.store.series_store import StoreWriter
from tsfm.training.components import build_model
from tsfm.training.init_config import InitConfig, compose_with_checkpoint
from tsfm.training.initialization import initialize, set_frozen_to_eval
from tsfm.training.learner import Learner
from tsfm.training.optim import OptimConfig, depths_below_head, make_optimizer
from tsfm.training.run_identity import comparable_config
from tsfm.training.training_run import train_config

# of a run that starts from a checkpoint: everything but the architecture
TRAINING = [word for word in SETTINGS if not word.startswith(("model.", "backbone.", "trainer.max_epochs"))]
TRAINING += ["trainer.max_epochs=1", "trainer.val_every=20", "optim.lr=0.01"]
COMPONENTS = ["patching", "backbone", "head"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    generator = np.random.default_rng(0)
    with StoreWriter(path, channels=["target"]) as writer:
        values = np.sin(np.arange(400) / 3) + 0.1 * generator.normal(size=400)
        writer.add("s", values[None].astype(np.float32), np.datetime64("2024-01-01", "us"), "h")
    return path


@pytest.fixture(scope="module")
def parent(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: a transformer with batch norm, dropout and learned positions, and a flattened head."""
    torch.set_num_threads(1)
    run_dir = tmp_path_factory.mktemp("parent") / "run"
    overrides = [*SETTINGS, f"data.dataset={store}", f"run_dir={run_dir}", "trainer.max_epochs=1", "backbone.depth=2"]
    train_and_score(typed(compose_with_checkpoint(overrides)))
    return run_dir


def config(store: Path, *overrides: str, folder: Path | None = None) -> RunConfig:
    settings = [*TRAINING, f"data.dataset={store}", *overrides]
    return typed(compose_with_checkpoint(settings, config_dir=str(folder) if folder else None))


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(run_dir / "model" / "model.safetensors")


def changed(run_dir: Path, parent: Path) -> set[str]:
    """Tensors of a run that differ from those of its parent."""
    after, before = weights(run_dir), weights(parent)
    assert after.keys() == before.keys()
    return {name for name in after if not torch.equal(after[name], before[name])}


def equals_parent(model: Model, parent: Path) -> dict[str, bool]:
    """Of each component, whether all its tensors are those of the parent."""
    own, saved = model.state_dict(), weights(parent)
    return {
        component: all(
            name in own and torch.equal(own[name], saved[name]) for name in saved if name.startswith(component)
        )
        for component in COMPONENTS
    }


# --- the architecture


@pytest.mark.parametrize(("name", "kind"), dict(cases()).items(), ids=lambda value: value)
def test_the_default_architecture_is_that_of_the_checkpoint(name: str, kind: str, tmp_path: Path) -> None:
    model = tiny(name, kind, scaler="robust")
    save(model, tmp_path / "model", about=About())
    run_config = config(tmp_path, f"init.from={tmp_path / 'model'}")
    assert build_model(run_config).spec() == model.spec()
    assert run_config.backbone.name == name
    assert run_config.scaler.name == "robust"
    again = initialize(begun := build_model(run_config), run_config)
    assert all(torch.equal(value, begun.state_dict()[key]) for key, value in model.state_dict().items())
    assert again.origin == {"from": str(tmp_path / "model"), "method": "full", "fingerprints": []}


CONTRADICTIONS = [
    (
        ["backbone.depth=4"],
        r"backbone\.depth is 4, but it is 2 in .*run; use the value of the checkpoint, or .*init\.reset=\[backbone\]",
    ),
    (["backbone.depth=3"], r"backbone\.depth is 3, but it is 2 in .*run"),  # the default of the class
    (["backbone=mixer"], r"backbone is mixer, but it is patch_transformer in .*run"),
    (["head=patch_quantiles"], r"head is patch_quantiles, but it is flatten in .*run; .*init\.reset=\[head\]"),
    (["scaler=mean"], r"scaler is mean, but it is standard in .*run"),
    (["model.width=32"], r"model\.width is 32, but it is 16 in .*run; use the value of the checkpoint$"),
    (["model.patch=4", "model.stride=4"], r"model\.patch is 4.*model\.stride is 4, .*; .*init\.reset=\[patching\]"),
    (["experiment=mine"], r"backbone\.depth is 3, but it is 2 in .*run"),  # in a file, not on the command line
]


@pytest.mark.parametrize(
    ("overrides", "message"), CONTRADICTIONS, ids=[" ".join(overrides) for overrides, _ in CONTRADICTIONS]
)
def test_a_contradiction_names_both_values(
    overrides: list[str], message: str, store: Path, parent: Path, tmp_path: Path
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nbackbone: {depth: 3}\n")
    with pytest.raises(ValueError, match=message):
        config(store, f"init.from={parent}", *overrides, folder=tmp_path)


def test_a_reset_component_may_differ_and_the_rest_is_copied(store: Path, parent: Path) -> None:
    def begun(*overrides: str, seed: int = 0) -> Model:
        run_config = replace(config(store, f"init.from={parent}", *overrides), seed=seed)
        model = build_model(run_config)
        initialize(model, run_config)
        return model

    assert equals_parent(begun(), parent) == dict.fromkeys(COMPONENTS, True)
    head = begun("init.reset=[head]")
    assert equals_parent(head, parent) == {"patching": True, "backbone": True, "head": False}
    assert torch.equal(head.head.linear.weight, begun("init.reset=[head]").head.linear.weight)  # the seed decides
    other = begun("init.reset=head", "head.quantile_levels=[0.1,0.5,0.9]", "model.horizon=24", seed=1)
    assert other.head.linear.out_features == 3 * 24
    assert not torch.equal(other.head.linear.weight[:8], head.head.linear.weight)
    other = begun("init.reset=[backbone]", "backbone=mixer", "backbone.depth=1")
    assert type(other.backbone).__name__ == "Mixer"
    assert equals_parent(other, parent) == {"patching": True, "backbone": False, "head": True}
    block = begun("init.reset=[backbone.blocks.1]", "backbone.dropout=0.5")
    assert equals_parent(block, parent) == {"patching": True, "backbone": False, "head": True}
    assert block.backbone.dropout.p == 0.5  # dropout is not part of the architecture


def test_other_lengths_are_allowed_if_the_weights_fit(store: Path, parent: Path, tmp_path: Path) -> None:
    model = tiny("patch_transformer", "quantiles")
    save(model, tmp_path / "free", about=About())
    free = config(store, f"init.from={tmp_path / 'free'}", "model.context=80", "model.horizon=40")
    initialize(longer := build_model(free), free)
    assert longer(forecast_problem(waves(steps=120), horizon=40)).prediction.shape[2] == 120
    for overrides, message in (
        (
            ["model.context=40"],
            r"backbone\.positions has shape .* model\.context is 40, there 32: use the value of the checkpoint",
        ),
        (["model.horizon=16"], r"head\.linear\.weight .* model\.horizon is 16, there 8: .*init\.reset=\[head\]"),
    ):
        fixed = config(store, f"init.from={parent}", *overrides)
        with pytest.raises(ValueError, match=message):
            initialize(build_model(fixed), fixed)


def test_layers_across_channels_can_be_added_to_a_checkpoint(
    store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tsfm")
    model = tiny("patch_transformer", "quantiles", seed=1).eval()
    save(model, tmp_path / "model", about=About())
    mixing = [
        "backbone.mix_every=2",
        "backbone.mix_heads=2",
        "backbone.mix_zero_init=true",
        "backbone.mix_single=false",
    ]
    run_config = config(store, f"init.from={tmp_path / 'model'}", *mixing)
    initialize(mixed := build_model(run_config).eval(), run_config)
    assert mixed.mixes_channels
    for channels in (1, 3):
        problem = forecast_problem(waves(channels=channels))
        assert torch.equal(mixed(problem).prediction, model(problem).prediction)
    assert "with new weights" in caplog.text
    assert "backbone.mixing.groups.1.attention.qkv.weight" in caplog.text
    save(mixed, tmp_path / "mixed", about=About())
    with pytest.raises(ValueError, match=r"backbone\.mix_every is 0, but it is 2 in "):
        config(store, f"init.from={tmp_path / 'mixed'}", "backbone.mix_every=0")
    assert config(store, f"init.from={tmp_path / 'mixed'}").backbone.mix_every == 2


def test_a_bundled_model_is_found_by_its_name(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "weights_dir", lambda: tmp_path)
    save(model := tiny("mamba", "quantiles"), tmp_path / "small", about=About())
    run_config = config(store, "init.from=small")
    assert (run_config.init["from"], build_model(run_config).spec()) == ("small", model.spec())
    with pytest.raises(FileNotFoundError, match=r"init\.from: no model 'smal': .*did you mean 'small'\?"):
        config(store, "init.from=smal")


# --- what is trained


def test_frozen_weights_stay_bit_equal(store: Path, parent: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO, logger="tsfm")
    overrides = [f"init.from={parent}", "init.freeze=[all_but_head]", f"run_dir={tmp_path / 'r'}"]
    train_and_score(config(store, *overrides))
    assert changed(tmp_path / "r", parent) == {
        "head.linear.weight",
        "head.linear.bias",
    }  # and no average of a norm
    head = 8 * (64 + 1)
    assert f"trained: {head:,} of 4,120 parameters (patching 0 of 144" in caplog.text
    assert f"head {head:,} of {head:,})" in caplog.text
    assert "frozen all_but_head" in caplog.text
    train_and_score(config(store, f"init.from={parent}", f"run_dir={tmp_path / 'full'}"))
    assert any("running_mean" in name for name in changed(tmp_path / "full", parent))  # the law is not empty


def test_frozen_parts_have_no_dropout_and_trained_ones_do() -> None:
    model, problem = tiny("patch_transformer").train(), forecast_problem(waves())
    model.backbone.requires_grad_(False)
    set_frozen_to_eval(model)
    assert not any(module.training for module in model.backbone.modules())
    assert model.head.training
    assert model.patching.training
    hidden = [model(problem).hidden for _ in range(2)]
    assert torch.equal(*hidden)
    model.train()
    model.backbone.blocks[1].feed.up.weight.requires_grad_(True)
    set_frozen_to_eval(model)
    assert model.backbone.dropout.training
    assert model.backbone.blocks[1].feed.dropout.training
    assert not model.backbone.blocks[0].dropout.training
    assert not model.backbone.blocks[1].norm_feed.training


def test_adapters_are_merged_into_an_ordinary_model(store: Path, parent: Path, tmp_path: Path) -> None:
    overrides = [f"init.from={parent}", "init.lora={rank: 2, alpha: 4, targets: [qkv]}", f"run_dir={tmp_path / 'r'}"]
    result = train_and_score(config(store, *overrides))
    assert changed(tmp_path / "r", parent) == {f"backbone.blocks.{i}.attention.qkv.weight" for i in (0, 1)}
    model = load(tmp_path / "r")
    assert model.predict(np.sin(np.arange(40) / 3), prediction_length=8).predictions.shape == (1, 1, 8)
    assert result["parameters"] == load(parent).model.num_parameters()
    origin = model.about.trained_on["init"]
    assert (origin["from"], origin["method"]) == (str(parent), "lora rank 2")
    assert origin["fingerprints"] == load(parent).about.trained_on["fingerprints"]
    card = (tmp_path / "r" / "model" / "README.md").read_text()
    assert f"| initial weights | {parent}: lora rank 2 |" in card
    assert "fingerprints" not in show.describe_model(str(tmp_path / "r"))
    best = torch.load(tmp_path / "r" / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]["RunCheckpoints"][
        "best_weights"
    ]
    assert any("parametrizations" in name for name in best)
    overrides = [f"init.from={tmp_path / 'r'}", "init.reset=[head]", f"run_dir={tmp_path / 'next'}"]
    train_and_score(config(store, *overrides))
    passed_on = load(tmp_path / "next").about.trained_on["init"]["fingerprints"]
    assert set(passed_on) >= set(origin["fingerprints"])


def test_with_adapters_a_reset_component_is_trained_and_freeze_wins(store: Path, parent: Path) -> None:
    def trained(*overrides: str) -> set[str]:
        run_config = config(store, f"init.from={parent}", "init.lora.rank=2", *overrides)
        initialize(model := build_model(run_config), run_config)
        return {name.partition(".parametrizations")[0] for name, p in model.named_parameters() if p.requires_grad}

    adapted = {name for name in trained() if name.startswith("backbone.blocks.")}
    assert trained() == adapted
    assert trained("init.reset=[head]") == adapted | {"head.linear.weight", "head.linear.bias"}
    chosen = trained("init.freeze=[patching,backbone]")
    assert {name for name in chosen if not name.startswith("backbone.")} == {"head.linear.weight", "head.linear.bias"}


def test_an_interrupted_run_with_adapters_resumes_bit_equal(
    store: Path, parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [f"init.from={parent}", "init.lora={rank: 2, dropout: 0.1}", "init.layer_decay=0.7"]
    train_and_score(config(store, *overrides, f"run_dir={tmp_path / 'whole'}"))
    step, at = Learner.training_step, f"run_dir={tmp_path / 'broken'}"

    def breaks(self: Learner, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.global_step == 13:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "training_step", breaks)
        with pytest.raises(KeyboardInterrupt):
            train_and_score(config(store, *overrides, at))
    assert not (tmp_path / "broken" / "model").exists()
    train_and_score(config(store, *overrides, at, "resume=auto"))
    expected, resumed = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


@pytest.mark.parametrize(("name", "kind"), cases(), ids=lambda value: value)
def test_the_rate_falls_with_each_depth_below_the_head(name: str, kind: str) -> None:
    model = tiny(name, kind)
    names = {id(p): key for key, p in model.named_parameters()}
    groups = make_optimizer(OptimConfig(lr=0.5), model.named_parameters(), layer_decay=0.8).param_groups
    rates = {names[id(p)]: group["lr"] for group in groups for p in group["params"]}
    assert rates.keys() == set(names.values())
    blocks = len(getattr(model.backbone, "blocks", ()))
    for key, rate in rates.items():
        component, *rest = key.split(".")
        number = next((int(word) for word in rest if word.isdigit()), None)
        if component == "backbone" and number is not None:
            assert rate == pytest.approx(0.5 * 0.8 ** (blocks - number)), key
        elif component == "head":
            assert rate == 0.5
        elif component == "patching" or key.endswith("positions"):
            assert rate == pytest.approx(0.5 * 0.8 ** (blocks + 1 if blocks else 0) if blocks else 0.5 * 0.8), key
    equal = make_optimizer(OptimConfig(lr=0.5), model.named_parameters(), layer_decay=1.0).param_groups
    assert {group["lr"] for group in equal} == {0.5}


def test_an_adapter_has_the_depth_of_what_it_adapts() -> None:
    plain_name = "backbone.blocks.3.attention.qkv.weight"
    adapted = "backbone.blocks.3.attention.qkv.parametrizations.weight.0.a"
    depths = depths_below_head(
        ["patching.project.weight", plain_name, adapted, "backbone.proj.parametrizations.weight.0.a"]
    )
    assert depths == {
        "patching.project.weight": 5, plain_name: 1, adapted: 1, "backbone.proj.parametrizations.weight.0.a": 0,
    }  # fmt: skip


# --- which weights end as the model


def test_the_last_weights_are_kept_without_validation(store: Path, tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO, logger="tsfm")
    overrides = [*SETTINGS, f"data.dataset={store}", "trainer.keep=last", "trainer.max_epochs=2"]
    alone = [*overrides, "data.split=all", "bench.split=train", "trainer.patience=3", f"run_dir={tmp_path / 'alone'}"]
    result = train_and_score(typed(compose_with_checkpoint(alone)))
    assert "trainer.keep=last: the last weights are kept; trainer.patience is ignored" in caplog.text
    assert "val_loss" not in result
    both = train_and_score(
        typed(compose_with_checkpoint([*overrides, "trainer.ema=null", f"run_dir={tmp_path / 'both'}"]))
    )
    assert np.isfinite(both["val_loss"])
    last = torch.load(tmp_path / "both" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] > 0
    assert last["callbacks"]["RunCheckpoints"]["best_weights"] is None
    best = [*(word for word in alone if "keep" not in word), f"run_dir={tmp_path / 'best'}"]
    with pytest.raises(ValueError, match=r"makes no val part; .* or keep the last weights by trainer\.keep=last"):
        train_and_score(typed(compose_with_checkpoint(best)))


def test_labelled_cases_without_validation_and_with_a_new_head(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO, logger="tsfm")
    save(tiny("patch_transformer", "quantiles"), tmp_path / "free", about=About())
    time, rng = np.arange(40), np.random.default_rng(0)
    series = [np.sin(time / (2 + 3 * (i % 2))) + 0.1 * rng.normal(size=40) for i in range(12)]
    arrays = np.stack(series)[:, None], np.array(["slow", "fast"] * 6)
    data = CaseData.from_arrays(*arrays, config=CasesConfig("given"), test=arrays)
    overrides = ["data=cases", "data.dataset=given", "task=classify", "head=pooled", "init.reset=[head]"]
    overrides += [f"init.from={tmp_path / 'free'}", "init.freeze=[all_but_head]", "trainer.progress=false"]
    overrides += ["trainer.max_epochs=2", "trainer.accelerator=cpu", f"run_dir={tmp_path / 'r'}"]
    done = train_config(typed(compose_with_checkpoint(overrides)), data=data)
    assert "no validation windows: the last weights are kept; trainer.patience is ignored" in caplog.text
    assert done.validation == {}
    saved, trained = load_file(tmp_path / "free" / "model.safetensors"), done.model.state_dict()
    assert all(torch.equal(trained[name], saved[name]) for name in saved if not name.startswith("head."))


def test_runs_without_the_setting_init_still_resume(store: Path, parent: Path) -> None:
    new = plain(config(store))
    old = {key: value for key, value in new.items() if key != "init"}
    old["trainer"] = {key: value for key, value in new["trainer"].items() if key != "keep"}
    assert comparable_config(old) == comparable_config(new)
    assert comparable_config(old) != comparable_config(plain(config(store, f"init.from={parent}")))
    assert comparable_config(yaml.safe_load(yaml.safe_dump(new))) == comparable_config(new)


# --- from the command line


def test_a_sweep_over_init(store: Path, parent: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = [*TRAINING, f"data.dataset={store}", f"init.from={parent}", "trainer.max_steps=2", "name=x"]
    assert main(["train", "-m", *overrides, "init.freeze=[],[all_but_head]", "trainer.keep=last"]) == 0
    results = [json.loads(line[7:]) for line in capsys.readouterr().out.splitlines() if line.startswith("RESULT ")]
    assert len(results) == 2
    configs = [yaml.safe_load((Path(result["run_dir"]) / "config.yaml").read_text()) for result in results]
    assert [each["init"]["freeze"] for each in configs] == [[], ["all_but_head"]]
    assert [each["backbone"]["depth"] for each in configs] == [2, 2]  # that of the checkpoint


def test_show_prints_the_architecture_of_the_checkpoint(store: Path, parent: Path) -> None:
    text = show.describe_run([*TRAINING, f"data.dataset={store}", f"init.from={parent}", "init.freeze=[all_but_head]"])
    assert "depth: 2" in text
    assert f"from: {parent}" in text


# --- bad inputs

WRONG = [
    ("init.from=nowhere", r"init\.from: no model 'nowhere': neither a folder nor a bundled model"),
    ("init.from={store}", r"store has no config\.json; found"),
    ("init.from=3", r"init\.from is 3; expected a model directory"),
    ("init.form=x", r"init\.form is not a setting; did you mean 'from'\?"),
    ("+init.form=x", r"init\.form is not a setting; did you mean 'from'\?"),
    ("init.freeze=[backbone]", r"init\.freeze is about the weights of a checkpoint; name one by init\.from"),
    ("init.lora.rank=8", r"init\.lora is about the weights"),
    ("init.reset=[head]", r"init\.reset is about the weights"),
    ("init.from={parent} init.freeze=[bakbone]", r"init\.freeze has 'bakbone', .* did you mean 'backbone'\?"),
    (
        "init.from={parent} init.freeze=[backbone.block]",
        r"init\.freeze has 'backbone\.block', .* did you mean 'backbone\.blocks'\?",
    ),
    ("init.from={parent} init.freeze=[all_but_haed]", r"did you mean 'all_but_head'\?"),
    ("init.from={parent} init.freeze=[3]", r"init\.freeze is \[3\]; expected a list of names"),
    (
        "init.from={parent} init.freeze=[patching,backbone,scaler,head]",
        r"init\.freeze=\[patching,backbone,scaler,head\] leaves nothing to train; freeze less",
    ),
    ("init.from={parent} init.reset=[haed]", r"init\.reset has 'haed'; did you mean 'head'\?"),
    (
        "init.from={parent} init.reset=[backbone.blocks.7]",
        r"init\.reset has 'backbone\.blocks\.7', which is not a part",
    ),
    (
        "init.from={parent} init.reset=[patching,backbone,head]",
        r"init\.reset=\[patching,backbone,head\] leaves nothing of .*; leave init\.from out",
    ),
    ("init.from={parent} init.reset=[head] init.freeze=[head]", r"head is in init\.reset and in init\.freeze"),
    ("init.from={parent} init.lora.rank=0", r"init\.lora\.rank is 0; expected a whole number of at least 1"),
    ("init.from={parent} init.lora.rank=two", r"init\.lora\.rank is 'two'"),
    ("init.from={parent} init.lora.alpha=16", r"init\.lora has settings but no rank; give init\.lora\.rank=8"),
    ("init.from={parent} init.lora.rnak=8", r"init\.lora\.rnak is not a setting; did you mean 'rank'"),
    ("init.from={parent} init.lora=8", r"init\.lora is 8; expected settings by name: rank, alpha"),
    (
        "init.from={parent} init.lora={{rank:2,targets:[qvk]}}",
        r"init\.lora: no linear layer is called 'qvk'; known: .*qkv",
    ),
    (
        "init.from={parent} init.lora={{rank:2,targets:[head]}} init.reset=[head]",
        r"init\.lora would adapt head\.linear, which is reset",
    ),
    ("init.from={parent} init.lora={{rank:2,dropout:1}}", r"init\.lora\.dropout is 1; it is a probability"),
    ("init.from={parent} ~backbone", r"no value for backbone; give one"),
    ("init.from={parent} init.layer_decay=0", r"init\.layer_decay is 0; expected a factor above 0 and at most 1"),
    ("init.layer_decay=fast", r"init\.layer_decay is 'fast'"),
    ("trainer.keep=first", r"trainer\.keep is 'first'; known: best, last"),
]


@pytest.mark.parametrize(("overrides", "message"), WRONG, ids=[overrides for overrides, _ in WRONG])
def test_a_mistake_is_reported_before_anything_is_written(
    overrides: str, message: str, store: Path, parent: Path, tmp_path: Path
) -> None:
    settings = overrides.format(store=store, parent=parent).split(" ")
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        train_and_score(config(store, *settings, f"run_dir={tmp_path / 'r'}"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_weights_of_another_shape_or_architecture_are_refused(store: Path, parent: Path) -> None:
    run_config = config(store, f"init.from={parent}")
    deeper = replace(run_config, backbone=replace(run_config.backbone, depth=3))
    with pytest.raises(ValueError, match=r"backbone\.depth is 3, but it is 2 in"):
        initialize(build_model(deeper), deeper)
    spoilt = build_model(run_config)
    spoilt.head.linear = torch.nn.Linear(64, 9)
    with pytest.raises(
        ValueError, match=r"head\.linear\.weight has shape \(9, 64\) in this run and has shape \(8, 64\) in"
    ):
        initialize(spoilt, run_config)
    spoilt.head.linear = torch.nn.Linear(64, 8, bias=False)
    with pytest.raises(ValueError, match=r"head\.linear\.bias does not exist in this run and has shape \(8,\) in"):
        initialize(spoilt, run_config)


def test_init_has_defaults_and_is_checked() -> None:
    assert InitConfig.of({}) == InitConfig.of(default_init()) == InitConfig()
    assert InitConfig.of({"lora": None}).lora is None
    some = InitConfig.of({"from": "x", "freeze": "backbone", "lora": {"rank": 4}})
    assert (some.freeze, some.lora and some.lora.targets) == (("backbone",), ("backbone",))
    assert some.method == "lora rank 4; frozen backbone"
