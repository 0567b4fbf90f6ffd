"""What can go wrong in a way that the user can mend."""


class UsageError(ValueError):
    """One clear line: the thing, the place, the way out. The command ends with exit code 2."""


class PointsFailed(RuntimeError):
    """Some points of an experiment failed; the others are done. The command ends with exit code 1."""
