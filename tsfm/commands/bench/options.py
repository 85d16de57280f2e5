"""The options of `tsfm bench NAME`. Nothing of tsfm is imported here, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

GIFT_MODELS = ["FlowState-9.1M", "Toto-2.0-4m", "Kairos_10m", "TempoPFN", "chronos_bolt_small"]
CYCLES = [1.1, 1.3, 1.6, 1.9, 2.5]
WALK_STEPS = [10, 100, 736, 2000]
LONG_SETS = ["etth1", "etth2", "ettm1", "ettm2"]
LONG_HORIZONS = [96, 192, 336, 720]
ONLINE_SETS = ["etth2", "ettm1"]
ONLINE_HORIZONS = [1, 24, 48]
IMPUTATION_SETS = ["etth1", "etth2", "ettm1", "ettm2", "weather"]
MASKS = ["blocks", "hybrid"]
RATES = [0.125, 0.25, 0.375, 0.5]
ANOMALY_SETS = ["tsb_ad_u", "nab_part", "tsb_ad_m", "skab", "nab", "ucr_anomaly"]

GIFT = """GIFT-Eval scores of forecasters next to the published ones, over the configurations whose data is here.

  tsfm bench gift tsfm-small tsfm-mini --out runs/gift
  tsfm bench gift runs/mine/model seasonal_naive --out runs/gift --published ../shared/anchors
  tsfm bench gift runs/mine/model --out runs/gift --configs us_births/D/short saugeen/D/short

Writes gift.md, gift_means.csv (geometric means of MASE and CRPS relative to seasonal naive) and gift_configs.csv.
--published is a folder with gift_eval_per_config.csv (and gift_eval_models.csv for the sizes); its means are over
exactly the configurations that were scored, and a model that lacks one of them is left out."""

SUITE = """Forecasters next to the seasonal naive on every data set of a role: on which are MASE and WQL better?

  tsfm bench suite tsfm-small --out runs/suite
  tsfm bench suite a/model b/model --role corpus --out runs/suite
  tsfm bench suite tsfm-mini --sets us_births m3_monthly --out runs/suite

Writes suite.md (the share of sets where both are better, the sets where not, every set) and suite.csv. The sets and
their roles are those of forecasting/manifest.json in a data root (TSFM_DATA). Of a large set a fixed part is drawn
(--series, --windows, --seed). For benchmark sets, `seen` is the number of series that the training data of a model
contain, as far as its sketch shows, and there are means over the sets without any, too."""

SHORT = """Short histories next to the seasonal naive: MAE by number of cycles of the season in the past.

  tsfm bench short tsfm-small seasonal_naive --out runs/short
  tsfm bench short runs/mine/model --sets pjm_hourly taylor_30min --cycles 1.5 3 --out runs/short

The held-out ends of ten corpus sets with a clear season, hourly to quarterly (--sets names others). The season is the
usual one of the frequency: a day for hours, a week for days, a year for weeks and longer. The last 1.1 to 2.5 cycles
before a window are the past that a predictor gets; the windows are the same for every number of cycles. Windows with
missing steps in the shortest past are left out and counted. Writes short.md (geometric means over sets, and every set)
and short.csv."""

INTERVALS = """Coverage of central intervals on the held-out ends of corpus sets, and their width for random walks.

  tsfm bench intervals tsfm-small seasonal_naive --out runs/intervals
  tsfm bench intervals runs/mine/model --sets pjm_hourly crypto_30min --walk-steps 10 100 --out runs/intervals

Nominal coverages of 50, 80, 90, 95 and 98 %, at the start, in the middle and at the end of the horizon (a third each).
An interval beyond the quantile levels of a predictor is left out, and the table says so. The width of the 80 % interval
of 64 random walks with 1,000 past steps is compared with the true one. Writes intervals.md, intervals.csv (every set)
and random_walk.csv."""

LONGHORIZON = """Long-horizon forecasting, zero-shot: MSE and MAE over every window of the standardized test part.

  tsfm bench longhorizon tsfm-small --context 512 --out runs/long
  tsfm bench longhorizon runs/mine/model --context 1024 --one-pass --bf16 --out runs/long
  tsfm bench longhorizon seasonal_naive --sets etth1 --horizons 96 720 --context 336 --out runs/long

