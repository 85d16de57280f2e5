"""The long pre-training run of `scripts/pretrain.sh`: one training process, exported every half hour.

FOLDER/run is the run directory, FOLDER/weights the newest exported model, FOLDER/origin.txt the weights it began with,
FOLDER/process.txt the process that is training. Killed at any moment, it goes on from its last checkpoint; without
FOLDER it begins with the newest bundled weights, by a warm-up and without the state of the optimizer.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from tsfm.files import write_text
from tsfm.model.checkpoint import weights_dir

sys.path.insert(0, str(Path(__file__).parent))
from export_run import export_run

EXPERIMENT = "pretrain/small_next"
ORIGINS = ("tsfm-small-next", "tsfm-small")  # bundled weights, newest first
EXPORT_SECONDS = 1800.0


class LongRun:
    """The folder of a long run."""

    def __init__(self, folder: Path):
        self.folder, self.run_dir, self.weights = folder, folder / "run", folder / "weights"
        self.process_file, self.origin_file = folder / "process.txt", folder / "origin.txt"

    def origin(self) -> str:
        """Return the weights that the run began with; the newest bundled ones where it has not begun."""
        if self.origin_file.is_file() and self.run_dir.is_dir():
            return self.origin_file.read_text(encoding="utf-8").strip()
        return next(name for name in ORIGINS if (weights_dir() / name).is_dir())

    def command(self, settings: Sequence[str]) -> list[str]:
        """Return the command that begins the run or goes on with it."""
        init = [f"init.from={self.origin()}", "init.expand=true"]
        fixed = [f"run_dir={self.run_dir}", "resume=auto", "trainer.progress=false"]
        return [sys.executable, "-m", "tsfm", "train", f"experiment={EXPERIMENT}", *init, *fixed, *settings]

    def process(self) -> int | None:
        """Return the number of the process that is training; None where none is."""
        if not self.process_file.is_file():
            return None
        number = int(self.process_file.read_text(encoding="utf-8"))
        try:
            os.kill(number, 0)
        except OSError:
            return None
        return number

    def run(self, settings: Sequence[str]) -> int:
        """Train until the process ends, with an export every half hour; return its exit status.

        Raises
        ------
        SystemExit
            If the run is training already.
        """
        if self.process() is not None:
            raise SystemExit(f"error: process {self.process()} trains {self.folder} already; stop it first")
        command = self.command(settings)
        write_text(self.origin_file, self.origin() + "\n")
        training = subprocess.Popen(command)
        write_text(self.process_file, f"{training.pid}\n")
        signal.signal(signal.SIGTERM, lambda *_: training.send_signal(signal.SIGTERM))
        due = time.monotonic() + EXPORT_SECONDS
        while training.poll() is None:
            time.sleep(1.0)
            if time.monotonic() > due:
                due = time.monotonic() + EXPORT_SECONDS
                self.export()
        self.process_file.unlink(missing_ok=True)
        self.export()
        return training.returncode

    def export(self) -> int | None:
        """Save the newest weights, and return their step; None without a checkpoint."""
        step = export_run(self.run_dir, self.weights, origin={"from": self.origin(), "method": "expanded"})
        print("no checkpoint yet" if step is None else f"{self.weights}: step {step:,}", flush=True)
        return step

    def stop(self) -> None:
        """End the training process and wait for it."""
        number = self.process()
        if number is None:
            print("it is not running")
            return
        os.kill(number, signal.SIGTERM)
        while self.process() is not None:
            time.sleep(0.5)
        print("stopped")

    def status(self) -> None:
        """Print how far the run is."""
        file, number = self.run_dir / "metrics.csv", self.process()
        print("running, process " + str(number) if number else "not running")
        if not file.is_file():
            return
        config = yaml.safe_load((self.run_dir / "config.yaml").read_text(encoding="utf-8"))
        with file.open(newline="") as lines:
            rows = [row for row in csv.DictReader(lines) if row.get("train/loss")]
        if rows:
            steps = int(rows[-1]["step"]) + 1
            recent = [float(row["train/loss"]) for row in rows[-50:]]
            values = steps * int(config["data"]["batch_values"]) / 1e9
            loss = sum(recent) / len(recent)
            print(f"step {steps:,}, {values:.3f} G values since {self.origin()}, training loss {loss:.4f}")

    def decay(self, steps: int, settings: Sequence[str]) -> int:
        """Train a branch from the newest weights whose learning rate decays to 0; return its exit status.

        Its seed is the step it begins from, so that it draws other windows than the run did.

        Raises
        ------
        SystemExit
            If the run has no checkpoint yet.
        """
        step = self.export()
        if step is None:
            raise SystemExit(f"error: {self.folder} has no checkpoint yet; start the run first")
        schedule = ["optim.schedule=linear", "optim.warmup=0.02", f"trainer.max_steps={steps}", f"seed={step}"]
        fixed = [f"run_dir={self.folder / f'decay-{steps}'}", "resume=auto", "trainer.progress=false"]
        command = ["train", f"experiment={EXPERIMENT}", f"init.from={self.weights}", *schedule, *fixed, *settings]
        return subprocess.run([sys.executable, "-m", "tsfm", *command], check=False).returncode


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("action", choices=["run", "status", "stop", "export", "decay"])
    parser.add_argument("settings", nargs="*", help="settings of the run, and of decay first the number of steps")
    parser.add_argument("--folder", type=Path, default=Path("runs/long"))
    args = parser.parse_intermixed_args(argv)
    long_run = LongRun(args.folder)
    if args.action == "run":
        return long_run.run(args.settings)
    if args.action == "decay":
        if not args.settings or not args.settings[0].isdigit():
            parser.error("decay needs a number of steps, as in: decay 3000")
        return long_run.decay(int(args.settings[0]), args.settings[1:])
    getattr(long_run, args.action)()
    return 0


if __name__ == "__main__":
    sys.exit(main())
