"""Add digests to the config.json of models that were saved before version 0.2, so that damage to them is noticed.

    python scripts/add_digests.py              # the models of the package
    python scripts/add_digests.py DIR ...      # other model directories

config.json gets the entry `digest`, and the metadata at the start of the card are written as today; the weights and all
other entries stay as they are. A model whose digests are there already is checked, and only its card may change.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from tsfm.files import write_text
from tsfm.model.card import About
from tsfm.model.checkpoint import CARD, bundled, load
from tsfm.model.config_file import CONFIG, DIGEST, WEIGHTS, weights_dir, with_digest
from tsfm.model.front_matter import front_matter, replace_front_matter


def update_card(path: Path, about: About) -> None:
    """Write the metadata of the card again; the licence stays."""
    file = path / CARD
    card = file.read_text(encoding="utf-8")
    licence = re.search(r"\A---\nlicense: (\S+)$", card, re.MULTILINE)
    write_text(file, replace_front_matter(card, front_matter(about, licence=licence[1] if licence else "unknown")))


def add_digest(path: Path) -> bool:
    """Add the digests to a model that can be loaded; False if it has them."""
    update_card(path, load(path)[1])
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
