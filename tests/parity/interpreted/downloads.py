"""Fetch what an interpreted kernel needs from the package index: a source without running its setup.py, and Triton."""

from __future__ import annotations

import hashlib
import html
import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[3]
SECONDS = 60  # for one answer of the index


class NotFetchedError(Exception):
    """What a test needs cannot be fetched; the message is the reason."""


def requirement(name: str) -> Requirement:
    """Return what the extras of pyproject.toml say about a package."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = {line for line in re.findall(r'"([^"]+)"', text) if re.match(rf"{name}\b", line)}
    assert len(lines) == 1, f"pyproject.toml names {name} in {lines}"
    return Requirement(lines.pop())


def index_url() -> str:
    """Return the index that pip is configured with."""
    configured = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    )
    url = os.environ.get("PIP_INDEX_URL") or (configured.stdout.strip() if configured.returncode == 0 else "")
    return (url or "https://pypi.org/simple").rstrip("/")


def read_url(url: str) -> bytes:
    """Return what is at a URL.

    Raises
    ------
    NotFetchedError
        If it cannot be read.
    """
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            return answer.read()
    except OSError as error:
        raise NotFetchedError(f"{url} cannot be read: {error}") from error


def source_urls(wanted: Requirement) -> Mapping[Version, str]:
    """Return the URLs of the allowed source distributions, oldest version first; they end with `#sha256=`."""
    page = read_url(f"{index_url()}/{wanted.name}/").decode()
    urls = {}
    for link in map(html.unescape, re.findall(r'href="([^"]+\.tar\.gz#sha256=[^"]+)"', page)):
        version = Version(re.search(r"-([^-/]+)\.tar\.gz#", link)[1])  # type: ignore[index]
        if version in wanted.specifier:
            urls[version] = urllib.request.urljoin(f"{index_url()}/{wanted.name}/", link)
    if not urls:
        raise NotFetchedError(f"{index_url()} has no source distribution of {wanted}")
    return {version: urls[version] for version in sorted(urls)}


def unpack_source(url: str, folder: Path) -> Path:
    """Unpack a source distribution into `folder`, running nothing of it, and return the folder of its files."""
    address, _, digest = url.partition("#sha256=")
    content = read_url(address)
    assert hashlib.sha256(content).hexdigest() == digest, f"{address} does not have the hash that the index names"
    folder.mkdir(exist_ok=True)
    archive = folder / "source.tar.gz"
    archive.write_bytes(content)
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def install(name: str, folder: Path) -> Path:
    """Install one package without its requirements into `folder`, unless it can be imported already."""
    if importlib.util.find_spec(name.replace("-", "_")) is not None:
        return folder
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:", "--target", folder]
    run = subprocess.run([*command, name], capture_output=True, text=True, check=False)
    if run.returncode:
        raise NotFetchedError(f"pip cannot install {name}: {run.stderr.strip()[-300:]}")
    return folder
