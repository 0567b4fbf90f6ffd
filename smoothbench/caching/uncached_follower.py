"""Follow the sites of a denoiser that computes everything."""

from typing import Any


class UncachedFollower:
    """Follows the sites of an uncached denoiser; what comes of what it sees is for classes that derive from it."""

    def __init__(self) -> None:
        self._under_way: set[int] = set()

    def enter(self, i: int) -> bool:
        """Site `i` is reached: it is computed."""
        self._under_way.add(i)
        return True

    def reached(self, i: int) -> bool:
        """Return whether site `i` is under way."""
        return i in self._under_way

    def keep(self, i: int, output: Any) -> None:
        """Site `i` has given its output."""
        self._under_way.discard(i)

    def predict(self, i: int) -> Any:
        """Nothing is reused."""
        raise NotImplementedError

    def feed(self, i: int) -> bool:
        """A module that feeds site `i` is reached: it runs."""
        return True

    def fed(self, i: int) -> None:
        """Such a module has run."""
