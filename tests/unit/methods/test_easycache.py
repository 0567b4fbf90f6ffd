"""EasyCache against its rule in float64: the decisions, the outputs; and its refusals."""

from collections.abc import Callable

import pytest
import torch

from baselines.add_input import AddInput
from baselines.easycache import EasyCache
from smoothbench.caching import Evaluation, cached, find_sites
from tests.oracles.double_dit import DoubleDiT
from tests.oracles.easycache import easycache
from tests.support.tiny_dit import TinyDiT

Step = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of the sample and the denoiser's output


@pytest.mark.parametrize(("threshold", "warmup"), [(0.15, 1), (0.2, 3), (0.5, 2), (12.0, 3)])
def test_it_follows_its_rule(tiny: TinyDiT, threshold: float, warmup: int) -> None:
    expected, computed = easycache(DoubleDiT(tiny.denoiser), threshold, warmup)
    policy = EasyCache(threshold, warmup)
    for _ in range(2):  # the second run starts clean
        with cached(tiny.denoiser, policy, predictor=AddInput(), evals=12) as run:
            x = tiny.run()
        assert [bits[0] for bits in run.realised] == computed and warmup < sum(computed) < 12
        assert torch.allclose(x.double(), expected, atol=2e-4)
        assert run.calls == {"denoiser": sum(computed)}


def test_a_threshold_of_0_gives_the_uncached_bits(tiny: TinyDiT) -> None:
    with (
        pytest.warns(UserWarning, match="skipped nothing"),
        cached(tiny.denoiser, EasyCache(0), predictor=AddInput(), evals=12),
    ):
        x = tiny.run()
    assert torch.equal(x, tiny.run())


def test_the_first_forward_of_an_evaluation_decides_for_both(tiny: TinyDiT) -> None:
    """However the second one's inputs and outputs change."""
    (site,) = find_sites(tiny.denoiser, "denoiser")
    generator = torch.Generator().manual_seed(3)

    def run(indices: tuple[str, ...]) -> list[list[bool]]:
        policy, decided = EasyCache(0.5, warmup=2), []
        for e in range(9):
            bits = []
            for index in indices:
                steady = torch.linspace(1, 2, 6).reshape(2, 3) * (1 + 0.1 * e)
                x = steady if index == "cond" else torch.randn(2, 3, generator=generator)
                evaluation = Evaluation(e, 9, None, index, x, (site,), starts_run=(e, index) == (0, "cond"))
                bits += policy.decide(evaluation)
                if bits[-1]:
                    policy.observe(site, evaluation, lambda: None, (3 * x,))
            decided.append(bits)
        return decided

    both, alone = run(("cond", "uncond")), run(("cond",))
    assert [bits[0] for bits in both] == [bits[1] for bits in both] == [bits[0] for bits in alone]
    assert 2 < sum(bits[0] for bits in alone) < 9


def looped(tiny: TinyDiT, step: Step) -> tuple[torch.Tensor, list[tuple[bool, ...]]]:
    """The last sample of a loop of 12 steps, and what was computed."""
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(5))
    labels, policy = torch.tensor([1, 2]), EasyCache(0.5, warmup=2)
    with (
        torch.inference_mode(),
        cached(tiny.denoiser, policy, predictor=AddInput(), evals=12) as under_way,
    ):
        for t in torch.linspace(999, 0, 12).long():
            x = step(x, tiny.denoiser(x, timestep=t.expand(2), class_labels=labels).sample)
    return x, under_way.realised


@pytest.mark.parametrize(
    "step",
    [lambda x, output: x.sub_(output * 0.2), lambda x, output: x - output.mul_(0.2)],
    ids=["sample", "output"],
)
def test_a_loop_that_changes_tensors_in_place_gives_the_same(tiny: TinyDiT, step: Step) -> None:
    (in_place, realised), (fresh, expected) = (
        looped(tiny, step),
        looped(tiny, lambda x, output: x - output * 0.2),
    )
    assert realised == expected and 2 < sum(bits[0] for bits in realised) < 12
    assert torch.equal(in_place, fresh)


def test_channels_that_the_input_does_not_have_are_reused() -> None:
    x, y = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    given = torch.randn(2, 3, 4)
    predicted = AddInput().predict([(0.0, y)], [(0.0, x)], 1.0, given)
    assert torch.equal(predicted[:, 3:], y[:, 3:])
    assert torch.equal(predicted[:, :3], y[:, :3] + (given - x))


@pytest.mark.parametrize("axis", [1, 2])
def test_channels_that_the_output_does_not_have_are_left_out(axis: int) -> None:
    """Of a masked picture beside the sample: as packed tokens they are last."""
    shape = [2, 5, 5]
    x, given = torch.randn(shape), torch.randn(shape)
    shape[axis] = 3
    y = torch.randn(shape)
    kept = y.clone()
    predicted = AddInput().predict([(0.0, y)], [(0.0, x)], 1.0, given)
    assert torch.equal(predicted, y + (given - x).narrow(axis, 0, 3)) and torch.equal(y, kept)


def test_refusals() -> None:
    for threshold in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="EasyCache's threshold must be a finite number from 0, not"):
            EasyCache(threshold)
    for warmup in (0, 2.0):
        with pytest.raises(ValueError, match="EasyCache's warmup must be a whole number from 1, not"):
            EasyCache(0.1, warmup)  # type: ignore[arg-type]