Each horizon is forecast separately, as `tsfm eval data=etth1 horizon=96` does. With --one-pass each window is forecast
once, over the longest horizon, and its first steps are scored at the shorter ones: the same windows in less than half
the time, and the same scores for a predictor whose first steps do not depend on the horizon. Writes long.md, and
long.csv after every set."""

ONLINE = """Online forecasting: members weighted step by step along a series, with delayed and immediate feedback.

  tsfm bench online tsfm-mini tsfm-mini-inverted --out runs/online
  tsfm bench online tsfm-mini seasonal_naive --sets etth2 --horizons 24 --context 512 --out runs/online
  tsfm bench online tsfm-mini tsfm-mini-inverted --sets etth2 --horizons 24 --adapt-rate 1e-4 --out runs/online

The predictors are the members. Split, standardization and windows are those of FSNet and OneNet (arXiv:2309.12659): the
first 20 months of ETT, forecasts at every step of the last 15. The published values have immediate feedback, which
learns from a forecast before its steps have happened; delayed feedback waits for them. With --adapt-rate a copy of the
first member adapts its head at every step, which takes a gradient for each. Writes online.md, and online.csv after
every set."""

IMPUTATION = """Imputation, zero-shot, next to TSPulse and linear interpolation: MSE of standardized data.

  tsfm bench imputation tsfm-small --out runs/imputation
  tsfm bench imputation tsfm-small runs/mine/model --stride 16 --bf16 --out runs/imputation
  tsfm bench imputation seasonal_fill --sets etth1 ettm1 --out runs/imputation

The protocol of `tsfm eval data=etth1 bench=imputation context=512` (TSPulse, arXiv:2505.13033): windows of 512 steps of
the test part, also for a model with a longer window; blocks of 8 steps, or half of the hidden steps in blocks and half
single, at four rates. With --stride k only every k-th window is scored, and the tables say so; published values are
over all windows. Writes imputation.md, and imputation.csv after every set."""

ANOMALY = """Anomaly detectors next to the published VUS-PR of TSB-AD on the same files, as a Markdown table.

  tsfm bench anomaly --out runs/anomaly                                     every baseline, every set: 10 minutes
  tsfm bench anomaly --methods sub_pca iforest --data tsb_ad_u nab_part --out runs/anomaly
  tsfm bench anomaly --methods tsfm:patch_transformer --data tsb_ad_u nab --out runs/anomaly
  tsfm bench anomaly --methods zero:tsfm-small --data tsb_ad_m --set combine=max --out runs/anomaly

A method is a baseline, `tsfm:<backbone or model>` (tsfm.Detector, fitted to the train part of each series) or
`zero:<model>` (a trained model that learns nothing of the series; --set score=... combine=...), which is compared with
TSPulse zero-shot. The sets: tsb_ad_u (27 files of TSB-AD-U), nab_part (the NAB files among them), nab (all 54 files of
Numenta), tsb_ad_m (32 files of TSB-AD-M), skab, ucr_anomaly. Without --methods, tsb_ad_m is scored only by methods that
have published results there. Finished files are kept in OUT/anomaly.json and not scored again; delete it after a
detector has changed."""

CASES = """Classifiers and regressors on the data sets of the archives, next to published values of the same split.

  tsfm bench cases minirocket nn_euclidean nn_dtw --sets thirty --out runs/cases
  tsfm bench cases classify/mine --sets GunPoint Coffee --out runs/cases --set trainer.max_epochs=50
  tsfm bench cases probe:tsfm-small --sets ucr --out runs/cases

