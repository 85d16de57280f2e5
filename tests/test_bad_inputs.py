"""Every bad input gets a short message that names what was found and what to do, and leaves nothing half-written.

The table of cases is in tests/bad_inputs/; `python scripts/bad_inputs.py` prints it with the messages.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bad_inputs import CASES
from tests.bad_inputs.workspace import Case, enter_workspace, files_of, fill_template, run_case

NEXT_STEP = re.compile(r"; |did you mean|known: |expected |it must be|invalid int value|Try |write settings as")
PYTHON_ARGUMENT = re.compile(
    r"(?<![\w.-])(prediction_length|quantile_levels|id_column|timestamp_column|(future_)?df|overwrite|allow_mixed_freq)(?!\w)"
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    fill_template(folder)
    return folder


def test_every_case_has_its_own_name() -> None:
    assert len(CASES) >= 100
    assert len({(theme, case.name) for theme, case in CASES}) == len(CASES)


@pytest.mark.parametrize(("theme", "case"), CASES, ids=[f"{theme}: {case.name}" for theme, case in CASES])
def test_a_bad_input_is_named_and_leaves_nothing(
    theme: str, case: Case, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / "workspace"
    enter_workspace(case, template, workspace, monkeypatch)
    before = files_of(workspace)
    outcome = run_case(case)
    monkeypatch.undo()
    assert outcome.unexpected is None, f"a traceback for the user: {outcome.unexpected!r}"
    assert outcome.failed == (case.works is None), outcome.message
    assert [phrase for phrase in case.phrases if phrase not in outcome.message] == [], outcome.message
    assert "Traceback" not in outcome.stderr
    if case.works is None:
        check_message(outcome.message, is_command=case.command.startswith("tsfm "))
    else:
        monkeypatch.chdir(workspace)
        assert case.works()
    after = files_of(workspace)
    assert [name for name, data in before.items() if after.get(name, b"removed") != data] == []
    assert [name for name in after if name not in before and Path(name).parts[0] not in case.may_create] == []
    hidden = [name for name in after if re.search(r"(^|/)\.[^/]*$", name)]
    assert set(hidden) <= {"results/.sweeps", "results/.drafts"}, "a draft was left"  # folders of a results store


def check_message(message: str, *, is_command: bool) -> None:
    """Check that an error message is short, without internals, and says what to do next."""
    assert len(message) < 700
    assert message.count("\n") < 4
    assert "site-packages" not in message
    assert NEXT_STEP.search(message), message
    if is_command:
        assert "[Errno" not in message
        assert not PYTHON_ARGUMENT.search(message), message
