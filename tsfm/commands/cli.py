"""The `tsfm` command. Each verb imports what it needs when it is called, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tsfm.version import __version__

HYDRA_HELP = """Settings are given as key=value, for instance

  tsfm train experiment=ltsf/patch_transformer_etth1_96 seed=1
  tsfm train data=exchange model.horizon=192 backbone.depth=2
  tsfm train -m experiment=ltsf/patch_transformer_etth1_96 seed=0,1,2      (a sweep)
  tsfm show experiment=ltsf/patch_transformer_etth1_96                     (what it would do)
  tsfm eval predictor=seasonal_naive data=etth1 context=336 horizon=96
  tsfm eval predictor=seasonal_naive bench=gift

The choices of each group (data, backbone, experiment, ...) are listed by `tsfm show --groups`."""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="tsfm", description="Train, evaluate and use time-series foundation models.", epilog=HYDRA_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"tsfm {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        sub.set_defaults(run=run)
        return sub

    for name, text, run in (
        ("train", "train a model and score it on the test split", run_train),
        ("eval", "score a trained model or a baseline", run_eval),
    ):
        sub = verb(name, text, run)
        sub.epilog = HYDRA_HELP
        sub.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
        sub.add_argument("-m", "--multirun", action="store_true", help="a sweep: every combination of listed values")
        sub.add_argument("--config-dir", help="a folder of your own configs, searched beside the built-in ones")
    sub = verb("show", "print what a config or a model directory holds", run_show)
    sub.add_argument("overrides", nargs="*", metavar="KEY=VALUE | MODEL_DIR")
    sub.add_argument("--config-dir", help="a folder of your own configs, searched beside the built-in ones")
    sub.add_argument("--groups", action="store_true", help="list the config groups and their choices")
    verb("models", "list the models at hand: bundled ones, and those below runs/", run_models)

    sub = verb("ingest", "turn CSV, Parquet, .ts or .tsf files into a store", run_ingest)
    sub.add_argument("source", nargs="+", help="files or quoted globs")
    sub.add_argument("--out", required=True, help="folder of the store, for instance data/sales")
    sub.add_argument("--layout", default="auto", choices=["auto", "long", "wide"])
    sub.add_argument("--target", action="append", help="value column; repeat for several (default: all numeric ones)")
    sub.add_argument("--grid", default="fill", choices=["fill", "keep"],
                     help="fill: gaps become missing steps; keep: rows are taken as equally spaced")  # fmt: skip
    sub.add_argument("--name")
    sub.add_argument("--overwrite", action="store_true")
    sub.add_argument("--allow-mixed-freq", action="store_true")
    _columns(sub)

    sub = verb("forecast", "forecast the series of a CSV or Parquet file", run_forecast)
    sub.add_argument("source", help="CSV or Parquet file, long (one row per item and time) or of one series")
    sub.add_argument("--model", required=True, help="model directory or name, or a baseline such as seasonal_naive")
    sub.add_argument("--horizon", type=int, required=True, help="steps to forecast")
    sub.add_argument("--target", action="append", help="value column; repeat for several (default: target)")
    sub.add_argument("--future", help="file with the known future of covariates")
    sub.add_argument("--levels", type=float, nargs="+", help="quantile levels (default: the model's own)")
    sub.add_argument("--out", help="write the forecast here, .csv or .parquet (default: print the first rows)")
    sub.add_argument("--plot", help="draw the first series and its forecast into this PNG")
    sub.add_argument("--holdout", action="store_true",
                     help="hide the last HORIZON steps, forecast them, print MASE beside seasonal naive")  # fmt: skip
    _columns(sub)

    sub = _model_verb(verb("impute", "fill the missing values of the series of a file", run_verb))
    sub.add_argument("--levels", type=float, nargs="+", dest="quantile_levels", help="quantile levels to tell beside")
    sub.add_argument("--fill-gaps", action="store_true", help="add rows for the stamps that the file jumps over")
    sub = _model_verb(verb("detect", "score every row of a file, and flag the strangest", run_verb))
    sub.add_argument("--level", type=float, default=0.99, help="share of clean rows not to be flagged (default 0.99)")
    sub.add_argument("--calibration", default="0.3", metavar="SHARE | STEPS | FILE",
                     help="what is clean: the first share or steps of each item, or a file (default 0.3)")  # fmt: skip
    sub.add_argument("--score", choices=["pinball", "residual", "tail"], help="(default: as trained, else pinball)")
    sub.add_argument("--plot", help="draw the first series and their scores into this PNG")
    sub = _model_verb(verb("embed", "turn every series of a file into a vector", run_verb))
    sub.add_argument("--pool", default="mean", choices=["mean", "last", "max"], help="over time (default mean)")
    sub.add_argument("--layer", type=int, default=-1, help="0: the embedding; -1 (default): the end of the backbone")
    _model_verb(verb("classify", "tell the class, or the number, of every series of a file", run_verb))
    return top


def _model_verb(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """What the verbs of a trained model have in common."""
    sub.add_argument("source", help="CSV or Parquet file, long (one row per item and time) or of one series")
    sub.add_argument("--model", required=True, help="model directory or name")
    sub.add_argument("--target", action="append", help="value column; repeat for several (default: target)")
    sub.add_argument("--out", help="write the table here, .csv or .parquet (default: print the first rows)")
    _columns(sub)
    return sub


def _columns(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--id-column", default="item_id")
    sub.add_argument("--timestamp-column", default="timestamp")
    sub.add_argument("--freq", help="steps between rows as pandas writes it: h, 15min, D, W, MS, ... (default: found)")


def main(argv: list[str] | None = None) -> int:
    """Entry point. 0: all that was asked for was done; 2: the request can't be met, and why; 130: interrupted."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("tsfm").setLevel(logging.INFO)
    try:
        return args.run(args)
    except BrokenPipeError:  # the reader of our output has gone, as in `tsfm models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, FloatingPointError, MemoryError, ImportError) as error:
        if os.environ.get("TSFM_DEBUG"):
            raise
        print(f"error: {said(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"interrupted; {error}" if str(error) else "interrupted", file=sys.stderr)
        return 130


def said(error: Exception) -> str:
    """An error in one line, without Python's numbers: `[Errno 2] No such file or directory: 'x'` names x first."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}; check this path" if error.filename else error.strerror
    return str(error) or type(error).__name__


def run_train(args: argparse.Namespace) -> int:
    return _configured("train", args)


def run_eval(args: argparse.Namespace) -> int:
    return _configured("eval", args)


def _configured(verb: str, args: argparse.Namespace) -> int:
    from tsfm.commands import runner
    from tsfm.config import compose, job_overrides, sweep, typed
    from tsfm.training.init_config import compose_with_checkpoint

    asked = ["--config-dir", args.config_dir] if args.config_dir else []
    work = runner.train_and_score if verb == "train" else runner.evaluate

    def one(overrides: list[str]) -> None:
        if verb == "train":
            config = compose_with_checkpoint(overrides, config_dir=args.config_dir)
        else:
            config = compose(verb, overrides, config_dir=args.config_dir)
        announce(work(typed(config), command=f"tsfm {verb} {shlex.join([*asked, *overrides])}"))

    if args.multirun:
        sweep(verb, args.overrides, lambda _: one(job_overrides()), config_dir=args.config_dir)
    else:
        one(args.overrides)
    return 0


def announce(result: dict[str, Any]) -> None:
    """The one machine-readable line; a number that is not finite is null."""
    clean = {k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in result.items()}
    print("RESULT " + json.dumps(clean, allow_nan=False), flush=True)


def run_show(args: argparse.Namespace) -> int:
    from tsfm.commands import show as describe

    if args.groups:
        print(describe.groups())
    elif len(args.overrides) == 1 and "=" not in args.overrides[0]:
        print(describe.model(args.overrides[0]))
    else:
        print(describe.run(args.overrides, config_dir=args.config_dir))
    return 0


def run_models(args: argparse.Namespace) -> int:
    from tsfm.commands.show import models

    print(models())
    return 0


def run_ingest(args: argparse.Namespace) -> int:
    from tsfm.store.ingest import ingest

    report = ingest(
        args.source, args.out, layout=args.layout, target=args.target, grid=args.grid, name=args.name,
        overwrite=args.overwrite, id_column=args.id_column, timestamp_column=args.timestamp_column, freq=args.freq,
        allow_mixed_freq=args.allow_mixed_freq,
    )  # fmt: skip
    print(report)
    return 0


def run_forecast(args: argparse.Namespace) -> int:
    from tsfm.commands.forecast import forecast_file

    print(
        forecast_file(
            Path(args.source), predictor=args.model, horizon=args.horizon, target=args.target, future=args.future,
            levels=args.levels, out=args.out, plot=args.plot, holdout=args.holdout, freq=args.freq,
            id_column=args.id_column, timestamp_column=args.timestamp_column,
        )
    )  # fmt: skip
    return 0


def run_verb(args: argparse.Namespace) -> int:
    from tsfm.commands.verbs import answer_file

    options = {name: value for name, value in vars(args).items() if name not in ("verb", "run", "source")}
    print(answer_file(args.verb, Path(args.source), **options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
