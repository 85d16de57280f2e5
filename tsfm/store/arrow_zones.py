"""Time zones of Arrow columns, which may be any text."""

from __future__ import annotations

import pyarrow as pa

from tsfm.timestamps.parsed import find_timezone


def check_zones(schema: pa.Schema, *, label: str) -> None:
    """Raise a ValueError that names the first column in a time zone that is not known."""
    for field in schema:
        zone = field.type.tz if pa.types.is_timestamp(field.type) else None
        if not zone:
            continue
        try:
            find_timezone(zone)
        except ValueError:
            raise ValueError(
                f"{label}: column {field.name!r} is in the time zone {zone!r}, which is not known; expected a name "
                "such as Europe/Berlin or an offset such as +01:00; cast the column to one"
            ) from None
