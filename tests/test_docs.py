"""The documentation is true: the site builds, code blocks run, and commands, options, names and files exist."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

import tsfm
from tests.conftest import ROOT
from tests.documentation import PAGES, blocks, commands, inline_code, name_of
from tsfm.commands.cli import parser
from tsfm.config import RunConfig, compose, options, typed
from tsfm.infer.load import bundled
from tsfm.metrics import metric
from tsfm.metrics.metric import discover_metrics
from tsfm.registry import BASELINES, DATA_MODULES, GENERATORS, REGISTRIES, discover_all


def pages_with(*, runs: bool = False) -> list[Any]:
    """The pages with Python blocks, or with blocks that run."""
    pages = [page for page in PAGES if any(block.runs or not runs for block in blocks(page, "python"))]
    return [pytest.param(page, id=name_of(page)) for page in pages]


COMMANDS = [
    pytest.param(command, id=f"{name_of(page)}: {' '.join(command)}") for page in PAGES for command in commands(page)
]
CONFIGURED = {"train": "train", "show": "train", "eval": "eval"}  # command -> the config that its settings change
PLACEHOLDER = re.compile(r"NAME|FILES|[<>*{]|\.\.\.")
EXPERIMENT = re.compile(r"(?:ltsf|pretrain|impute|classify|detect|regress|finetune)/[a-z0-9_]+")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; warnings are errors."""
    for package in ("mkdocs", "material", "mkdocstrings"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; pip install -c constraints.txt -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_the_site_builds_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES) - 2
    for page in pages:
        html = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*\bsrc="(https?:[^"]+)"', html)
        loaded += re.findall(r'<link[^>]*rel="(?:stylesheet|preconnect|icon)"[^>]*href="(https?:[^"]+)"', html)
        assert loaded == [], f"{page.name} loads {loaded}"


def test_the_reference_documents_every_public_name(site: Path) -> None:
    html = (site / "api" / "index.html").read_text(encoding="utf-8")
    public = [name for name in tsfm.__all__ if not name.startswith("_")]
    assert [name for name in public if f'id="tsfm.{name}"' not in html] == []


@pytest.mark.parametrize("page", pages_with(runs=True))
def test_marked_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marked blocks of a page run in order, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "documentation"}
    marked = [block for block in blocks(page, "python") if block.runs]
    assert marked
    for block in marked:
        exec(compile(block.code, name_of(page), "exec"), namespace)


@pytest.mark.parametrize("page", pages_with())
def test_every_block_compiles_and_imports_what_exists(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block.code, name_of(page), "exec")
        for module, names in re.findall(r"^from (tsfm[\w.]*) import (.+)$", block.code, re.MULTILINE):
            missing = [name for name in names.split(", ") if not hasattr(importlib.import_module(module), name)]
            assert missing == [], f"{module} has no {missing}"
        for name in re.findall(r"\btsfm\.(\w+)", block.code):
            assert importlib.util.find_spec(f"tsfm.{name}") or hasattr(tsfm, name), f"tsfm has no {name}"


def test_the_parts_of_the_extension_page_register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Into copies of the registries, so that other tests do not see the parts."""
    discover_all()
    discover_metrics()
    registries = (*REGISTRIES, DATA_MODULES, BASELINES, GENERATORS)
    for registry in registries:
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    before = sum(len(registry._entries) for registry in registries)
    monkeypatch.setattr(metric, "_METRICS", dict(metric._METRICS))
    monkeypatch.setattr(ConfigStore.instance(), "repo", copy.deepcopy(ConfigStore.instance().repo))
    module = types.ModuleType("extension_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    code = "\n".join(block.code for block in blocks(ROOT / "docs" / "extend.md", "python"))
    exec(compile(code, "docs/extend.md", "exec"), vars(module))
    assert sum(len(registry._entries) for registry in registries) > before


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_exist(command: list[str]) -> None:
    """Options and settings of `tsfm`, files and flags of scripts, extras of pip."""
    program, *arguments = command
    if program == "tsfm":
        check_tsfm(arguments)
    elif program in ("python", "bash", "pytest") and arguments[0] != "-c" and "/" in arguments[0]:
        assert (ROOT / arguments[0]).exists(), f"{arguments[0]} does not exist"
        if arguments[0].endswith(".py") and program == "python":
            source = (ROOT / arguments[0]).read_text(encoding="utf-8")
            assert [word for word in arguments if word.startswith("--") and f'"{word}"' not in source] == []
    else:
        check_extras(command)


def check_tsfm(arguments: list[str]) -> None:
    """The command parses, and what it composes is a valid configuration."""
    args = parser().parse_args(arguments)
    command = arguments[0]
    settings = getattr(args, "overrides", [])
    if command not in CONFIGURED or not any("=" in word for word in settings) or args.config_dir:
        return
    if getattr(args, "multirun", False):  # the first combination
        if any(word.startswith("hydra/") for word in settings):  # a plugin that the tests do without
            return
        settings = [word for word in settings if "glob(" not in word and not word.startswith("suite=")]
        settings = [re.sub(r"^([\w./]+=[^\[,]*),.*$", r"\1", word) for word in settings]
    config = typed(compose(CONFIGURED[command], settings))
    if command == "eval":
        assert "/" in config.predictor or config.predictor in [*bundled(), *BASELINES.names()]


def check_extras(command: list[str]) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = re.findall(
        r"^(\w+) = \[", project.split("[project.optional-dependencies]")[1].split("\n\n")[0], re.MULTILINE
    )
    named = [name for word in command for name in re.findall(r"\.\[([\w,]+)\]", word)]
    assert [name for names in named for name in names.split(",") if name not in extras] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_inline_names_exist(page: Path) -> None:
    """Names, files, commands and experiments between backticks."""
    verbs = parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    groups = {registry.entry_points for registry in (*REGISTRIES, DATA_MODULES)}
    experiments = options("experiment")
    for text in inline_code(page):
        if PLACEHOLDER.search(text):
            continue
        if re.fullmatch(r"tsfm(\.\w+)+", text) and text not in groups:
            assert resolves(text), f"{text} does not exist"
        elif re.fullmatch(r"(?:tests|scripts|docs|conf|notebooks|tsfm)/[\w./]+", text):
            assert (ROOT / text).exists(), f"{text} does not exist"
        elif re.match(r"tsfm [a-z]+", text):
            assert text.split()[1] in verbs, f"{text}: no such command"
        for experiment in EXPERIMENT.findall(text) if "://" not in text else []:
            assert experiment in experiments or (ROOT / "conf" / experiment).exists(), f"{experiment} does not exist"


def known_settings() -> dict[str, set[str]]:
    """The settings of each group, over all of its choices."""
    discover_all()
    init = RunConfig().init
    settings = {"init": {*init, *init["lora"]}}
    for group in RunConfig.__dataclass_fields__:
        for choice in ConfigStore.instance().repo.get(group, {}).values():
            settings.setdefault(group, set()).update(str(key) for key in choice.node)
    return settings


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_inline_settings_exist(page: Path) -> None:
    """`data.known=[price]`, `init.lora.rank=8`, `model.horizon`, alone or in a command."""
    settings = known_settings()
    for text in inline_code(page):
        for group, key in re.findall(r"(?:^| )(\w+)\.(?:lora\.)?(\w+)(?==|$)", text):
            if group in settings and key != "safetensors":
                assert key in settings[group], f"{group}.{key} is not a setting"


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for stop in range(len(parts), 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:stop]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[stop:]:
            if not hasattr(owner, attribute):
                return False
            owner = getattr(owner, attribute)
        return True
    return False
