"""Keep the inputs of sites beside their outputs, for predictors that look at both."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast, runtime_checkable

from torch import Tensor, nn

from smoothbench.caching.binding import Bindable
from smoothbench.caching.hooks import Wrap
from smoothbench.caching.predictor import History, Predictor
from smoothbench.caching.probes import input_wraps
from smoothbench.caching.sites import DENOISER, Site


@runtime_checkable
class PredictsFromInput(Protocol):
    """A predictor that also looks at what a site gets: at present, and at the evaluations whose outputs are kept.

    It stands where a predictor does. The input is the first tensor that the site's module gets, of a span that of its
    first block, of the denoiser the noisy sample.
    """

    @property
    def depth(self) -> int: ...

    @property
    def coordinate(self) -> str: ...

    def predict(self, history: History, inputs: History, now: float, given: Tensor) -> Tensor:
        """Predict an output at coordinate `now`.

        Args: history, the kept outputs with their coordinates, the newest first; inputs, what the site got at those;
        given, what it gets now.
        """
        ...


@runtime_checkable
class Checking(Protocol):
    """A predictor that notes on a device whether it fits the run, to be read when the run is over."""

    def check(self) -> None:
        """Raise ValueError where it did not fit."""
        ...


class InForward(Protocol):
    """A run with a forward under way: the sites that it computes, where it is, and where outputs of a site were kept.

    `place` is its evaluation, forward index and coordinate.
    """

    computed: Sequence[bool]

    @property
    def place(self) -> tuple[int, int | str, float]: ...

    def kept_at(self, i: int) -> Sequence[float]: ...


class Inputs:
    """The inputs of all sites of a run, and a predictor for each site that looks at them.

    Raises ValueError for a branch whose input is made by modules that a reused branch leaves out.
    """

    def __init__(self, predictor: PredictsFromInput, sites: Sequence[Site]) -> None:
        if fed := [site.name for site in sites if site.feeders]:
            raise ValueError(
                f"{type(predictor).__name__} looks at inputs, but that of {fed[0]} is made by modules that a reuse "
                "leaves out: choose spans, or the denoiser"
            )
        self.predictor, self._sites = predictor, sites
        self._of_site: Sequence[PredictsFromInput] = [predictor] * len(sites)
        self.depth, self.coordinate = predictor.depth, predictor.coordinate
        self._of_computed: dict[tuple[int | str, int], list[tuple[float, Tensor]]] = {}
        self._given: dict[int, Tensor] = {}  # in the present forward
        self._forward: int | str = 0
        self._evals: int | None = None

    def bind(self, sites: Sequence[Site], evals: int | None) -> Sequence[Predictor]:
        """Return the predictor of each site, bound to it where that is needed."""
        self._evals = evals
        self._bind_anew()
        return [_OfSite(self, i, of.depth, self.coordinate) for i, of in enumerate(self._of_site)]

    def wraps(self, denoiser: nn.Module, run: InForward) -> list[tuple[nn.Module, Wrap]]:
        """Wraps that see the inputs of branches and spans; the denoiser's own is shown by `see`."""
        inner = [(i, site) for i, site in enumerate(self._sites) if site.level != DENOISER]
        seen = [partial(self.see, run, i) for i, _ in inner]
        return input_wraps(denoiser, [site for _, site in inner], seen)

    def see(self, run: InForward, i: int, value: Tensor) -> None:
        """See the input of site `i` in the present forward, and keep it where the site is computed."""
        _, self._forward, now = run.place
        if run.computed[i]:
            if self._sites[i].level == DENOISER:
                value = value.clone()  # the caller has this very tensor, and may change it
            older = self._of_kept(i, run.kept_at(i))
            self._of_computed[self._forward, i] = [(now, value), *older]
        self._given[i] = value

    def forget(self) -> int:
        """Drop all inputs, and return how many bytes they were."""
        if not self._given:  # nothing was seen since the last time
            return 0
        size = sum(value.nbytes for of_site in self._of_computed.values() for _, value in of_site)
        self._of_computed, self._given = {}, {}
        self._bind_anew()
        return size

    def check(self) -> None:
        """Raise ValueError where a predictor did not fit the run that is over."""
        for predictor in self._of_site:
            if isinstance(predictor, Checking):
                predictor.check()

    def _bind_anew(self) -> None:
        """Bind the predictor to its sites: what it noted in a run that broke off says nothing of the next one."""
        if isinstance(self.predictor, Bindable):
            self._of_site = cast(Sequence[PredictsFromInput], self.predictor.bind(self._sites, self._evals))

    def predict(self, i: int, history: History, now: float) -> Tensor:
        """Predict the output of site `i` from its kept outputs, and its inputs at these and now."""
        inputs = self._of_kept(i, [coordinate for coordinate, _ in history])
        return self._of_site[i].predict(history, inputs, now, self._given[i])

    def _of_kept(self, i: int, kept_at: Sequence[float]) -> History:
        """The inputs of site `i` where its outputs are kept; the others are dropped.

        A site that was given up has an input there, but no output.
        """
        pairs = self._of_computed.get((self._forward, i), [])
        if len(pairs) > len(kept_at):
            pairs = [pair for pair in pairs if pair[0] in kept_at]
            self._of_computed[self._forward, i] = pairs
        return pairs


@dataclass(frozen=True)
class _OfSite:
    """The predictor of one site."""

    inputs: Inputs
    site: int
    depth: int
    coordinate: str

    def __call__(self, history: History, now: float) -> Tensor:
        return self.inputs.predict(self.site, history, now)
