"""Methods that decide or observe while a forward runs take the fast forward: the same decisions, outputs and counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smoothbench.caching import Evaluation, Probe, Run, Site, cached, find_sites, split_spans
from tests.support.fast_models import EVALS, MODELS, FastModel, fast_model

ROUNDING = 2e-5  # relative to the largest value
WITHOUT_SKIPS = [name for name in MODELS if name != "uvit"]
COMPUTED = (0, 1, 4)  # evaluations; the others reuse what a policy may reuse


@dataclass
class Seeing:
    """Notes the values of probes, and computes everything at some evaluations."""

    values: list[Tensor] = field(default_factory=list)

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return [True] * len(evaluation.sites)

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        value = value[0] if isinstance(value, tuple) else value
        self.values.append(value.clone())
        return [evaluation.e in COMPUTED] * len(evaluation.sites)


class FirstInput(Seeing):
    """As TeaCache: the first branch's input decides on all blocks, inside of which it lies."""

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        return find_sites(denoiser, "span")

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        return [Probe(find_sites(denoiser)[0].name, "input")]


class FirstInputOfDenoiser(FirstInput):
    """The same, deciding on the denoiser's whole output."""

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        return find_sites(denoiser, "denoiser")


class FirstBlock(Seeing):
    """As FBCache: what the first block adds decides on the others."""

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        return split_spans(denoiser, first=1)

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        return [Probe(self.choose_sites(denoiser)[0].name)]

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        return [True, *super().decide_after(probe, evaluation, value)[1:]]


class EachBranch(Seeing):
    """Branches are decided on one by one, each by its own input."""

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        return [Probe(site.name, "input") for site in find_sites(denoiser)[1:]]

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        self.values.append(value.clone())
        names = [site.name for site in evaluation.sites]
        place = names.index(probe.site)
        return [
            i in (0, *range(place + 1, len(names))) or (i + evaluation.e) % 3 != 1 for i in range(len(names))
        ]


class LastBlockChecked(Seeing):
    """As SpeCa: the last block is computed for a check, and discarded; its input is a probe."""

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        return split_spans(denoiser, last=1)

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        return [Probe(self.choose_sites(denoiser)[-1].name, "input")]

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return [evaluation.e in COMPUTED, evaluation.e in (*COMPUTED, 5)]

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        super().decide_after(probe, evaluation, value)
        return self.decide(evaluation)

    def observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> bool | None:
        if evaluation.e > 0:
            self.values.append(predicted()[0] - computed[0])
        return evaluation.e != 5 or None


class MiddleBlockSeen(Seeing):
    """As AdaCache: a block inside the stack is seen where it is computed."""

    decide_after = None  # type: ignore[assignment]  # it has no probes

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        blocks = len(find_sites(denoiser, "span")[0].blocks)
        return find_sites(denoiser, "span", [(0, blocks - 1), (blocks - 1, blocks - 1)])

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return [evaluation.e in COMPUTED] * len(evaluation.sites)

    def observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> None:
        self.values.append(computed[0].clone())


POLICIES = [FirstInput, FirstInputOfDenoiser, FirstBlock, EachBranch, LastBlockChecked, MiddleBlockSeen]


def ran(
    policy: Any, model: FastModel, predictor: str, fast: bool, forwards: int = 1
) -> tuple[Tensor, Run, list[Tensor]]:
    given = {"predictor": predictor, "evals": EVALS, "coordinates": model.timesteps, "fast": fast}
    with cached(model.denoiser, policy, **given) as run:
        sample = model.run(run.step, forwards)
        assert run.is_fast is fast
    return sample, run, policy.values


def close(fast: Tensor, other: Tensor) -> bool:
    return bool((fast - other).abs().max() <= ROUNDING * other.abs().max())


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", WITHOUT_SKIPS)
def test_the_same_decisions_outputs_and_counts(name: str, policy: type[Seeing]) -> None:
    model, predictor = fast_model(name), "taylor1" if policy in (FirstBlock, EachBranch) else "reuse"
    fast, run, seen = ran(policy(), model, predictor, True)
    other, slow, seen_slowly = ran(policy(), model, predictor, False)
    assert close(fast, other)
    assert (run.counts, run.realised, run.probe_calls) == (slow.counts, slow.realised, slow.probe_calls)
    assert run.cache_bytes == slow.cache_bytes
    assert len(seen) == len(seen_slowly) > 2
    assert all(a.shape == b.shape for a, b in zip(seen, seen_slowly, strict=True))
    scale = max(float(value.abs().max()) for value in seen_slowly)
    assert all(bool((a - b).abs().max() <= ROUNDING * scale) for a, b in zip(seen, seen_slowly, strict=True))


def test_guidance_in_two_forwards() -> None:
    model = fast_model("pixart")
    fast, run, _ = ran(FirstBlock(), model, "taylor1", True, forwards=2)
    other, slow, _ = ran(FirstBlock(), model, "taylor1", False, forwards=2)
    assert close(fast, other)
    assert (run.counts, run.realised) == (slow.counts, slow.realised)


def test_long_skips_run_by_the_denoisers_own_forward() -> None:
    model, policy = fast_model("uvit"), EachBranch()
    with cached(model.denoiser, policy, evals=EVALS, coordinates=model.timesteps) as run:
        model.run(run.step)
        assert not run.is_fast


def test_a_change_of_what_has_run_is_refused() -> None:
    class Late(EachBranch):
        def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
            return [False, *[True] * (len(evaluation.sites) - 1)]

    model = fast_model("dit")
    with cached(model.denoiser, Late(), evals=EVALS, coordinates=model.timesteps) as run:
        with pytest.raises(ValueError, match=r"decide_after changes .* which has run already"):
            model.run(run.step)
        assert run.forwards == 2
        run.step(0, model.timesteps[0])  # a new run: what broke off left nothing behind
        with torch.no_grad():
            model.denoiser(model.noise, timestep=torch.full((4,), 999), **model.constant)
        run.clock.void()
