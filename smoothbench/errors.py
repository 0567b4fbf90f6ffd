"""Errors that users can mend, and texts of exceptions on one line."""

import errno
import re
from typing import Any, Final

EXACT: Final = 30  # digits after the point: no two floats of usual sizes are equal in all of them


class UsageError(ValueError):
    """The user's request cannot be met; the message names the thing, the place and the way out (exit code 2)."""


class PointsFailed(RuntimeError):
    """Some points of an experiment failed; the others are done. The command ends with exit code 1."""


class MetricsFailed(RuntimeError):
    """Some metrics of a point could not be computed; its other scores are known."""


def one_line(error: Exception) -> str:
    """Return the message of an exception without line breaks; the name of its class if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def named(error: Exception) -> str:
    """Return `one_line` of an exception, after the name of its class where the message alone may say little."""
    text, name = one_line(error), type(error).__name__
    says_enough = (
        isinstance(error, ValueError | OSError | RuntimeError | ArithmeticError | MemoryError) or text == name
    )
    return text if says_enough else f"{name}: {text}"


def shown(value: Any) -> str:
    """A value in a message: one line, and not a long one."""
    try:
        return re.sub(r"(.{57}).{4,}", r"\1...", " ".join(str(value).split()))
    except ValueError:  # a number of thousands of digits
        return f"a very large {type(value).__name__}"


def distinct(*numbers: float, digits: int = 1) -> tuple[str, ...]:
    """Format numbers with at least `digits` digits after the point, and as many as tell different numbers apart.

    Otherwise a message could say that 1.5 GB are needed and 1.5 GB are free.
    """
    texts = tuple(f"{number:.{digits}f}" for number in numbers)
    if len(set(texts)) < len(set(numbers)) and digits < EXACT:
        return distinct(*numbers, digits=digits + 1)
    return texts


def with_cause(error: Exception) -> str:
    """Return the message of an exception, with that of its cause in brackets if the message does not contain it."""
    text, cause = one_line(error), error.__cause__
    reason = one_line(cause) if isinstance(cause, Exception) else ""
    if not reason or reason in text:
        return text
    return f"{text} ({reason})" if str(error).strip() else reason


def is_full(error: Exception) -> bool:
    """Return whether an error says that the disk or the user's quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