A learner is a baseline, with settings where needed (nn_dtw:learn=true), an experiment, which is trained by `tsfm train`
on each set, or `probe:<model>`: a linear model on features of the frozen network. One JSON file per learner and set is
kept in OUT; what is there is not run again, and refused where it was scored by other settings."""


def add_benchmarks(parser: argparse.ArgumentParser, lazy: Callable[[str], Callable]) -> None:
    """Add a subcommand for each benchmark; `lazy` turns a module's name into the function that runs it."""
    subparsers = parser.add_subparsers(dest="bench", metavar="NAME", required=True)
    for name, description, add_options in (
        ("gift", GIFT, _gift),
        ("suite", SUITE, _suite),
        ("short", SHORT, _short),
        ("intervals", INTERVALS, _intervals),
        ("longhorizon", LONGHORIZON, _longhorizon),
        ("online", ONLINE, _online),
        ("imputation", IMPUTATION, _imputation),
        ("anomaly", ANOMALY, _anomaly),
        ("cases", CASES, _cases),
    ):
        summary = description.split("\n\n")[0].replace("\n", " ")
        raw = argparse.RawDescriptionHelpFormatter
        subparser = subparsers.add_parser(name, help=summary, description=description, formatter_class=raw)
        subparser.set_defaults(run=lazy(f"tsfm.commands.bench.{name}"))
        add_options(subparser)


def _predictors(parser: argparse.ArgumentParser, *, batch: int, unit: str) -> None:
    parser.add_argument("predictors", nargs="+", help="bundled models, model directories, baselines; A+B: their mean")
    parser.add_argument("--batch-size", type=int, default=batch, help=f"{unit} at a time (default {batch})")
    parser.add_argument("--device", default="auto", help="of trained models: cpu, cuda, ... (default: a GPU if any)")
    parser.add_argument("--bf16", action="store_true", help="trained models compute in bfloat16")
    parser.add_argument("--flip", action="store_true", help="average with the prediction for the mirrored series")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    _zero_shot(parser)


def _zero_shot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--zero-shot", action="store_true",
                        help="refuse models that have seen the data, or for which that is unknown")  # fmt: skip


def _effort(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--effort", choices=["auto", "best"], default="auto",
                        help="best: trained models are weighed with simpler members, by a back-test before the "
                        "first window (default: the single pass of the model)")  # fmt: skip


def _gift(parser: argparse.ArgumentParser) -> None:
    _predictors(parser, batch=256, unit="series")
    parser.add_argument("--published", type=Path, help="folder that holds gift_eval_per_config.csv")
    parser.add_argument("--compare", nargs="*", default=GIFT_MODELS, metavar="MODEL",
                        help="published models shown for each configuration")  # fmt: skip
    parser.add_argument("--configs", nargs="+", metavar="CONFIG", help="such as ett1/H/short (default: all)")
    parser.add_argument("--context", type=int, help="past steps shown (default: what the predictor takes)")
    parser.add_argument("--multivariate", action="store_true", help="all variates of a set in one input")
    _effort(parser)


def _suite(parser: argparse.ArgumentParser) -> None:
    _predictors(parser, batch=256, unit="series")
    parser.add_argument("--role", choices=["benchmark", "corpus"], default="benchmark",
                        help="corpus: the held-out ends of the corpus sets (default: benchmark)")  # fmt: skip
    parser.add_argument("--sets", nargs="+", metavar="SET", help="file names without ending (default: all of the role)")
    _effort(parser)
    _limits(
        parser, series="benchmark 512, corpus 64", windows="benchmark 1024, corpus 64", each="benchmark 20, corpus 1"
    )


def _limits(parser: argparse.ArgumentParser, *, series: str, windows: str, each: str) -> None:
    parser.add_argument("--series", type=int, help=f"most series of a set ({series})")
    parser.add_argument("--windows", type=int, help=f"most windows of a set ({windows})")
    parser.add_argument("--each", type=int, help=f"most windows of a series ({each})")
    parser.add_argument("--seed", type=int, help="of what is drawn (default 0)")


def _short(parser: argparse.ArgumentParser) -> None:
    _predictors(parser, batch=256, unit="series")
    parser.add_argument("--sets", nargs="+", metavar="SET",
                        help="corpus sets; others: all but the default (ten with a clear season)")  # fmt: skip
    parser.add_argument("--single-pass", action="store_true", help="trained models do not extend short pasts")
    parser.add_argument("--cycles", nargs="+", type=float, default=CYCLES, metavar="NUMBER",
                        help="cycles of the season in the past, above 1 (default 1.1 1.3 1.6 1.9 2.5)")  # fmt: skip
    _limits(parser, series="default 64", windows="default 64", each="default 8")


