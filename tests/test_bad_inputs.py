"""Every bad input gets a short message that names what was found and what to do, and leaves nothing half-written.

The table stands in tests/bad_inputs/; `python scripts/bad_inputs.py` prints it with the messages.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bad_inputs import CASES
from tests.bad_inputs.desk import Case, act, contents, furnish, spread

NEXT_STEP = re.compile(r"; |did you mean|known: |expected |it must be|invalid int value|Try |write settings as")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    desk = tmp_path_factory.mktemp("template")
    furnish(desk)
    return desk


def test_every_case_has_its_own_name() -> None:
    assert len(CASES) >= 100
    assert len({(theme, case.name) for theme, case in CASES}) == len(CASES)


@pytest.mark.parametrize(("theme", "case"), CASES, ids=[f"{theme}: {case.name}" for theme, case in CASES])
def test_a_bad_input_is_named_and_leaves_nothing(
    theme: str, case: Case, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = tmp_path / "desk"
    spread(case, template, desk, monkeypatch)
    before = contents(desk)
    seen = act(case)
    monkeypatch.undo()
    assert seen.strange is None, f"a traceback for the user: {seen.strange!r}"
    assert seen.failed == (case.works is None), seen.message
    assert [word for word in case.words if word not in seen.message] == [], seen.message
    assert "Traceback" not in seen.stderr
    if case.works is None:
        assert len(seen.message) < 700
        assert seen.message.count("\n") < 4
        assert "site-packages" not in seen.message
        assert "[Errno" not in seen.message or not case.command.startswith("tsfm ")
        assert NEXT_STEP.search(seen.message), seen.message
    else:
        monkeypatch.chdir(desk)
        assert case.works()
    after = contents(desk)
    assert [name for name, data in before.items() if after.get(name, b"gone") != data] == []
    new = [name for name in after if name not in before and Path(name).parts[0] not in case.leaves]
    assert new == []
    assert [name for name in after if re.search(r"(^|/)\.[^/]*$", name)] == [], "a draft was left"
