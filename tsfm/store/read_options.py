"""How tables are read: the options that every DataFrame verb and every file verb take, documented once.

A verb declares them as `**options: Unpack[ReadOptions]` (of files: `FileOptions`) under the decorator `takes_options`,
and turns them into `ReadSettings` with `read_settings`. A new option is a key of one of the two, a field of
`ReadSettings`, and a flag in `tsfm.commands.read_flags`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, overload

from tsfm.messages import did_you_mean

if TYPE_CHECKING:
    from tsfm.store.dialect import TextOptions
    from tsfm.timestamps.parsing import TimestampOptions

Function = TypeVar("Function", bound=Callable[..., Any])
GRIDS = ("fill", "keep")
FORECAST_OPTIONS = ("style", "h", "level")
ERRORS = ("warn", "raise", "skip")


class ReadOptions(TypedDict, total=False):
    """How a DataFrame is read; the options of every DataFrame verb.

    Attributes
    ----------
    id_column, timestamp_column
        Names of the columns. Usual names are found (unique_id, series_id, id; ds, date, datetime, time), and a single
        column of dates. Without a time column, or with ``timestamp_column=None``, the rows of an item are numbered.
    target
        The value column or columns. Usual names are found (y, value); else a single numeric column is the target, and
        in a DataFrame without ids all numeric columns are.
    freq
        The time step of all items: an alias such as "h" or "MS", a pandas offset, a Timedelta, or a whole number of
        numbered steps. None infers it for each item.
    grid
        "fill": steps without a row are missing. "keep": the rows of an item are taken as equally spaced, whatever their
        timestamps say.
    dayfirst, date_format, timezone
        Whether 01/02/2020 is 1 February, the format of text as of ``datetime.strptime``, and the time zone in which to
        read and show timestamps; see `tsfm.timestamps.parsing.parse_timestamps`. None finds out.
    decimal
        The decimal sign of numbers in text: "." or ",". None finds out.
    sentinel
        A number or numbers that mean missing, such as -999.
    errors
        What happens to items that cannot be used, such as one without an observed value, with a timestamp twice, or too
        short. "warn": they have rows of NaN, and a `tsfm.FailedItemWarning` names them; "skip": they are left out of
        the result; "raise": the first is an error. Where no item can be used, it is always an error, and so is any
        such item for `tsfm.ingest` and `fit_df`.
    """

    id_column: str
    timestamp_column: str | None
    target: Any
    freq: Any
    grid: str
    dayfirst: bool | None
    date_format: str | None
    timezone: str | None
    decimal: str | None
    sentinel: float | Sequence[float] | None
    errors: str


class FileOptions(ReadOptions, total=False):
    """How a file is read; the options of every file verb: those of `ReadOptions`, and how text is written.

    Attributes
    ----------
    sep
        The character between the cells of a text file. None finds it.
    encoding
        The encoding of a text file, such as "latin-1". None finds it.
    """

    sep: str | None
    encoding: str | None


@dataclass(frozen=True)
class ReadSettings:
    """The values of all options; see `ReadOptions` and `FileOptions`.

    Raises
    ------
    ValueError
        When a value cannot be used.
    """

    id_column: str = "item_id"
    timestamp_column: str | None = "timestamp"
    target: Any = "target"
    freq: Any = None
    grid: str = "fill"
    dayfirst: bool | None = None
    date_format: str | None = None
    timezone: str | None = None
    decimal: str | None = None
    sentinel: Any = None
    errors: str = "warn"
    sep: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.grid not in GRIDS:
            raise ValueError(f"grid is {self.grid!r}; it is one of {', '.join(GRIDS)}")
        if self.errors not in ERRORS:
            raise ValueError(f"errors is {self.errors!r}; it is one of {', '.join(ERRORS)}")
        if self.dayfirst not in (None, True, False):
            raise ValueError(f"dayfirst is {self.dayfirst!r}; expected True, False or None")
        for name in ("date_format", "timezone"):
            if (value := getattr(self, name)) is not None and not isinstance(value, str):
                raise ValueError(f"{name} is {value!r}; expected text or None")
        if not all(isinstance(number, Real) for number in self.sentinels):
            raise ValueError(f"sentinel is {self.sentinel!r}; expected a number, or several, that mean missing")
        if self.freq is not None:
            _check_freq(self.freq)
        _ = self.text  # checks sep, decimal and encoding

    @property
    def text(self) -> TextOptions:
        """How text files are written."""
        from tsfm.store.dialect import TextOptions

        return TextOptions(self.sep, self.decimal, self.encoding)

    @property
    def timestamps(self) -> TimestampOptions:
        """How timestamps are read."""
        from tsfm.timestamps.parsing import TimestampOptions

        return TimestampOptions(self.dayfirst, self.date_format, self.timezone, self.counts_steps)

    @property
    def counts_steps(self) -> bool:
        """Whether the frequency is a whole number of numbered steps."""
        from tsfm.timestamps.steps import parse_freq

        return self.freq is not None and parse_freq(self.freq).unit == "step"

    @property
    def sentinels(self) -> tuple[float, ...]:
        """Numbers that mean missing."""
        values = () if self.sentinel is None else self.sentinel
        return tuple([values] if isinstance(values, (str, Real)) else values)  # type: ignore[arg-type]

    @property
    def options(self) -> ReadOptions:
        """The options of a DataFrame, as keyword arguments."""
        options: Any = {name: getattr(self, name) for name in FRAME_NAMES}
        return options

    @property
    def columns(self) -> dict[str, Any]:
        """The arguments that name columns: id_column, timestamp_column and target."""
        return {"id_column": self.id_column, "timestamp_column": self.timestamp_column, "target": self.target}

    def updated(self, **values: Any) -> ReadSettings:
        """Return these settings with other values."""
        return replace(self, **values)


def _check_freq(freq: Any) -> None:
    from tsfm.timestamps.steps import parse_freq

    try:
        parse_freq(freq)
    except ValueError as error:
        raise ValueError(f"freq={freq!r}: {error}") from None


FRAME_NAMES = tuple(inspect.get_annotations(ReadOptions))
FILE_NAMES = tuple(field.name for field in fields(ReadSettings))


def read_settings(options: Mapping[str, Any], *, files: bool = False) -> ReadSettings:
    """Return the options that a user gave as settings.

    Parameters
    ----------
    files
        Whether those of files are among them.

    Raises
    ------
    ValueError
        When a name is not known, or a value cannot be used.

    Examples
    --------
    >>> read_settings({"dayfirst": True}).dayfirst
    True
    >>> read_settings({"day_first": True})
    Traceback (most recent call last):
    ValueError: there is no option 'day_first'; did you mean 'dayfirst'? known: date_format, dayfirst, decimal, ...
    """
    names = FILE_NAMES if files else FRAME_NAMES
    for name in options:
        if name in FILE_NAMES and name not in names:
            raise ValueError(f"{name} is an option of text files; a DataFrame is read already, leave it out")
        if name in FORECAST_OPTIONS:
            raise ValueError(
                f"{name} is an option of predict_df, whose columns are new; here those of the DataFrame come back. "
                "unique_id, ds and y are read without it: leave it out"
            )
        if name not in names:
            raise ValueError(f"there is no option {name!r}; {did_you_mean(name, list(names))}")
    return ReadSettings(**options)


def split_options(options: Mapping[str, Any]) -> tuple[FileOptions, dict[str, Any]]:
    """Return the options of reading a file, and all others."""
    reading: Any = {name: value for name, value in options.items() if name in FILE_NAMES}
    return reading, {name: value for name, value in options.items() if name not in FILE_NAMES}


def frame_options(options: Mapping[str, Any]) -> ReadOptions:
    """Return the options that a DataFrame verb takes among those of a file."""
    kept: Any = {name: value for name, value in options.items() if name in FRAME_NAMES}
    return kept


@overload
def takes_options(function: Function) -> Function: ...
@overload
def takes_options(**defaults: Any) -> Callable[[Function], Function]: ...
def takes_options(function: Any = None, **defaults: Any) -> Any:
    """Show the options in the signature of a function that takes them as `**options`, for help() and completion.

    Parameters
    ----------
    **defaults
        Of options whose default differs from that of `ReadSettings`.
    """
    if function is None:
        return partial(takes_options, **defaults)
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    (rest,) = (p for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD)
    values = vars(ReadSettings()) | defaults
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=values[name])
        for name in (FILE_NAMES if "FileOptions" in str(rest.annotation) else FRAME_NAMES)
    ]
    function.__signature__ = signature.replace(parameters=parameters)
    return function
