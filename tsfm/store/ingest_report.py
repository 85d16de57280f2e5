"""What an ingest wrote and found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MAX_NAMED = 5  # items that a message names


@dataclass
class IngestReport:
    """What `ingest` wrote, and what it found in the files; `str` of it is a summary."""

    path: Path
    series: int = 0
    steps: int = 0
    channels: list[str] = field(default_factory=list)
    inserted: int = 0  # steps without a row, now unobserved
    missing: int = 0  # values missing in the rows themselves
    files: int = 0
    seconds: float = 0.0
    frequency: str = ""
    fingerprint: str = ""
    notes: list[str] = field(default_factory=list)
    failed_items: dict[str, str] = field(default_factory=dict)  # items that were left out, and why

    def __str__(self) -> str:
        names = ", ".join(self.channels[:6]) + (", ..." if len(self.channels) > 6 else "")
        lines = [
            f"{self.path}: {self.series:,} series, {self.steps:,} steps every {self.frequency}, "
            f"{len(self.channels)} channel(s) ({names}), from {self.files} file(s) in {self.seconds:.1f} s",
            f"  {self.inserted:,} steps inserted in gaps (unobserved), {self.missing:,} values missing in the rows",
            *(f"  note: {note}" for note in self.notes),
            *([f"  {self.describe_failed()}"] if self.failed_items else []),
        ]
        return "\n".join(lines)

    @property
    def left_out(self) -> list[str]:
        """Return a note about the items that were left out; none where all are in the store."""
        count = len(self.failed_items)
        return [f"{count} items could not be used and were left out"] if count else []

    def describe_failed(self) -> str:
        """Return the text about the items that were left out."""
        listed = [f"{item!r}: {reason}" for item, reason in list(self.failed_items.items())[:MAX_NAMED]]
        more = f"; and {len(self.failed_items) - MAX_NAMED} more" if len(self.failed_items) > MAX_NAMED else ""
        return f"{len(self.failed_items)} items cannot be used and are left out. {'; '.join(listed)}{more}"
