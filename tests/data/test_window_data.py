"""The data module: published counts on the real sets, loaders that resume in mid-epoch, errors that name the data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from sklearn.preprocessing import StandardScaler

from tsfm.config import compose, options, typed
from tsfm.data.case_data import CasesConfig
from tsfm.data.corpus import CorpusConfig
from tsfm.data.window_data import DataConfig, WindowData
from tsfm.store.series_store import StoreWriter

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("TSFM_DATA", ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "forecasting").is_dir(), reason=f"no data folder {DATA}; set TSFM_DATA")


def make(path: Path, arrays, *, channels=("a", "b"), freq="h") -> str:
    with StoreWriter(path, channels=list(channels)) as writer:
        for i, array in enumerate(arrays):
            writer.add(f"item{i}", np.asarray(array, dtype=np.float32), np.datetime64("2020-01-01"), freq)
    return str(path)


def walk(length: int, *, channels: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(channels, length)).cumsum(axis=1)


def data(dataset: str, *, context=10, horizon=5, seed=0, **settings) -> WindowData:
    return WindowData(DataConfig(dataset=dataset, **settings), context=context, horizon=horizon, seed=seed)


def keys(loader) -> list[list[int]]:
    return [key for batch in loader for key in batch.key.tolist()]


def test_train_rows_are_standardised_as_sklearn_does(tmp_path):
    values = walk(200) * 30 + 400
    module = data(make(tmp_path / "s", [values]))
    windows = module.windows("test")
    scaler = StandardScaler().fit(values.astype(np.float32).astype(np.float64)[:, :140].T)
    np.testing.assert_allclose(module.standardizer.loc, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(module.standardizer.scale, scaler.scale_, rtol=1e-12)
    batch = windows.gather(range(len(windows)))
    expected = scaler.transform(values.T).T
    for row, (_, start) in enumerate(batch.key.tolist()):
        np.testing.assert_allclose(batch.values[row].numpy(), expected[:, start : start + 15], atol=2e-5)
    assert list(module.standardizer.as_dict()) == ["a", "b"]


def test_every_evaluation_window_is_read_once_for_any_batch_size(tmp_path):
    dataset = make(tmp_path / "s", [walk(203)])
    keys_by_batch_size = [keys(data(dataset, eval_batch_size=size).test_dataloader()) for size in (1, 7, 512)]
    assert keys_by_batch_size[0] == keys_by_batch_size[1] == keys_by_batch_size[2]
    assert len(keys_by_batch_size[0]) == int(203 * 0.2) - 5 + 1
    module = data(dataset, eval_batch_size=7)
    assert len(module.test_dataloader()) == -(-len(module.windows("test")) // 7)


def test_an_epoch_of_training_has_every_window_once(tmp_path):
    module = data(make(tmp_path / "s", [walk(203), walk(90)]), batch_size=16)
    loader = module.train_dataloader()
    first, second = keys(loader), keys(loader)
    assert sorted(first) == sorted(second) == sorted(module.windows("train").gather(range(len(first))).key.tolist())
    assert first != second
    assert first == keys(data(module.config.dataset, batch_size=16).train_dataloader())
    assert first != keys(data(module.config.dataset, batch_size=16, seed=1).train_dataloader())


def test_setup_twice_is_setup_once(tmp_path):
    module = data(make(tmp_path / "s", [walk(203)]))
    module.prepare_data()
    module.setup("fit")
    windows = module.windows("val")
    module.setup("test")
    assert module.windows("val") is windows
    assert (module.num_channels, module.freq, module.season_length) == (2, "h", 24)
    assert (len(module.fingerprints), module.fingerprint) == (1, module.store.fingerprint)


def test_channels_are_chosen_by_name(tmp_path):
    dataset = make(tmp_path / "s", [walk(203)])
    only_b, both = data(dataset, channels=["b"]), data(dataset)
    assert torch.equal(only_b.windows("val").gather([3]).values[:, 0], both.windows("val").gather([3]).values[:, 1])
    assert only_b.standardizer.channels == ("b",)
    with pytest.raises(ValueError, match=r"data set .*: no channel 'c'"):
        data(dataset, channels=["c"]).setup()


def test_short_series_are_left_out_by_name_or_padded(tmp_path):
    dataset = make(tmp_path / "s", [walk(100), walk(14), walk(11)])
    settings = {"split": "last_horizon", "standardize": False}
    strict, padded = data(dataset, **settings), data(dataset, min_context=4, **settings)
    assert [item for item, _ in strict.windows("test").skipped] == ["item1", "item2"]
    assert strict.windows("test").skipped[0][1] == "9 steps before its first target, a context needs 10"
    assert padded.windows("test").skipped == []
    batch = padded.windows("test").gather([0, 1, 2])
    assert batch.observed[:, 0].sum(dim=1).tolist() == [15, 14, 11]
    assert batch.key[:, 1].tolist() == [85, -1, -4]
    assert [item for item, _ in padded.windows("train").skipped] == ["item1", "item2"]


def test_horizons_of_the_test_part_do_not_overlap(tmp_path):
    module = data(make(tmp_path / "s", [walk(100)]), split="last_horizon", windows=3)
    assert module.windows("test").gather([0, 1, 2]).key[:, 1].tolist() == [75, 80, 85]
    assert len(module.windows("test")) == 3
    assert len(module.windows("test", stride=1)) == 11
    assert len(module.windows("val")) == 1


def test_a_rule_without_evaluation_has_no_evaluation_loaders(tmp_path):
    module = data(make(tmp_path / "s", [walk(100)]), split="all")
    assert (module.val_dataloader(), module.test_dataloader(), len(module.windows("test"))) == ([], [], 0)
    assert len(module.windows("train")) == 86


class Recorder(pl.LightningModule):
    """Trains one number and writes down which windows it saw; can kill its own process."""

    def __init__(self, kill_at: int | None = None, seen: str | None = None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.kill_at, self.seen = kill_at, seen

    def training_step(self, batch, index):
        with open(self.seen, "a") as out:
            out.write(f"{self.global_step} {self.current_epoch} {batch.key.tolist()}\n")
        if self.global_step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return (self.weight * batch.values - 1).square().mean()

    def validation_step(self, batch, index):
        self.log("val", batch.values.mean(), batch_size=len(batch.values))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class SaveAlways(pl.Callback):
    """A checkpoint at every moment at which people save one."""

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, trainer, name: str) -> None:
        if not trainer.sanity_checking:
            trainer.save_checkpoint(self.folder / f"{name}.ckpt")

    def on_train_batch_end(self, trainer, *_) -> None:
        self.save(trainer, f"step={trainer.global_step}")

    def on_validation_end(self, trainer, *_) -> None:
        self.save(trainer, f"validated={trainer.current_epoch}")

    def on_train_epoch_end(self, trainer, *_) -> None:
        self.save(trainer, f"ended={trainer.current_epoch}")


def fit(dataset: str, folder: Path, *, seen: str, kill_at=None, resume=None, sampling="epoch", limit=None) -> float:
    settings = {"batch_size": 16, "sampling": sampling}
    trainer = pl.Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=False,
        callbacks=[SaveAlways(folder)],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        enable_checkpointing=False,
        limit_train_batches=limit,
    )
    learner = Recorder(kill_at, seen)
    trainer.fit(learner, datamodule=data(dataset, **settings), ckpt_path=resume, weights_only=False)
    return float(learner.weight.detach())


def steps(file: Path) -> list[tuple[str, str]]:
    """(epoch, windows) of each step; a step that was run again after the kill counts as it was the last time."""
    lines = (line.split(" ", 2) for line in file.read_text().splitlines())
    return [(epoch, windows) for _, (epoch, windows) in sorted((int(step), (e, w)) for step, e, w in lines)]


@pytest.mark.parametrize(("sampling", "limit"), [("epoch", None), ("random", None), ("epoch", 3)])
def test_training_resumed_at_any_step_reads_the_windows_of_an_uninterrupted_run(tmp_path, sampling, limit):
    dataset = make(tmp_path / "s", [walk(140)])  # 84 train windows: 5 batches and a rest of 4
    whole = tmp_path / "whole.txt"
    weight = fit(dataset, tmp_path / "whole", seen=str(whole), sampling=sampling, limit=limit)
    expected = steps(whole)
    length = limit or 6
    assert len(expected) == 4 * length
    assert len({windows for _, windows in expected}) == 4 * length
    checkpoints = {f"step={step}": step for step in (1, length - 1, length, length + 1, 2 * length, 3 * length + 2)}
    checkpoints |= {"validated=1": 2 * length, "ended=1": 2 * length}
    for name, step in checkpoints.items():
        resumed, saved = tmp_path / f"{name}.txt", tmp_path / "whole" / f"{name}.ckpt"
        resumed_weight = fit(dataset, tmp_path / name, seen=str(resumed), resume=saved, sampling=sampling, limit=limit)
        assert steps(resumed) == expected[step:], name
        assert resumed_weight == weight


def test_killed_in_mid_epoch_and_resumed_in_a_new_process(tmp_path):
    dataset = make(tmp_path / "s", [walk(140)])
    whole, parts = tmp_path / "whole.txt", tmp_path / "parts.txt"
    weight = fit(dataset, tmp_path / "whole", seen=str(whole))
    code = (
        "import sys; from pathlib import Path; from tests.data.test_window_data import fit; "
        f"fit({dataset!r}, Path({str(tmp_path / 'killed')!r}), seen={str(parts)!r}, kill_at=9)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    last = max((tmp_path / "killed").glob("step=*.ckpt"), key=lambda path: int(path.stem.split("=")[1]))
    assert last.stem == "step=9"
    parts.write_text("\n".join(parts.read_text().splitlines()[:9]) + "\n")  # the step in which it died left no trace
    resumed_weight = fit(dataset, tmp_path / "killed", seen=str(parts), resume=last)
    assert steps(parts) == steps(whole)
    assert resumed_weight == weight


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_evaluation_and_training(tmp_path, world, monkeypatch):
    dataset = make(tmp_path / "s", [walk(203)])
    for name in ("train_dataloader", "test_dataloader"):
        all_keys, lengths = [], set()
        for rank in range(world):
            module = data(dataset, batch_size=16, eval_batch_size=8)
            monkeypatch.setattr(module, "process", lambda rank=rank: (rank, world))
            loader = getattr(module, name)()
            lengths.add(len(loader))
            all_keys += keys(loader)
        assert len({tuple(key) for key in all_keys}) == len(all_keys)
        if name == "test_dataloader":
            assert sorted(all_keys) == keys(data(dataset).test_dataloader())
        else:
            assert len(lengths) == 1


def test_a_horizon_longer_than_the_data_is_named(tmp_path):
    module = data(make(tmp_path / "s", [walk(100)]), horizon=25)
    with pytest.raises(
        ValueError, match=r"split 'val'.*context 10 and horizon 25 fits; 35 rows needed, at most 20 found"
    ):
        module.val_dataloader()
    with pytest.raises(ValueError, match=r"data set .* needs a series of 14400 steps, found 100; choose another"):
        data(module.config.dataset, split="ett_hour").setup()


def test_constant_and_empty_channels(tmp_path, caplog):
    values = walk(100)
    values[1] = 7.1
    constant = data(make(tmp_path / "constant", [values]))
    with caplog.at_level("WARNING", logger="tsfm"):
        batch = constant.windows("val").gather([0])
    assert "channel 'b' is constant" in caplog.text
    assert constant.standardizer.scale[1] == 1
    assert (batch.values[:, 1] == 0).all()
    values[1, :70] = np.nan
    with pytest.raises(ValueError, match=r"channel 'b' has no observed value in the train rows.*channels="):
        data(make(tmp_path / "empty", [values])).setup()
    assert not data(str(tmp_path / "empty"), standardize=False).windows("train").gather([0]).observed[:, 1].any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "halves"}, "unknown split rule 'halves'"),
        ({"ratios": [0.5, 0.1, 0.1]}, "sum to 1"),
        ({"sampling": "rnd"}, "did you mean 'random'"),
        ({"batches_per_epoch": 5}, "use sampling=random"),
        ({"batch_size": 0}, "data.batch_size is 0; it must be at least 1"),
        ({"min_context": -1}, "data.min_context is -1"),
        ({"fraction": 0.0}, "0 < fraction <= 1"),
        ({"temperature": 2.0}, "data.temperature is 2.0"),
    ],
)
def test_settings_check_themselves(settings, message):
    with pytest.raises(ValueError, match=message):
        DataConfig(dataset="x", **settings)
    structured = OmegaConf.merge(OmegaConf.structured(DataConfig), {"dataset": "x", **settings})
    with pytest.raises(ValueError, match=message):
        OmegaConf.to_object(structured)


@pytest.mark.parametrize("name", options("data"))
def test_every_data_config_composes(name):
    of_any = name in ("store", "cases")
    overrides = [f"data={name}"] + (["data.dataset=somewhere"] if of_any else [])
    config = typed(compose("eval", [*overrides, "predictor=naive"])).data
    kind = "corpus" if name.startswith("corpus") else name  # variants of one data module
    assert isinstance(config, {"cases": CasesConfig, "corpus": CorpusConfig}.get(kind, DataConfig))
    assert config.dataset == ("somewhere" if of_any else kind)


@needs_data
@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "context", "horizon", "counts"),
    [
        ("etth1", 336, 96, (8209, 2785, 2785)),
        ("etth1", 336, 720, (7585, 2161, 2161)),
        ("ettm1", 336, 96, (34129, 11425, 11425)),
        ("exchange", 336, 96, (4880, 665, 1422)),
        ("ili", 104, 24, (549, 74, 170)),
        ("weather", 336, 96, (36456, 5175, 10444)),
        ("m4_hourly", 96, 48, (None, 414, 414)),
        ("m4_weekly", 52, 13, (None, 359, 359)),
        pytest.param("m4_yearly", 24, 6, (None, 23000, 23000), marks=pytest.mark.slow),
    ],
)
def test_published_counts_on_the_real_sets(monkeypatch, tmp_path_factory, name, context, horizon, counts):
    monkeypatch.setenv("TSFM_DATA", str(DATA))
    monkeypatch.setenv("TSFM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    config = typed(compose("eval", [f"data={name}", "predictor=naive"])).data
    module = WindowData(config, context=context, horizon=horizon)
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        windows = module.windows(split)
        assert count is None or (len(windows), windows.skipped) == (count, [])
    batch = next(iter(module.train_dataloader()))
    assert torch.isfinite(batch.values).all()
    if name == "etth1":
        train = module.windows("train").gather(range(counts[0]))
        assert abs(float(train.values.mean())) < 0.05
        assert abs(float(train.values.std()) - 1) < 0.05
