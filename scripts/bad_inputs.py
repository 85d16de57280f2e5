"""Print the table of bad inputs with the message each gets, as Markdown: the cases of tests/bad_inputs, run once.

python scripts/bad_inputs.py > bad_inputs.md
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.bad_inputs import CASES  # noqa: E402
from tests.bad_inputs.desk import TINY, Case, act, furnish, spread  # noqa: E402


def message(case: Case, template: Path, desk: Path) -> str:
    """What the user reads, on one line and without the place of the desk."""
    with pytest.MonkeyPatch.context() as patch:
        spread(case, template, desk, patch)
        seen = act(case)
    if seen.strange is not None or seen.failed != (case.works is None):
        sys.exit(f"{case.name}: not as expected, {seen}")
    text = seen.message.replace(f"{desk}{os.sep}", "").replace(f"{desk.resolve()}{os.sep}", "")
    if case.works is not None:  # of all that was said, the lines that the case is about
        lines = [line for line in text.splitlines() if any(word in line for word in case.words)]
        text = " / ".join([line for line in lines if not line.startswith("RESULT")] or lines)
    return " ".join(text.split())[:400]


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template"
        template.mkdir()
        furnish(template)
        print(f"`...` stands for `{TINY}`, a small model on the store `store`; (fine) marks odd inputs that work.\n")
        print("| | input | what was done | message |\n|---|---|---|---|")
        for number, (theme, case) in enumerate(CASES, start=1):
            said = message(case, template, Path(folder) / f"desk{number}")
            fine = " (fine)" if case.works is not None else ""
            print(f"| {number} | {theme}: {cell(case.name)}{fine} | `{cell(case.command)}` | {cell(said)} |")


if __name__ == "__main__":
    main()
