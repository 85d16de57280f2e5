"""Names of data sets to stores.

A name is looked up in ./data (stores made by `tsfm ingest`), then among the raw files of TSFM_DATA, which are ingested
once into the cache (TSFM_CACHE, else ~/.cache/tsfm), then as a download. A path to a store is simply opened.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tsfm.files import cache_folder, draft_path, make_folder, move_folder, recover_folder, remove_old_drafts
from tsfm.messages import did_you_mean
from tsfm.store.ingest import ingest
from tsfm.store.manifest import MANIFEST, SCHEMA_VERSION
from tsfm.store.series_store import SeriesStore

RAW_FOLDER = "forecasting"  # of a data root
TIMEOUT = 30  # seconds without an answer


@dataclass(frozen=True)
class CatalogEntry:
    """A data set with a name, and how its file is to be read."""

    name: str
    file: str = ""  # stem of the raw file if it is not the name
    grid: str = "fill"
    freq: str | None = None
    mixed: bool = False
    role: str | None = None
    domain: str | None = None
    licence: str | None = None
    url: str | None = None  # the public original
    fingerprint: str | None = None  # of the values after ingest, float32: the checksum of a download

    @property
    def stem(self) -> str:
        """Stem of the raw file."""
        return self.file or self.name


ETT = CatalogEntry(
    "", grid="keep", role="benchmark", domain="energy", licence="CC BY-ND 4.0 (as stated by zhouhaoyi/ETDataset)"
)
ETT_URL = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small"
LTSF = CatalogEntry("", grid="keep", role="benchmark")  # rows as they are: the field counts them, gap or not


def _ett(stem: str, fingerprint: str) -> CatalogEntry:
    return replace(ETT, name=stem.lower(), file=stem, url=f"{ETT_URL}/{stem}.csv", fingerprint=fingerprint)


KNOWN = (
    _ett("ETTh1", "4dc2b91091a266a67a90448a52ffdf1f"),
    _ett("ETTh2", "3291bad8e66227c0a43cd34fd2b519b3"),
    _ett("ETTm1", "b159c69925a9cf553ee01e755a594378"),
    _ett("ETTm2", "a580d739bf17f99d972e36be4851374b"),
    replace(LTSF, name="exchange", file="exchange_rate", domain="finance"),
    replace(LTSF, name="weather", domain="nature"),
    replace(LTSF, name="ili", file="national_illness", domain="health"),
    *(CatalogEntry(f"m4_{kind}", role="benchmark") for kind in ("hourly", "weekly", "yearly")),
    CatalogEntry("birmingham_parking", grid="keep", freq="30min"),  # about every half hour, by day only
    CatalogEntry("ili_us_states_weekly", grid="keep"),  # the weekday of the stamps shifts with the year
    CatalogEntry("restaurant_visitors_daily", freq="D"),  # some restaurants open on Saturdays only
    CatalogEntry("classics_monthly_quarterly", mixed=True),
    CatalogEntry("tsdl_mixed", mixed=True),
)


def data_roots() -> list[Path]:
    """Where raw files are looked for: TSFM_DATA, then ./data."""
    named = os.environ.get("TSFM_DATA")
    return [*([Path(named).expanduser()] if named else []), Path("data")]


def _raw_files() -> dict[str, Path]:
    """Lower-case stem -> file, of every root; the first root wins."""
    files: dict[str, Path] = {}
    for root in data_roots():
        for path in sorted((root / RAW_FOLDER).glob("*.parquet")):
            files.setdefault(path.stem.lower(), path)
    return files


def names() -> list[str]:
    """All names that `resolve` knows here."""
    stores = [path.parent.name for path in Path("data").glob(f"*/{MANIFEST}")]
    return sorted({*(known.name for known in KNOWN), *_raw_files(), *stores})


def is_at_hand(name: str) -> bool:
    """Return whether `resolve` would find a name: a store, a raw file, or a public file to download."""
    key, raw = name.lower(), _raw_files()
    known = next((known for known in KNOWN if key in (known.name, known.stem.lower())), CatalogEntry(key))
    stores = (Path(name), Path("data") / name, Path("data") / key)
    return known.stem.lower() in raw or known.url is not None or any((path / MANIFEST).is_file() for path in stores)


def resolve(name_or_path: str | Path, *, download: bool = True) -> SeriesStore:
    """Return the store of that name or path; made from its raw file if need be."""
    name, path = str(name_or_path), Path(name_or_path)
    if (path / MANIFEST).is_file():
        return SeriesStore.open(path)
    if isinstance(name_or_path, Path) or os.sep in name or path.is_file():
        if path.is_file():
            raise ValueError(f"{path} is a file, not a store; run `tsfm ingest {path} --out data/{path.stem}` first")
        return SeriesStore.open(path)  # says what is wrong
    name = name.lower()
    for store in (Path("data") / str(name_or_path), Path("data") / name):
        recover_folder(store)
        if (store / MANIFEST).is_file():
            return SeriesStore.open(store)
    raw = _raw_files()
    known = next((known for known in KNOWN if name in (known.name, known.stem.lower())), CatalogEntry(name))
    if known.stem.lower() in raw:
        return _from_raw(known, raw[known.stem.lower()])
    if known not in KNOWN:
        near = difflib.get_close_matches(name, names(), n=8, cutoff=0.4) or [entry.name for entry in KNOWN[:10]]
        raise ValueError(f"unknown data set {name_or_path!r}; {did_you_mean(name, near)}; `tsfm ingest` adds your own")
    return _downloaded(known, allowed=download)


def _from_raw(known: CatalogEntry, path: Path) -> SeriesStore:
    """Return the store of a raw file, from the cache if the file has not changed since."""
    stat = path.stat()
    source = (str(path.resolve()), stat.st_size, stat.st_mtime_ns, known.grid, known.freq, known.mixed, SCHEMA_VERSION)
    key = hashlib.blake2b(repr(source).encode(), digest_size=6).hexdigest()
    target = cache_folder() / "stores" / f"{known.name}-{key}"
    if not (target / MANIFEST).is_file():
        with _usable_cache():
            _ingest(known, path, target, _labels(known, path))
    return SeriesStore.open(target)


def _labels(known: CatalogEntry, path: Path) -> dict[str, Any]:
    """Return what the manifest.json next to a raw file says of it, else what the catalog knows."""
    labels = {"role": known.role, "domain": known.domain, "licence": known.licence, "source_note": path.name}
    manifest = path.parent / MANIFEST
    if not manifest.is_file():
        return labels
    try:
        about = json.loads(manifest.read_text(encoding="utf-8"))["datasets"]
        about = next((entry for entry in about if entry["file"] == path.name), {})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{manifest} cannot be read ({error}); it should list the files under 'datasets'") from None
    licences = [about.get("licence"), about.get("licence_original_unverified")]
    sources = [about.get("what"), about.get("source_repository"), about.get("source_path"), about.get("source_commit")]
    labels["role"] = about.get("role") or labels["role"]
    labels["domain"] = about.get("domain") or labels["domain"]
    labels["licence"] = "; original: ".join(filter(None, licences)) or labels["licence"]
    labels["source_note"] = " | ".join(filter(None, sources)) or labels["source_note"]
    return labels


def _ingest(known: CatalogEntry, path: Path, target: Path, labels: dict[str, Any]) -> None:
    """Ingest as the catalog says; another process that was faster is welcome."""
    rules = {"grid": known.grid, "freq": known.freq, "allow_mixed_freq": known.mixed}
    try:
        ingest(path, target, name=known.name, warn=False, **rules, **labels)
    except FileExistsError:
        if not (target / MANIFEST).is_file():
            raise


def _downloaded(known: CatalogEntry, *, allowed: bool) -> SeriesStore:
    """Return the store of the public original, downloaded once and compared with the known fingerprint."""
    target = cache_folder() / "stores" / f"{known.name}-download-{known.fingerprint}"
    if (target / MANIFEST).is_file():
        return SeriesStore.open(target)
    advice = (
        f"set TSFM_DATA to a folder that holds {RAW_FOLDER}/{known.stem}.parquet, or ingest your own copy: "
        f"`tsfm ingest <file> --out data/{known.name} --grid {known.grid}`"
    )
    if not known.url or not allowed:
        reason = "downloads are off" if known.url else "tsfm knows no public file of it"
        raise FileNotFoundError(f"data set {known.name!r} is not on this machine, and {reason}; {advice}")
    with _usable_cache():
        make_folder(target.parent)
        remove_old_drafts(target.parent)
        temp = draft_path(target)
        temp.mkdir()
        try:
            raw = temp / f"{known.stem}{Path(known.url).suffix}"
            _fetch(known.url, raw, advice=advice, name=known.name)
            labels = {**_labels(known, raw), "source_note": known.url}
            _ingest(known, raw, temp / "store", labels)
            fingerprint = SeriesStore.open(temp / "store").fingerprint
            if known.fingerprint and fingerprint != known.fingerprint:
                raise ValueError(
                    f"the download of {known.name!r} has other values than expected: fingerprint {fingerprint}, not "
                    f"{known.fingerprint}; {known.url} may have changed or was cut short: nothing was kept; {advice}"
                )
            try:
                move_folder(temp / "store", target, replace=False)
            except FileExistsError:
                if not (target / MANIFEST).is_file():
                    raise
        finally:
            shutil.rmtree(temp, ignore_errors=True)
    return SeriesStore.open(target)


def _fetch(url: str, path: Path, *, advice: str, name: str) -> None:
    """Download to `path`."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, open(path, "wb") as out:
            size = answer.headers.get("Content-Length")
            bar = tqdm(
                total=int(size) if size else None, unit="B", unit_scale=True, desc=f"download {name}", disable=None
            )
            with bar:
                while piece := answer.read(2**18):
                    out.write(piece)
                    bar.update(len(piece))
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise ConnectionError(f"data set {name!r} could not be downloaded from {url} ({reason}); {advice}") from None


@contextmanager
def _usable_cache() -> Iterator[None]:
    """Raise an error that says how to choose another cache where this one cannot be written."""
    try:
        yield
    except PermissionError as error:
        raise PermissionError(f"{error}; the cache is {cache_folder()}, and TSFM_CACHE can name another") from None
