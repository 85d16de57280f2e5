"""Print a Markdown table of bad inputs and their messages: the cases of tests/bad_inputs, run once.

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
from tests.bad_inputs.workspace import TINY, Case, enter_workspace, fill_template, run_case  # noqa: E402


def message(case: Case, template: Path, workspace: Path) -> str:
    """Return what the user reads, on one line and without the path of the workspace."""
    with pytest.MonkeyPatch.context() as patch:
        enter_workspace(case, template, workspace, patch)
        outcome = run_case(case)
    if outcome.unexpected is not None or outcome.failed != (case.works is None):
        sys.exit(f"{case.name}: not as expected, {outcome}")
    text = outcome.message.replace(f"{workspace}{os.sep}", "").replace(f"{workspace.resolve()}{os.sep}", "")
    if case.works is not None:  # of all that was printed, the lines that the case is about
        lines = [line for line in text.splitlines() if any(phrase in line for phrase in case.phrases)]
        text = " / ".join([line for line in lines if not line.startswith("RESULT")] or lines)
    return " ".join(text.split())[:400]


def cell(text: str) -> str:
    """Return text as a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template"
        template.mkdir()
        fill_template(template)
        print(
            f"`...` stands for `{TINY}`, a small model on the store `store`; (works) marks unusual inputs that work.\n"
        )
        print("| | input | command | message |\n|---|---|---|---|")
        for number, (theme, case) in enumerate(CASES, start=1):
            text = message(case, template, Path(folder) / f"workspace{number}")
            works = " (works)" if case.works is not None else ""
            print(f"| {number} | {theme}: {cell(case.name)}{works} | `{cell(case.command)}` | {cell(text)} |")


if __name__ == "__main__":
    main()
