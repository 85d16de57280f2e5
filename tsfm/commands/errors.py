"""Errors that end a command with one line instead of a traceback, and that line."""

from __future__ import annotations

USER_ERRORS = (ValueError, OSError, FloatingPointError, MemoryError, ImportError)


def message_of(error: BaseException) -> str:
    """Return an error as one line, without Python's number: `[Errno 2] No such file: 'x'` is `x: No such file`."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}; check this path" if error.filename else error.strerror
    if isinstance(error, UnicodeEncodeError):  # a file name, in a locale that has no such character
        text = ascii(error.object[:80])
        return f"{text} cannot be written in this locale ({error.encoding}); set LC_ALL=C.UTF-8, or use ASCII names"
    return str(error) or type(error).__name__


def describe_error(error: BaseException) -> str:
    """Return an error as one line, with its type where it is not one that a user is meant to see."""
    return message_of(error) if isinstance(error, USER_ERRORS) else f"{type(error).__name__}: {error}"
