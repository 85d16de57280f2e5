"""One slot on a machine with a GPU: checks, measurements, then pre-training for the rest of the time.

    python scripts/gpu_slot.py --out OUT --init MODEL_DIR [KEY=VALUE ...]
    python scripts/gpu_slot.py --out OUT --dry-run        # everything on a CPU, with tiny sizes

Each section has a limit of seconds and keeps OUT/SECTION.json up to date, also when it fails. `pretrain` has what is
left of --seconds and keeps the newest weights in OUT/weights. KEY=VALUE are settings for `tsfm train`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from gpu.section import Section, Slot, run_section  # noqa: E402

FINISH_SECONDS = 15  # for writing and leaving
LIMITS = {"parity": 100.0, "scans": 80.0, "speed": 100.0}  # seconds


def sections() -> dict[str, Section]:
    """Return the sections in their order."""
    from gpu import parity, pretraining, scans, speed

    return {
        "parity": parity.measure,
        "scans": scans.measure,
        "speed": speed.measure,
        "pretrain": pretraining.measure,
    }


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--init", type=Path, help="model directory with the weights that pre-training starts from")
    parser.add_argument("--seconds", type=float, default=540.0, help="for everything")
    parser.add_argument("--corpus", type=Path, default=Path("carry/corpus.parquet"), help="made by gpu_carry.sh")
    parser.add_argument("--only", nargs="+", choices=[*LIMITS, "pretrain"], default=[*LIMITS, "pretrain"])
    parser.add_argument("--dry-run", action="store_true", help="on a CPU, with tiny sizes")
    parser.add_argument("settings", nargs="*", help="KEY=VALUE for `tsfm train experiment=pretrain/small`")
    return parser.parse_args()


def main() -> int:
    """Run the sections, and return 1 if one failed."""
    args = arguments()
    end = time.monotonic() + args.seconds - FINISH_SECONDS
    args.out.mkdir(parents=True, exist_ok=True)
    slot = Slot(
        out=args.out.resolve(),
        device="cpu" if args.dry_run else "cuda",
        dry_run=args.dry_run,
        init=args.init.resolve() if args.init else None,
        corpus=args.corpus.resolve(),
        settings=tuple(args.settings),
    )
    failed = []
    for name, measure in sections().items():
        if name in args.only:
            limit = min(end, time.monotonic() + LIMITS[name]) if name in LIMITS else end
            if not run_section(name, measure, slot, end=limit):
                failed.append(name)
    print(f"results in {args.out}" + (f"; failed: {', '.join(failed)}" if failed else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
