"""Add digests to the config.json of models that were saved before version 0.2, so that damage to them is noticed.

    python scripts/add_digests.py              # the models of the package
    python scripts/add_digests.py DIR ...      # other model directories

Only config.json changes: it gets the entry `digest`. The weights, the card and all other entries stay as they are. A
model whose digests are there already is checked and left alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tsfm.files import write_text
from tsfm.model.checkpoint import bundled, load
from tsfm.model.config_file import CONFIG, DIGEST, WEIGHTS, weights_dir, with_digest


def add_digest(path: Path) -> bool:
    """Add the digests to a model that can be loaded; False if it has them."""
    load(path)
    file = path / CONFIG
    config = json.loads(file.read_text(encoding="utf-8"))
    if DIGEST in config:
        return False
    write_text(file, json.dumps(with_digest(config, path / WEIGHTS), indent=2) + "\n")
    load(path)
    return True


def main(arguments: list[str] | None = None) -> None:
    """Add the digests, and print what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, help="model directories; default: those of the package")
    models = parser.parse_args(arguments).models or [weights_dir() / name for name in bundled()]
    for path in models:
        print(f"{path.name}: {'digest added' if add_digest(path) else 'has its digest'}")


if __name__ == "__main__":
    main()
