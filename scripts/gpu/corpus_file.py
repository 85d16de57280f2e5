"""The corpus as one small file: standardised float16 series in Parquet, and stores made from it.

    python scripts/gpu/corpus_file.py pack carry/corpus.parquet      # from the data root TSFM_DATA
    python scripts/gpu/corpus_file.py restore carry/corpus.parquet data

Only data sets with the role `corpus` are packed. Each channel of each series becomes a series of its own, with mean 0
and standard deviation 1. Where the file would be too large, the long data sets keep the end of each series.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tsfm.data.corpus import corpus_names
from tsfm.store.catalog import RAW_FOLDER, resolve
from tsfm.store.series_store import SeriesStore
from tsfm.store.writer import StoreWriter
from tsfm.timestamps.offsets import timestamp_at

MAX_BYTES = 35 * 2**20  # with the files of the repository 60 MiB
MIN_STEPS = 64  # that a shortened series keeps
MIN_VALUES = 50_000  # of a data set that is shortened further
OPTIONS = {"compression": "zstd", "compression_level": 6, "use_dictionary": False}
SCHEMA = pa.schema(
    {
        "set": pa.string(),
        "item_id": pa.string(),
        "start": pa.timestamp("us"),
        "freq": pa.string(),
        "values": pa.list_(pa.float16()),
    }
)


def standardized(values: np.ndarray) -> np.ndarray:
    """Return a series as float16 with mean 0 and standard deviation 1, constant ones as zeros; NaN stays."""
    values = values.astype(np.float64)
    observed = values[np.isfinite(values)]
    scale = observed.std() if len(observed) else 0.0
    result = (values - observed.mean()) / scale if scale > 0 else values * 0.0
    return np.clip(result, -60_000, 60_000).astype(np.float16)  # the range of float16


def channel_rows(name: str, store: SeriesStore, *, share: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each channel of each series, with the last `share` of its steps."""
    for item_id, length, start, freq, index in zip(
        store.ids, store.lengths.tolist(), store.starts, store.freqs, range(len(store)), strict=True
    ):
        kept = min(length, max(MIN_STEPS, round(share * length)))
        first = timestamp_at(start, freq, np.int64(length - kept))
        for channel, values in zip(store.channels, store.read(index, length - kept), strict=True):
            row = {"set": name, "item_id": f"{item_id}/{channel}", "start": first.item(), "freq": freq}
            yield row | {"values": standardized(values)}


def pack(path: Path, *, max_bytes: int = MAX_BYTES, names: list[str] | None = None) -> int:
    """Write the corpus to `path` in at most `max_bytes`, and return the number of its values.

    Data sets of more than a limit of values keep the ends of their series; the limit is lowered until the file fits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stores = {name: resolve(name) for name in (corpus_names() if names is None else names)}
    sizes = {name: int(np.sum(store.lengths)) * len(store.channels) for name, store in stores.items()}
    limit = max(sizes.values())
    while True:
        num_values = 0
        with pq.ParquetWriter(path, SCHEMA, **OPTIONS) as writer:
            for name, store in stores.items():
                rows = list(channel_rows(name, store, share=min(1.0, limit / sizes[name])))
                num_values += sum(len(row["values"]) for row in rows)
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
        if path.stat().st_size <= max_bytes:
            return num_values
        if limit <= MIN_VALUES:
            raise ValueError(f"{path} has {path.stat().st_size} bytes, more than {max_bytes}; name fewer data sets")
        limit = max(MIN_VALUES, int(0.7 * limit))


def restore(path: Path, folder: Path) -> list[str]:
    """Make a store of each data set in `folder`, and the manifest that gives them the role `corpus`.

    `tsfm train experiment=pretrain/small` in the directory that holds `folder`, if it is named `data`, then uses them.
    """
    file = pq.ParquetFile(path)
    names = []
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group)
        for name in rows["set"].unique().to_pylist():
            names.append(name)
            table = rows.filter(pc.equal(rows["set"], name))
            _restore_one(table, folder / name)
    manifest = folder / RAW_FOLDER / "manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    entries = [{"file": f"{name}.parquet", "role": "corpus"} for name in names]
    manifest.write_text(json.dumps({"datasets": entries}), encoding="utf-8")
    return names


def _restore_one(table: pa.Table, folder: Path) -> None:
    with StoreWriter(folder, channels=["target"], role="corpus", overwrite=True) as writer:
        columns = (table[name] for name in ("item_id", "start", "freq", "values"))
        for item_id, start, freq, values in zip(*columns, strict=True):
            array = values.values.to_numpy(zero_copy_only=False).astype(np.float32)
            writer.add(item_id.as_py(), array[None], start.as_py(), freq.as_py())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("pack", "restore"))
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("data"))
    args = parser.parse_args()
    if args.action == "pack":
        num_values = pack(args.file)
        print(f"{args.file}: {num_values:,} values, {args.file.stat().st_size / 2**20:.1f} MiB")
    else:
        print(f"{len(restore(args.file, args.folder))} stores in {args.folder}")


if __name__ == "__main__":
    main()
