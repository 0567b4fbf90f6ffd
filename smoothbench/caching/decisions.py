"""Ask a dynamic policy for its decisions in each forward, and show it what was computed."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from smoothbench.caching.evaluation_clock import Tick
from smoothbench.caching.policy import DynamicPolicy, Evaluation, Observing, Probing
from smoothbench.caching.probes import Probe, check_decidable, probed_sites
from smoothbench.caching.sites import Site


class Decisions:
    """Asks one dynamic policy, before a forward and after each probe, which sites are computed.

    At evaluation 0 every site is, whatever the policy says. Raises ValueError for probes that cannot be followed.
    """

    def __init__(
        self, policy: DynamicPolicy, denoiser: nn.Module, sites: Sequence[Site], evals: int | None
    ) -> None:
        self.policy, self.sites, self._evals = policy, sites, evals
        self.probes: Sequence[Probe] = ()
        if isinstance(policy, Probing):
            self.probes = tuple(policy.choose_probes(denoiser))
            check_decidable(sites, self.probes)
        self.places = probed_sites(denoiser, sites, self.probes)
        self.observes = isinstance(policy, Observing)
        self._evaluation: Evaluation | None = None

    @property
    def look_inside(self) -> bool:
        """Whether the policy decides or observes while a forward runs, not only before it."""
        return bool(self.probes) or self.observes

    @property
    def name(self) -> str:
        """The name of the policy's class."""
        return type(self.policy).__name__

    def before(self, tick: Tick, hidden_states: Tensor) -> Sequence[bool]:
        """Ask for the bits of the sites before a forward; ValueError where there are too few or too many."""
        evaluation = Evaluation(
            tick.e,
            self._evals,
            tick.coordinate,
            tick.forward_index,
            hidden_states,
            self.sites,
            tick.starts_run,
            is_forced=tick.e == 0,
        )
        self._evaluation = evaluation
        bits = self._checked(self.policy.decide(evaluation), "decided")
        return [True] * len(self.sites) if tick.e == 0 else bits

    def after(self, probe: Probe, value: Any) -> Sequence[bool] | None:
        """Ask for the bits after a probe; None at evaluation 0, where they change nothing."""
        assert self._evaluation is not None and isinstance(self.policy, Probing)
        bits = self._checked(
            self.policy.decide_after(probe, self._evaluation, value), f"decided after {probe}"
        )
        return None if self._evaluation.e == 0 else bits

    def show(self, i: int, predicted: Callable[[], Any], computed: Any) -> bool:
        """Show a computed output of site `i` to a policy that observes, and return whether it is used."""
        assert self._evaluation is not None and isinstance(self.policy, Observing)
        return self.policy.observe(self.sites[i], self._evaluation, predicted, computed) is not False

    def _checked(self, bits: Sequence[bool], what: str) -> Sequence[bool]:
        if len(bits) != len(self.sites):
            raise ValueError(f"{self.name} {what} on {len(bits)} of {len(self.sites)} sites")
        return bits
