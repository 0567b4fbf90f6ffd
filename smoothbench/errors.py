"""What can go wrong in a way that the user can mend."""

import errno


class UsageError(ValueError):
    """One clear line: the thing, the place, the way out. The command ends with exit code 2."""


class PointsFailed(RuntimeError):
    """Some points of an experiment failed; the others are done. The command ends with exit code 1."""


class MetricsFailed(RuntimeError):
    """Some metrics of a point could not be computed; its other scores are known."""


def one_line(error: Exception) -> str:
    """What an exception says, or its kind where it says nothing, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


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
