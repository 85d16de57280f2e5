"""The `tsfm` command: parse the arguments, run the command, and turn errors into one line."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from tsfm.commands.errors import USER_ERRORS, message_of
from tsfm.commands.flags import translate_message
from tsfm.commands.parser import parser
from tsfm.messages import AssumptionWarning, FailedItemWarning
from tsfm.threads import set_threads


def main(argv: list[str] | None = None) -> int:
    """Run a command line and return the exit code.

    Parameters
    ----------
    argv
        The arguments without the program's name; None: those of the process.

    Returns
    -------
    int
        0: everything was done; 2: the request cannot be met, and the reason was printed; 130: interrupted.
    """
    with _printable_output():
        return _run(argv)


@contextmanager
def _printable_output() -> Iterator[None]:
    """Print characters that the terminal or the file behind stdout cannot encode as escapes instead of failing."""
    stream, errors = sys.stdout, getattr(sys.stdout, "errors", None)
    if errors not in ("strict", "surrogateescape") or not isinstance(stream, io.TextIOWrapper):
        yield
        return
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with suppress(OSError, ValueError):  # the reader has gone, or the stream is closed
            stream.reconfigure(errors=errors)


def _run(argv: list[str] | None) -> int:
    args = parser().parse_args(argv)
    if "torch" not in sys.modules:
        set_threads()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("tsfm").setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AssumptionWarning)  # they are logged
            warnings.simplefilter("always", FailedItemWarning)
            warnings.showwarning = partial(_show_warning, warnings.showwarning, args)
            return args.run(args)
    except BrokenPipeError:  # the reader of our output has gone, as in `tsfm models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except USER_ERRORS as error:
        if os.environ.get("TSFM_DEBUG"):
            raise
        print(f"error: {translate_message(message_of(error), args)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"interrupted; {error}" if str(error) else "interrupted", file=sys.stderr)
        return 130


def _show_warning(show: Any, args: Any, message: Any, category: type[Warning], *rest: Any, **options: Any) -> None:
    """Print a warning of ours as one line, without the place in the code; others as usual."""
    if issubclass(category, FailedItemWarning):
        print(f"warning: {translate_message(str(message), args)}", file=sys.stderr)
    else:
        show(message, category, *rest, **options)


if __name__ == "__main__":
    sys.exit(main())
