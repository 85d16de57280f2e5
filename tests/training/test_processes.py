"""Two processes pre-train one model: they have different data and the same weights, and one of them writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.data.test_corpus import LENGTHS, walk
from tests.data.test_pool import store
from tests.training.test_pretraining import SETTINGS
from tsfm.config import compose, typed
from tsfm.training.components import build_components
from tsfm.training.trainer import TrainerConfig, make_trainer

ROOT = Path(__file__).parents[2]
STEPS, KEPT = 6, 2
OVERRIDES = [*SETTINGS, f"trainer.max_steps={STEPS}", f"trainer.checkpoint_every={KEPT}", "trainer.ema=null",
         "trainer.devices=2"]  # fmt: skip

# what `tsfm train` runs, recorded in each process; the launcher starts this file again for the second one
WORKER = """
import json, os, sys, torch
from pathlib import Path
from tsfm.config import compose, typed
from tsfm.training import training_run
from tsfm.training.learner import Learner

folder, breaks, *overrides = sys.argv[1:]
records = {"batches": [], "losses": [], "written": [], "weights": []}
step, load_best_weights = Learner.training_step, training_run.load_best_weights
save, replace = torch.save, os.replace

def record_step(self, batch, batch_idx):
    if self.global_step == int(breaks):
        os._exit(9)
    records["batches"].append([float(x) for x in batch.values.double().flatten()[:50]])
    loss = step(self, batch, batch_idx)
    records["losses"].append(loss.item())
    return loss

def record_weights(model, *rest):
    records["weights"] = [[name, t.double().sum().item(), t.double().abs().sum().item()]
                        for name, t in model.state_dict().items()]
    rank = int(os.environ.get("LOCAL_RANK", 0))
    Path(folder, f"rank{rank}.json").write_text(json.dumps(records))
    return load_best_weights(model, *rest)

def recorded(name, call):
    def inner(*args, **kwargs):
        records["written"].append(name)
        return call(*args, **kwargs)
    return inner

Learner.training_step, training_run.load_best_weights = record_step, record_weights
torch.save, os.replace = recorded("save", save), recorded("replace", replace)
training_run.train_config(typed(compose("train", overrides)))
"""


def run_two(
    folder: Path, corpus: Path, strategy: str, *overrides: str, breaks: int = -1
) -> subprocess.CompletedProcess[str]:
    """Run both processes; their records are folder/rank0.json and rank1.json."""
    folder.mkdir(exist_ok=True)
    (folder / "worker.py").write_text(WORKER)
    settings = [
        *OVERRIDES,
        f"data.sets=[{corpus}]",
        f"run_dir={folder / 'run'}",
        f"trainer.strategy={strategy}",
        *overrides,
    ]
    return subprocess.run(
        [sys.executable, str(folder / "worker.py"), str(folder), str(breaks), *settings, *overrides],
        capture_output=True, text=True, timeout=600, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def read_records(folder: Path) -> list[dict]:
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "run" / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "set"
    store(folder, [walk(n, seed) for seed, n in enumerate(LENGTHS)])
    return folder


@pytest.mark.slow
def test_two_processes_have_different_data_and_the_same_weights_and_one_writes(corpus: Path, tmp_path: Path) -> None:
    """By DDP and by FSDP: both make the same steps, to rounding."""
    for strategy in ("ddp", "fsdp"):
        folder = tmp_path / strategy
        done = run_two(folder, corpus, strategy)
        assert done.returncode == 0, done.stderr
        first, second = read_records(folder)
        assert len(first["batches"]) == len(second["batches"]) == STEPS
        batches = [tuple(batch) for records in (first, second) for batch in records["batches"]]
        assert len(set(batches)) == 2 * STEPS, "a batch was used twice"
        assert first["weights"] == second["weights"]
        assert "save" in first["written"]
        assert second["written"] == []
        assert (folder / "run" / "model" / "config.json").is_file()
        assert len(list(folder.glob("run*"))) == 1
    ddp, fsdp = weights(tmp_path / "ddp"), weights(tmp_path / "fsdp")
    assert ddp.keys() == fsdp.keys()
    for name, tensor in ddp.items():
        torch.testing.assert_close(fsdp[name], tensor, atol=2e-3, rtol=1e-2)  # bf16, and sums in another order


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_interrupted_processes_resume_to_the_same_weights(strategy: str, corpus: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_two(whole, corpus, strategy).returncode == 0
    assert run_two(broken, corpus, strategy, breaks=2 * KEPT + 1).returncode != 0
    last = torch.load(broken / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 2 * KEPT
    done = run_two(broken, corpus, strategy, "resume=auto")
    assert done.returncode == 0, done.stderr
    for before, after in zip(read_records(whole), read_records(broken), strict=True):
        assert after["losses"] == before["losses"][2 * KEPT :]
        assert after["batches"] == before["batches"][2 * KEPT :]
    expected, resumed = weights(whole), weights(broken)
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)


@pytest.mark.parametrize("settings", [{"ema": 0.9}, {"devices": 1}, {"compile": True}], ids=str)
def test_settings_that_need_whole_weights_are_refused_with_fsdp(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"trainer\.strategy=fsdp shards weights .* ema=null .* or strategy=ddp"):
        TrainerConfig(**{"strategy": "fsdp", "devices": 2} | settings)


def test_muon_needs_whole_matrices(corpus: Path) -> None:
    overrides = [*OVERRIDES, f"data.sets=[{corpus}]", "trainer.strategy=fsdp", "optim.name=muon"]
    with pytest.raises(ValueError, match=r"optim\.name=muon needs whole matrices, .* use strategy=ddp"):
        build_components(typed(compose("train", overrides)))


def test_an_unknown_strategy_is_refused(tmp_path: Path) -> None:
    config = TrainerConfig(strategy="deepspeed_stage_9", accelerator="cpu", progress=False)
    with pytest.raises(ValueError, match=r"strategy=deepspeed_stage_9 .* is not possible here"):
        make_trainer(config, tmp_path, monitor="val/loss")
