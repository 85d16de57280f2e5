"""The arguments of the `tsfm` command. Nothing heavy is imported here, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable

from tsfm.commands.bench.options import add_benchmarks
from tsfm.commands.read_flags import add_read_flags
from tsfm.version import __version__

SETTINGS_HELP = """Settings are given as key=value, for instance

  tsfm train experiment=ltsf/patch_transformer_etth1_96 seed=1
  tsfm train data=exchange model.horizon=192 backbone.depth=2
  tsfm train -m experiment=ltsf/patch_transformer_etth1_96 seed=0,1,2      (a sweep)
  tsfm show experiment=ltsf/patch_transformer_etth1_96                     (what it would do)
  tsfm eval predictor=seasonal_naive data=etth1 context=336 horizon=96
  tsfm eval predictor=seasonal_naive bench=gift

`tsfm show --groups` lists the choices of each group (data, backbone, experiment, ...)."""
SOURCE_HELP = "CSV, Parquet or Excel file, long (one row per item and time) or of one series"
Command = Callable[[argparse.Namespace], int]


def lazy(module: str, function: str = "run") -> Command:
    """Return a function that imports the module when it is called, and calls its function."""

    def command(args: argparse.Namespace) -> int:
        return getattr(importlib.import_module(module), function)(args)

    return command


def parser() -> argparse.ArgumentParser:
    """Return the parser; the attribute `run` of a parsed command line is the function to call with it."""
    top = argparse.ArgumentParser(
        prog="tsfm", description="Train, evaluate and use time-series foundation models.", epilog=SETTINGS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"tsfm {__version__}")
    commands = top.add_subparsers(dest="verb", metavar="COMMAND", required=True)

    def add(name: str, text: str, run: Command) -> argparse.ArgumentParser:
        raw = argparse.RawDescriptionHelpFormatter
        sub = commands.add_parser(name, help=text, description=text, formatter_class=raw)
        sub.set_defaults(run=run)
        return sub

    _add_training(add)
    _add_ingest(add("ingest", "turn CSV, Parquet, .ts or .tsf files into a store", lazy("tsfm.commands.ingest")))
    _add_forecast(add("forecast", "forecast the series of a CSV or Parquet file", lazy("tsfm.commands.forecast")))
    text = "forecast the last windows of a file as if they were still to come, and score them"
    _add_backtest(add("backtest", text, lazy("tsfm.commands.backtest")))
    _add_model_commands(add)
    text = "write a page that compares the results of a store: leaderboards, tests, costs, failures"
    _add_report(add("report", text, lazy("tsfm.commands.report")))
    bench = add("bench", "run a benchmark and write its tables", lazy("tsfm.commands.bench"))
    add_benchmarks(bench, lazy)
    return top


def _add_training(add: Callable[[str, str, Command], argparse.ArgumentParser]) -> None:
    for name, text in (
        ("train", "train a model and score it on the test split"),
        ("eval", "score a trained model or a baseline"),
    ):
        sub = add(name, text, lazy("tsfm.commands.configured"))
        sub.epilog = SETTINGS_HELP
        sub.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
        sub.add_argument("-m", "--multirun", action="store_true", help="a sweep: every combination of listed values")
        _add_sweep(sub)
    sub = add("suite", "run a suite of jobs with a name, or list the suites", lazy("tsfm.commands.suites"))
    sub.add_argument("name", nargs="?", help="such as quick; without a name: the suites and how many jobs can be run")
    sub.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings that replace those of the suite")
    sub.add_argument("--dry-run", action="store_true", help="print the command line of each job, and run none")
    _add_sweep(sub)
    sub = add("results", "print tables of a results store", lazy("tsfm.commands.results"))
    sub.add_argument("folder", nargs="?", default="results", help="of the store (default: results)")
    sub.add_argument("--suite", help="only rows of this suite")
    sub.add_argument("--metric", help="of the tables (default: the main metric of each protocol)")
    sub.add_argument("--where", action="append", default=[], metavar="COLUMN=VALUE[,VALUE]", help="only these rows")
    sub.add_argument("--by", nargs="+", default=["model"], metavar="COLUMN",
                     help="columns of the store that make the columns of the table (default: model)")  # fmt: skip
    sub.add_argument("--failed", action="store_true", help="list the jobs that failed, with their errors")
    sub.add_argument("--out", help="write the rows here, .csv or .parquet")
    sub = add("runs", "list, compare or delete training runs", lazy("tsfm.commands.runs"))
    sub.add_argument("action", nargs="?", default="list", choices=["list", "compare", "delete"])
    sub.add_argument("runs", nargs="*", metavar="RUN", help="directories below the root, or patterns such as 'ltsf/*'")
    sub.add_argument("--root", default="runs", help="folder of the runs (default: runs)")
    sub.add_argument("--where", action="append", default=[], metavar="NAME=VALUE",
                     help="of list: only runs with this setting, such as optim.lr=0.01")  # fmt: skip
    sub.add_argument("--yes", action="store_true", help="of delete: delete, instead of listing what would be deleted")
    sub.add_argument("--out", help="write the table here, .csv or .parquet")
    sub = add("data", "list the data sets on this machine", lazy("tsfm.commands.data_sets"))
    sub.add_argument("names", nargs="*", metavar="NAME", help="say where these sets are, and what they hold")
    sub = add("show", "print the content of a config or a model directory", lazy("tsfm.commands.show"))
    sub.add_argument("overrides", nargs="*", metavar="KEY=VALUE | MODEL_DIR")
    _add_config_dir(sub)
    sub.add_argument("--groups", action="store_true", help="list the config groups and their choices")
    add("models", "list bundled models and the models below runs/", lazy("tsfm.commands.show", "run_models"))


def _add_sweep(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--retry-failed", action="store_true", help="of a sweep: run jobs again that failed before")
    sub.add_argument("--objective", metavar="NAME",
                     help="entry of the result that a sweeper such as Optuna optimizes (default: the validation score "
                     "of a run)")  # fmt: skip
    _add_config_dir(sub)


def _add_config_dir(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--config-dir", help="a folder of your own configs, searched in addition to the built-in ones")


def _add_ingest(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("source", nargs="+", help="files or quoted globs")
    sub.add_argument("--out", required=True, help="folder of the store, for instance data/sales")
    sub.add_argument("--layout", default="auto", choices=["auto", "long", "wide"])
    sub.add_argument("--static", action="append", help="column that labels whole series; repeat for several")
    sub.add_argument("--name")
    sub.add_argument("--overwrite", action="store_true")
    sub.add_argument("--allow-mixed-freq", action="store_true")
    add_read_flags(sub)


def _bound(text: str) -> float | str | None:
    return None if text == "none" else text if text == "auto" else float(text)


def _add_forecast(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("source", help=SOURCE_HELP)
    sub.add_argument("--model", required=True, help="model directory or name, or a baseline such as seasonal_naive")
    sub.add_argument("--horizon", type=int, required=True, help="steps to forecast")
    sub.add_argument("--future", help="file with the known future of covariates")
    sub.add_argument("--covariates", default="auto", metavar="auto | network | ignore",
                     help="auto (default): those with a known future also by a regression on the past, where it helps "
                     "there; network: only as the network itself uses them; ignore: not at all")  # fmt: skip
    sub.add_argument("--effort", default="auto", metavar="fast | auto | best",
                     help="fast: a single pass of the network; auto (default): also what costs little; best: a "
                     "back-test on the file weighs the network and simpler members")  # fmt: skip
    sub.add_argument("--lower", type=_bound, default="auto", metavar="NUMBER | none",
                     help="lowest possible value (default: 0 for items without a negative value)")  # fmt: skip
    sub.add_argument("--upper", type=_bound, metavar="NUMBER", help="highest possible value (default: none)")
    sub.add_argument("--quantile-levels", type=float, nargs="+", metavar="LEVEL",
                     help="quantile levels in (0, 1) (default: the model's own)")  # fmt: skip
    sub.add_argument("--out", help="write the forecast here, .csv or .parquet (default: print the first rows)")
    sub.add_argument("--plot", help="draw the first series and its forecast into this PNG")
    sub.add_argument("--holdout", action="store_true",
                     help="hide the last HORIZON steps, forecast them, print MASE next to seasonal naive")  # fmt: skip
    add_read_flags(sub)


def _add_backtest(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("source", help=SOURCE_HELP)
    sub.add_argument("--model", action="append", metavar="NAME",
                     help="model name or directory, or baseline; repeat for several (default: tsfm-small)")  # fmt: skip
    sub.add_argument("--horizon", type=int, required=True, help="steps of each forecast")
    sub.add_argument("--windows", type=int, default=3, help="forecasts of each series (default 3)")
    sub.add_argument("--step", type=int, help="steps from one forecast to the next (default: the horizon)")
    sub.add_argument("--effort", action="append", metavar="fast | auto | best",
                     help="what trained models compute; repeat to compare (default: auto)")  # fmt: skip
    sub.add_argument("--refit", action=argparse.BooleanOptionalAction, default=True,
                     help="whether --effort best is fitted at every cutoff, or once before the first")  # fmt: skip
    sub.add_argument("--known", action="append", default=[], metavar="COLUMN",
                     help="covariate whose future is known; repeat for several")  # fmt: skip
    sub.add_argument("--covariates", default="auto", metavar="auto | network | ignore", help="as of tsfm forecast")
    sub.add_argument("--interval", type=float, action="append", metavar="PERCENT",
                     help="central interval; repeat for several (default: 80 and 95)")  # fmt: skip
    sub.add_argument("--lower", type=_bound, default="auto", metavar="NUMBER | none", help="as of tsfm forecast")
    sub.add_argument("--upper", type=_bound, metavar="NUMBER", help="as of tsfm forecast")
    sub.add_argument("--by", choices=["item", "target", "cutoff", "step"], help="also print the scores of each")
    sub.add_argument("--style", default="chronos", metavar="chronos | nixtla", help="names of the columns of --out")
    sub.add_argument("--out", help="write the forecasts here, .csv or .parquet")
    sub.add_argument("--scores", help="write the table of scores here, .csv or .parquet")
    sub.add_argument("--plot", help="draw the forecasts of the first series into this PNG")
    add_read_flags(sub)


def _add_report(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("results", nargs="?", default="results", help="folder of the results store (default results)")
    sub.add_argument("--out", help="the file to write (default report.html, or report.md)")
    sub.add_argument(
        "--format", dest="form", choices=["html", "md"], help="default: md if --out ends in .md, else html"
    )
    sub.add_argument("--published", action="append", default=[], metavar="FILE.csv",
                     help="published numbers, with the columns protocol, data, metric, model, value, source and, where "
                     "they apply, subset and horizon; repeat for several")  # fmt: skip
    sub.add_argument(
        "--anchors", metavar="DIR", help="folder of tables such as ltsf_published.csv (default: TSFM_ANCHORS)"
    )
    sub.add_argument("--metric", action="append", default=[], metavar="NAME",
                     help="rank by it; repeat for several (default: the usual ones of each protocol)")  # fmt: skip
    sub.add_argument("--pictures", type=int, default=1, metavar="N",
                     help="data sets of each suite that forecasts are drawn for (default 1; 0: none)")  # fmt: skip
    sub.add_argument("--title", default="Results", help="the first heading (default Results)")


def _add_model_commands(add: Callable[[str, str, Command], argparse.ArgumentParser]) -> None:
    """Add the commands of trained models, which share most options."""
    run = lazy("tsfm.commands.verbs")
    sub = _add_model_options(add("impute", "fill the missing values of the series of a file", run))
    sub.add_argument("--quantile-levels", type=float, nargs="+", metavar="LEVEL",
                     help="also write these quantiles, levels in (0, 1)")  # fmt: skip
    sub.add_argument("--fill-gaps", action="store_true", help="add rows for timestamps that the file does not contain")
    sub = _add_model_options(add("detect", "score every row of a file, and flag anomalous ones", run))
    sub.add_argument("--level", type=float, default=0.99, help="share of clean rows not to be flagged (default 0.99)")
    sub.add_argument("--calibration", default="0.3", metavar="SHARE | STEPS | FILE",
                     help="what is clean: the first share or steps of each item, or a file (default 0.3)")  # fmt: skip
    sub.add_argument("--score", choices=["pinball", "residual", "tail"], help="(default: as trained, else pinball)")
    sub.add_argument("--plot", help="draw the first series and their scores into this PNG")
    sub = _add_model_options(add("embed", "turn every series of a file into a vector", run))
    sub.add_argument("--pool", default="mean", choices=["mean", "last", "max"], help="over time (default mean)")
    sub.add_argument("--layer", type=int, default=-1, help="0: the embedding; -1 (default): the end of the backbone")
    _add_model_options(add("classify", "predict the class, or the number, of every series of a file", run))


def _add_model_options(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
    sub.add_argument("source", help=SOURCE_HELP)
    sub.add_argument("--model", required=True, help="model directory or name")
    sub.add_argument("--out", help="write the table here, .csv or .parquet (default: print the first rows)")
    add_read_flags(sub)
    return sub
