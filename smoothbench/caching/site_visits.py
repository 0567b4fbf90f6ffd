"""Check that every site runs exactly once in each forward of the denoiser."""

from collections.abc import Iterable, Sequence

from smoothbench.caching.sites import Site


class Visits:
    """Raises an error where caching cannot follow a site: it runs outside a forward, twice in one, or not at all."""

    def __init__(self, sites: Sequence[Site], denoiser: str) -> None:
        self._sites, self._denoiser = sites, denoiser
        self._forwards, self._open = 0, False
        self._has_run = [True] * len(sites)  # outside a forward none may run

    def begin(self) -> None:
        """Note that a forward of the denoiser begins."""
        self._forwards, self._open = self._forwards + 1, True
        self._has_run = [False] * len(self._sites)

    def visit(self, i: int) -> None:
        """Note that site `i` is about to run or to be reused; ValueError, naming it, where it must not."""
        if self._has_run[i]:
            raise ValueError(self._misplaced(self._sites[i].name))
        self._has_run[i] = True

    def has_run(self, i: int) -> bool:
        """Return whether site `i` has run in this forward, or was left out of it."""
        return self._has_run[i]

    def leave_out(self, inner: Iterable[int]) -> None:
        """Note that these sites do not run in this forward, because one that contains them is reused."""
        for i in inner:
            self._has_run[i] = True

    def leave_out_all(self) -> None:
        """Note that no site runs as a module in this forward."""
        self._has_run = [True] * len(self._sites)

    def end(self, failed: bool = False) -> None:
        """Note that the forward has ended; ValueError, naming the first site that did not run in it."""
        ran, self._has_run, self._open = self._has_run, [True] * len(self._sites), False
        if not failed and not all(ran):
            raise ValueError(
                f"{self._sites[ran.index(False)].name} did not run in forward {self._forwards} of the "
                f"{self._denoiser}: what leaves blocks out (skip-layer guidance), or takes a branch's forward away "
                "inside the context, cannot be cached; turn it off"
            )

    def _misplaced(self, site: str) -> str:
        if self._open:
            return (
                f"{site} ran twice in forward {self._forwards} of the {self._denoiser}: only what runs once in a "
                "forward can be cached"
            )
        return outside_message(site, self._denoiser)


def outside_message(site: str, denoiser: str) -> str:
    """The message for a site that runs in no forward that the engine saw."""
    return (
        f"{site} ran outside any forward of the {denoiser} that is cached or calibrated: pass the very module that "
        "the pipeline calls, not a wrapper or a part of it"
    )
