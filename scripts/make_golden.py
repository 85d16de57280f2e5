"""Write the golden checkpoints and their forecasts (tests/golden/), which every later version must reproduce.

Run it only when forecasts are meant to change, and say why in the commit.

    python scripts/make_golden.py            # adds missing ones
    python scripts/make_golden.py --all      # writes all again
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.golden.test_golden import CASES, FOLDER, forecasts  # noqa: E402
from tests.tiny import tiny  # noqa: E402
from tsfm.infer.load import load  # noqa: E402
from tsfm.model.checkpoint import About, save  # noqa: E402


def main() -> None:
    """Write the checkpoints of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--all", action="store_true", help="write the existing ones again, too")
    write_all = parser.parse_args().all
    for name, (backbone, kind, scaler) in CASES.items():
        folder = FOLDER / name
        if folder.exists() and not write_all:
            continue
        save(tiny(backbone, kind, scaler=scaler), folder, about=About(command="scripts/make_golden.py"))
        (folder / "forecasts.json").write_text(json.dumps(forecasts(load(folder)), indent=1) + "\n")
        print("wrote", folder.relative_to(ROOT))


if __name__ == "__main__":
    main()
