"""What can go wrong in a way that the user can mend."""

import errno
import re
from typing import Any, Final

EXACT: Final = 30  # digits after the point, beyond which numbers of everyday sizes do not differ


class UsageError(ValueError):
    """One clear line: the thing, the place, the way out. The command ends with exit code 2."""


class PointsFailed(RuntimeError):
    """Some points of an experiment failed; the others are done. The command ends with exit code 1."""


class MetricsFailed(RuntimeError):
    """Some metrics of a point could not be computed; its other scores are known."""


def one_line(error: Exception) -> str:
    """What an exception says, or its kind where it says nothing, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def shown(value: Any) -> str:
    """A value in a message: one line, and not a long one."""
    try:
        return re.sub(r"(.{57}).{4,}", r"\1...", " ".join(str(value).split()))
    except ValueError:  # a number of thousands of digits
        return f"a very large {type(value).__name__}"


def distinct(*numbers: float, digits: int = 1) -> tuple[str, ...]:
    """Numbers as texts, with the digits after the point, at least so many, that tell different ones apart.

    So that no message says that 1.5 GB are needed and 1.5 GB are there.
    """
    texts = tuple(f"{number:.{digits}f}" for number in numbers)
    if len(set(texts)) < len(set(numbers)) and digits < EXACT:
        return distinct(*numbers, digits=digits + 1)
    return texts


def with_cause(error: Exception) -> str:
    """What an exception says, and what lies under it where it keeps that to itself."""
    text, cause = one_line(error), error.__cause__
    below = one_line(cause) if isinstance(cause, Exception) else ""
    if not below or below in text:
        return text
    return f"{text} ({below})" if str(error).strip() else below


def is_full(error: Exception) -> bool:
    """Whether the disk has no room left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
