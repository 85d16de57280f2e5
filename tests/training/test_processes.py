"""Two processes pre-train one model: they see different data, agree on the weights, and one of them writes."""

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
WORDS = [*SETTINGS, f"trainer.max_steps={STEPS}", f"trainer.checkpoint_every={KEPT}", "trainer.ema=null",
         "trainer.devices=2"]  # fmt: skip

# what `tsfm train` runs, with an ear on each process; the launcher starts this file again for the second one
WORKER = """
import json, os, sys, torch
from pathlib import Path
from tsfm.config import compose, typed
from tsfm.training import training_run as run
from tsfm.training.learner import Learner

folder, breaks, *words = sys.argv[1:]
heard = {"batches": [], "losses": [], "written": [], "weights": []}
step, load_best_weights, save, replace = Learner.training_step, run.load_best_weights, torch.save, os.replace

def listen(self, batch, batch_idx):
    if self.global_step == int(breaks):
        os._exit(9)
    heard["batches"].append([float(x) for x in batch.values.double().flatten()[:50]])
    loss = step(self, batch, batch_idx)
    heard["losses"].append(loss.item())
    return loss

def tell(model, *rest):
    heard["weights"] = [[name, t.double().sum().item(), t.double().abs().sum().item()]
                        for name, t in model.state_dict().items()]
    rank = int(os.environ.get("LOCAL_RANK", 0))
    Path(folder, f"rank{rank}.json").write_text(json.dumps(heard))
    return load_best_weights(model, *rest)

def noted(what, call):
    def inner(*args, **kwargs):
        heard["written"].append(what)
        return call(*args, **kwargs)
    return inner

Learner.training_step, run.load_best_weights = listen, tell
torch.save, os.replace = noted("save", save), noted("replace", replace)
run.train(typed(compose("train", words)))
"""


def two(folder: Path, corpus: Path, strategy: str, *words: str, breaks: int = -1) -> subprocess.CompletedProcess[str]:
    """Both processes to their end; what they heard stands in folder/rank0.json and rank1.json."""
    folder.mkdir(exist_ok=True)
    (folder / "worker.py").write_text(WORKER)
    asked = [*WORDS, f"data.sets=[{corpus}]", f"run_dir={folder / 'run'}", f"trainer.strategy={strategy}", *words]
    return subprocess.run(
        [sys.executable, str(folder / "worker.py"), str(folder), str(breaks), *asked],
        capture_output=True, text=True, timeout=600, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def heard(folder: Path) -> list[dict]:
    return [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "run" / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "set"
    store(folder, [walk(n, seed) for seed, n in enumerate(LENGTHS)])
    return folder


@pytest.mark.slow
def test_two_processes_see_different_data_agree_on_the_weights_and_one_writes(corpus: Path, tmp_path: Path) -> None:
    """By DDP and by FSDP: both make the same steps, to rounding."""
    for strategy in ("ddp", "fsdp"):
        folder = tmp_path / strategy
        done = two(folder, corpus, strategy)
        assert done.returncode == 0, done.stderr
        first, second = heard(folder)
        assert len(first["batches"]) == len(second["batches"]) == STEPS
        shown = [tuple(batch) for part in (first, second) for batch in part["batches"]]
        assert len(set(shown)) == 2 * STEPS, "a batch comes twice"
        assert first["weights"] == second["weights"]
        assert "save" in first["written"]
        assert second["written"] == []
        assert (folder / "run" / "model" / "config.json").is_file()
        assert len(list(folder.glob("run*"))) == 1
    one, other = weights(tmp_path / "ddp"), weights(tmp_path / "fsdp")
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, atol=2e-3, rtol=1e-2)  # bf16, and sums in another order


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_that_broke_off_go_on_to_the_same_weights(strategy: str, corpus: Path, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert two(whole, corpus, strategy).returncode == 0
    assert two(broken, corpus, strategy, breaks=2 * KEPT + 1).returncode != 0
    last = torch.load(broken / "run" / "checkpoints" / "last.ckpt", weights_only=False)
    assert last["global_step"] == 2 * KEPT
    done = two(broken, corpus, strategy, "resume=auto")
    assert done.returncode == 0, done.stderr
    for before, after in zip(heard(whole), heard(broken), strict=True):
        assert after["losses"] == before["losses"][2 * KEPT :]
        assert after["batches"] == before["batches"][2 * KEPT :]
    expected, found = weights(whole), weights(broken)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("settings", [{"ema": 0.9}, {"devices": 1}, {"compile": True}], ids=str)
def test_what_shards_cannot_do_is_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"trainer\.strategy=fsdp shards weights .* ema=null .* or strategy=ddp"):
        TrainerConfig(**{"strategy": "fsdp", "devices": 2} | settings)


def test_muon_wants_whole_matrices(corpus: Path) -> None:
    words = [*WORDS, f"data.sets=[{corpus}]", "trainer.strategy=fsdp", "optim.name=muon"]
    with pytest.raises(ValueError, match=r"optim\.name=muon needs whole matrices, .* use strategy=ddp"):
        build_components(typed(compose("train", words)))


def test_a_strategy_that_cannot_be_had_says_so(tmp_path: Path) -> None:
    config = TrainerConfig(strategy="deepspeed_stage_9", accelerator="cpu", progress=False)
    with pytest.raises(ValueError, match=r"strategy=deepspeed_stage_9 .* can't be had here"):
        make_trainer(config, tmp_path, monitor="val/loss")
