"""The type of tables in this package."""

from __future__ import annotations

from typing import Any, TypeAlias

Frame: TypeAlias = Any  # a pandas DataFrame or Series: type checkers take a selection from a table for either of them