def _intervals(parser: argparse.ArgumentParser) -> None:
    _predictors(parser, batch=256, unit="series")
    parser.add_argument("--sets", nargs="+", metavar="SET", help="corpus sets (default: all)")
    _effort(parser)
    parser.add_argument("--walk-steps", nargs="+", type=int, default=WALK_STEPS, metavar="STEPS",
                        help="steps ahead at which random walks are compared (default 10 100 736 2000)")  # fmt: skip
    _limits(parser, series="default 64", windows="default 64", each="default 1")


def _longhorizon(parser: argparse.ArgumentParser) -> None:
    _predictors(parser, batch=64, unit="windows, of all channels,")
    parser.add_argument("--sets", nargs="+", default=LONG_SETS, metavar="SET", help="names of conf/data")
    parser.add_argument("--horizons", nargs="+", type=int, default=LONG_HORIZONS, metavar="STEPS")
    parser.add_argument("--context", type=int, default=512, help="past steps shown (default 512)")
    parser.add_argument("--one-pass", action="store_true", help="each window once, over the longest horizon")


def _online(parser: argparse.ArgumentParser) -> None:
    _predictors(parser, batch=64, unit="origins")
    parser.add_argument("--sets", nargs="+", default=ONLINE_SETS, metavar="SET", help="as in data=SET, of one item")
    parser.add_argument("--horizons", type=int, nargs="+", default=ONLINE_HORIZONS, metavar="STEPS")
    parser.add_argument("--context", type=int, default=256, help="past steps of the members (default 256)")
    parser.add_argument("--memory", type=float, default=50.0,
                        help="forecasts that the short-term weights look back over (default 50)")  # fmt: skip
    parser.add_argument("--adapt-rate", type=float, metavar="RATE",
                        help="also adapt the head of the first member, at this learning rate")  # fmt: skip


def _imputation(parser: argparse.ArgumentParser) -> None:
    _predictors(parser, batch=64, unit="windows, of all channels,")
    parser.add_argument("--sets", nargs="+", default=IMPUTATION_SETS, metavar="SET", help="names of conf/data")
    parser.add_argument("--masks", nargs="+", default=MASKS, choices=["points", *MASKS])
    parser.add_argument("--rates", nargs="+", type=float, default=RATES, help="shares of hidden steps")
    parser.add_argument("--context", type=int, default=512, help="steps of a window (default 512)")
    parser.add_argument("--stride", type=int, default=1, help="steps between windows (default 1: all windows)")
    parser.add_argument("--alone", action="store_true", help="each channel alone, without cross-channel correction")
    parser.add_argument("--published", type=Path, default=_anchors() / "imputation_published.csv")


def _anomaly(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="detectors by name (default: all baselines)")
    parser.add_argument("--data", nargs="+", default=ANOMALY_SETS, choices=ANOMALY_SETS, metavar="SET")
    parser.add_argument("--limit", type=int, help="only the first LIMIT files of each set")
    parser.add_argument("--seeds", type=int, default=1, help="run the random methods with the seeds 0 to SEEDS - 1")
    parser.add_argument("--every", action="store_true", help="every metric, not only VUS and AUC; see anomaly.json")
    parser.add_argument("--set", nargs="*", default=[], dest="overrides", metavar="KEY=VALUE",
                        help="settings of tsfm:... and zero:...")  # fmt: skip
    parser.add_argument("--files", action="store_true", help="print the score of each file, too")
    parser.add_argument("--published", type=Path, default=_anchors() / "anomaly_published.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/anomaly"), help="folder of anomaly.json")
    _zero_shot(parser)


def _cases(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("learners", nargs="+", help="baselines (name or name:key=value,...), experiments, probe:MODEL")
    parser.add_argument("--sets", nargs="+", default=["thirty"], metavar="SET",
                        help="thirty (a fixed choice of UCR sets), ucr, all, or names")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, one JSON file each")
    parser.add_argument("--anchors", type=Path,
                        help="folder with classification_published.csv (default: next to the data)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], dest="overrides", metavar="KEY=VALUE",
                        help="settings of experiments")  # fmt: skip
    _zero_shot(parser)


def _anchors() -> Path:
    """Return the folder of published numbers next to the data."""
    return Path(os.environ.get("TSFM_DATA", "data")).parent / "anchors"
