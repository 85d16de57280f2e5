"""`tsfm train experiment=pretrain/small` for the rest of the time; its newest weights are kept in OUT/weights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from export_run import export_run

from gpu.corpus_file import restore
from gpu.section import Recorder, Slot

ROOT = Path(__file__).parents[2]
EXPORT_SECONDS = 120.0
SAVE_SECONDS = 20.0  # for the last export; the run itself would end with minutes for a sketch of the corpus
CHECKPOINT_STEPS = 200
TINY_RUN = [
    *("data.real_rate=0", "data.lengths=[64]", "data.length_weights=[1.0]", "data.batch_values=128"),
    *("data.batches_per_epoch=4", "trainer.max_steps=4", "trainer.checkpoint_every=2"),
]
TINY_MODEL = [
    *("model.context=48", "model.horizon=16", "model.width=16", "model.patch=16", "model.stride=16"),
    *("backbone.depth=1", "backbone.hidden=16", "head.hidden=16"),
]


def measure(slot: Slot, record: Recorder) -> None:
    """Train, and add a row for each export and one for the end of the run."""
    folder = Path(tempfile.mkdtemp(prefix="pretrain-"))
    if slot.dry_run:
        settings = TINY_RUN + (TINY_MODEL if slot.init is None else [])
    else:
        names = restore(slot.corpus, folder / "data")
        record.add(event="corpus restored", sets=len(names), seconds=round(time.monotonic() - record.start, 1))
        minutes, seconds = divmod(int(max(30.0, record.seconds_left - SAVE_SECONDS)), 60)
        settings = ["trainer.accelerator=gpu", f"trainer.max_time=00:00:{minutes:02}:{seconds:02}"]
        settings += [f"trainer.checkpoint_every={CHECKPOINT_STEPS}"]
    if slot.init is not None:
        settings = [*settings, f"init.from={slot.init}"]
    run_dir = folder / "run"
    command = ["train", "experiment=pretrain/small", "trainer.progress=false", f"run_dir={run_dir}", *settings]
    command += slot.settings
    record.content["command"] = "tsfm " + " ".join(command)
    with open(slot.out / "train.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tsfm", *command],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
        try:
            follow(process, run_dir, slot, record)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        record.add(event="end", error=(slot.out / "train.log").read_text(encoding="utf-8")[-1500:])
    shutil.rmtree(folder, ignore_errors=True)


def environment() -> dict[str, str]:
    """Return the environment of the run: this checkout, and no data root but ./data."""
    kept = {name: value for name, value in os.environ.items() if name != "TSFM_DATA"}
    return kept | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}


def follow(process: subprocess.Popen[bytes], run_dir: Path, slot: Slot, record: Recorder) -> None:
    """Export the weights of a run every two minutes until it ends or the time is over."""
    due = time.monotonic() + EXPORT_SECONDS
    while process.poll() is None and record.seconds_left > 0:
        time.sleep(0.2)
        if time.monotonic() > due:
            due = time.monotonic() + EXPORT_SECONDS
            with record.case(event="export") as row:
                row["step"] = export(run_dir, slot)
    if slot.dry_run:
        with record.case(event="export") as row:
            row["step"] = export(run_dir, slot)
    if (run_dir / "model" / "model.safetensors").is_file():
        keep_files(run_dir / "model", slot.out / "weights")
        record.add(event="end", finished=True)
    elif process.poll() is None:
        with record.case(event="end", finished=False) as row:
            row["step"] = export(run_dir, slot)
        process.kill()
        process.wait()
        process.returncode = 0  # it was ended on purpose


def export(run_dir: Path, slot: Slot) -> int | None:
    """Save the averaged weights of the last checkpoint of a run as a model directory; return its step, None if none."""
    origin = None if slot.init is None else {"from": str(slot.init), "method": "full"}
    return export_run(run_dir, slot.out / "weights", origin=origin)


def keep_files(model_dir: Path, target: Path) -> None:
    """Copy the weights, the config and the card of a model; the sketch of its corpus is left out."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name in ("config.json", "model.safetensors", "README.md"):
        shutil.copyfile(model_dir / name, target / name)
