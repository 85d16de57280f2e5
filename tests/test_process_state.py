"""Importing and calling tsfm changes nothing for the rest of the process; `set_threads` does what it says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import tsfm
from tests.conftest import ROOT
from tsfm import threads

STATE = """
import os, random, sys, warnings
{first}
def state():
    found = [dict(os.environ), list(sys.argv), list(warnings.filters), random.getstate()]
    if "numpy" in sys.modules:
        found.append(repr(sys.modules["numpy"].random.get_state()))
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        found += [torch.get_rng_state().tolist(), torch.get_num_threads(), torch.get_default_dtype()]
    return found
before = state()
{then}
assert state()[:len(before)] == before, "changed"
"""
HEAVY = "import numpy, pandas, torch, pytorch_lightning, hydra, sklearn"  # whose own imports add filters of warnings


def run(code: str, **environment: str) -> None:
    names = {name: value for name, value in os.environ.items() if name not in threads.WAITING}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=names | environment)
    assert done.returncode == 0, done.stderr


def test_importing_tsfm_changes_nothing() -> None:
    run(STATE.format(first="", then="import tsfm"))


def test_importing_every_public_name_changes_nothing() -> None:
    run(STATE.format(first=HEAVY, then="from tsfm import *"))


def test_threads_wait_as_set_before_torch_is_imported() -> None:
    code = "import os, tsfm; tsfm.set_threads(1, spin_count=7); import torch\n"
    code += "assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE' and os.environ['GOMP_SPINCOUNT'] == '7'\n"
    run(code + "assert torch.get_num_threads() == 1", OMP_NUM_THREADS="2")


def test_the_environment_of_the_user_wins() -> None:
    code = "import os, tsfm; tsfm.set_threads(); assert os.environ['OMP_WAIT_POLICY'] == 'ACTIVE'\n"
    run(code + "assert 'GOMP_SPINCOUNT' not in os.environ", OMP_WAIT_POLICY="ACTIVE")


def test_the_command_line_sets_how_threads_wait() -> None:
    code = "import os\nfrom tsfm.commands.cli import main\n"
    code += "main('forecast no.csv --model tsfm-small --horizon 1'.split())\n"
    run(code + "assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'")


def test_setting_threads_after_torch_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    number = torch.get_num_threads()
    monkeypatch.setattr(os, "environ", {})
    with pytest.warns(RuntimeWarning, match="torch is imported already"):
        tsfm.set_threads(number)
    assert torch.get_num_threads() == number
    assert os.environ == {}


@pytest.mark.parametrize(
    ("arguments", "message"), [({"num_threads": 0}, "at least 1"), ({"spin_count": -1}, "at least 0")]
)
def test_impossible_numbers_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tsfm.set_threads(**arguments)
