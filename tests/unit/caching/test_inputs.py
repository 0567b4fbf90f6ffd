"""Predictors that look at the inputs of sites: those of kept outputs, and those of skipped ones."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smoothbench.caching import MacCounter, Schedule, Trajectory, cached, find_sites
from smoothbench.caching.mac_counter import site_costs
from smoothbench.caching.predictor import History
from tests.support.small_policies import FirstInput
from tests.support.tiny_denoisers import TINY
from tests.support.tiny_dit import TinyDiT


@dataclass
class AddedAgain:
    """Add again what the site added to its input when it was last computed."""

    depth: int = 1
    coordinate: str = "index"

    def predict(self, history: History, inputs: History, now: float, given: Tensor) -> Tensor:
        (at, output), (same, entered) = history[0], inputs[0]
        assert at == same < now and len(history) == len(inputs)
        return given + (output - entered)


class Length(AddedAgain):
    """Scale the last output by how long its input is now."""

    def predict(self, history: History, inputs: History, now: float, given: Tensor) -> Tensor:
        assert inputs[0][0] == history[0][0] and given.shape == inputs[0][1].shape
        return history[0][1] * (given.norm() / inputs[0][1].norm())


class TwoStreams(nn.Module):
    """A denoiser of two streams, of which the second does not depend on the first."""

    def forward(self, x: Tensor, timestep: Tensor, sound: Tensor) -> tuple[Tensor, Tensor]:
        return 0.5 * x, 2.0 * sound


def test_an_input_says_nothing_of_a_second_stream() -> None:
    denoiser = TwoStreams()
    schedule = Schedule.steps(find_sites(denoiser, "denoiser"), [True, False, True], {})
    x, sound = torch.ones(1, 4, 8), torch.ones(1, 3, 8)
    with cached(denoiser, schedule, predictor=AddedAgain()) as run:
        outputs = []
        for e in range(3):
            run.step(e)
            outputs.append(denoiser(x + e, torch.tensor(3 - e), sound))
    assert torch.equal(outputs[1][0], 0.5 * x + 1) and torch.equal(outputs[1][1], outputs[0][1])


def every_third(tiny: TinyDiT, level: str) -> Schedule:
    return Schedule.steps(find_sites(tiny.denoiser, level), [e % 3 == 0 for e in range(12)])


def test_what_the_denoiser_adds_to_its_input(tiny: TinyDiT) -> None:
    with cached(tiny.denoiser, every_third(tiny, "denoiser"), predictor=AddedAgain()) as run:
        x = tiny.run()
    z = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(5)).repeat(2, 1, 1, 1)
    labels, added = torch.tensor([0, 1, 10, 10]), torch.zeros(())
    with torch.inference_mode():
        for e, t in enumerate(torch.linspace(999, 0, 12).long()):
            out = z + added
            if e % 3 == 0:
                out = tiny.denoiser(z, timestep=t.expand(4), class_labels=labels).sample
                added = out - z
            z = z - 0.2 * out
    assert torch.equal(x, z) and run.calls == {"denoiser": 4}
    assert run.cache_bytes == 2 * 4 * 64 * 4  # an output and an input


@pytest.mark.parametrize("level", ["branch", "span"])
def test_the_inputs_of_skipped_sites(tiny: TinyDiT, level: str) -> None:
    seen: list[Tensor] = []
    place = tiny.denoiser.transformer_blocks[0]
    hooked = place.attn1 if level == "branch" else place
    bare, schedule = tiny.run(), every_third(tiny, level)

    def call() -> None:
        tiny.run(evals=1, batch=1)

    measured, rest = site_costs(tiny.denoiser, find_sites(tiny.denoiser, level), call, samples=1)
    trajectory = Trajectory(measured, tuple(range(12)), rest.total, rest.linear)
    with MacCounter() as counter, cached(tiny.denoiser, schedule, predictor=Length()) as run:
        tiny.run(batch=1)
    assert trajectory.cost(run.calls).total == counter.macs().total

    def note(module: Any, args: Any, kwargs: Any) -> None:
        seen.append(args[0] if args else kwargs["hidden_states"])

    class First(Length):
        """At the first site alone, whose inputs a hook sees."""

        def predict(self, history: History, inputs: History, now: float, given: Tensor) -> Tensor:
            if history[0][1].data_ptr() == first[-1].data_ptr() or level == "span":
                assert torch.equal(given, seen[int(now)]) and torch.equal(
                    inputs[0][1], seen[int(inputs[0][0])]
                )
            return super().predict(history, inputs, now, given)

    first: list[Tensor] = []
    hooks = [hooked.register_forward_pre_hook(note, with_kwargs=True)]
    hooks.append(hooked.register_forward_hook(lambda module, args, output: first.append(output)))
    with cached(tiny.denoiser, schedule, predictor=First()):
        x = tiny.run()
    for hook in hooks:
        hook.remove()
    assert len(seen) == 12 and not torch.equal(x, bare) and torch.equal(tiny.run(), bare)


def test_an_input_is_not_taken_for_that_of_a_site_that_was_given_up(tiny: TinyDiT) -> None:
    with cached(tiny.denoiser, FirstInput(0.6), predictor=AddedAgain(), evals=12) as run:
        tiny.run()
    assert 2 < sum(run.probe_calls.values()) < 11


def test_an_input_that_a_reuse_leaves_out_is_refused() -> None:
    denoiser = TINY["FluxTransformer2DModel"].build("FluxTransformer2DModel")
    schedule = Schedule.steps(find_sites(denoiser), [True, False])
    with (
        pytest.raises(ValueError, match=r"AddedAgain looks at inputs, but that of .* is made by modules"),
        cached(denoiser, schedule, predictor=AddedAgain()),
    ):
        pass
