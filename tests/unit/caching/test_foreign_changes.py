"""Changes of a denoiser that the engine cannot follow, or that a calibration does not hold for: one clear line."""

import copy
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.hooks import LayerSkipConfig, apply_layer_skip
from torch import Tensor, nn

from smoothbench.caching import ErrorCurves, Schedule, SmoothCache, cached, calibrate, find_sites
from smoothbench.caching.fingerprint import fingerprint
from tests.support.linear_denoiser import EVALS, Denoiser, falls, sample
from tests.support.reused_by_hooks import reused_by_hooks
from tests.support.tiny_dit import TinyDiT, build_tiny, fora


@pytest.fixture
def tiny() -> TinyDiT:
    return build_tiny()


class LowRank(nn.Module):
    """A linear layer with an adapter of rank 1, built around the layer as adapter libraries do."""

    def __init__(self, base_layer: nn.Module, width: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.down, self.up = nn.Linear(width, 1, bias=False), nn.Linear(1, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.base_layer(x) + self.up(self.down(x))
        return output


def adapted(dit: TinyDiT) -> None:
    for block in dit.denoiser.transformer_blocks:
        block.attn1.to_q = LowRank(block.attn1.to_q, 16)


def quantised(dit: TinyDiT) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        dit.denoiser = torch.ao.quantization.quantize_dynamic(dit.denoiser, {nn.Linear}, dtype=torch.qint8)


def other_block(dit: TinyDiT) -> None:
    dit.denoiser.transformer_blocks[1].attn1.to_out[0] = nn.Identity()


def other_weights(dit: TinyDiT) -> None:
    with torch.no_grad():
        dit.denoiser.transformer_blocks[0].ff.net[2].weight.mul_(2)


def compiled(dit: TinyDiT) -> None:
    for block in dit.denoiser.transformer_blocks:
        block.attn1 = torch.compile(block.attn1, backend="eager")


def planned(dit: TinyDiT) -> Schedule:
    curves = calibrate(dit.denoiser, dit.run)
    return SmoothCache(0.5).plan(curves.trajectory, curves)


@pytest.mark.parametrize("change", [adapted, quantised, other_block])
def test_a_denoiser_that_changed_since_its_calibration_is_said_to(
    tiny: TinyDiT, change: Callable[[TinyDiT], None]
) -> None:
    schedule = planned(tiny)
    change(tiny)
    message = (
        r"planned on a DiTTransformer2DModel with 63 parameters of [\d,]+ weights \(.*\), and this is a .*"
    )
    with (
        pytest.warns(UserWarning, match=message + "calibrate again") as warned,
        cached(tiny.denoiser, schedule),
    ):
        tiny.run()
    assert warned[0].filename == __file__


@pytest.mark.parametrize("change", [other_weights, compiled, lambda dit: dit.denoiser.double().float()])
def test_what_the_fingerprint_does_not_see(tiny: TinyDiT, change: Callable[[TinyDiT], None]) -> None:
    schedule = planned(tiny)
    change(tiny)
    with warnings.catch_warnings(action="error", category=UserWarning), cached(tiny.denoiser, schedule):
        tiny.run()


def test_the_fingerprint_is_kept_in_files_of_curves_and_schedules(tiny: TinyDiT, tmp_path: Path) -> None:
    curves = calibrate(tiny.denoiser, tiny.run)
    curves.save(tmp_path / "curves.npz")
    read = ErrorCurves.load(tmp_path / "curves.npz")
    assert read.denoiser == curves.denoiser == fingerprint(tiny.denoiser)
    SmoothCache(0.5).plan(read.trajectory, read).save(tmp_path / "schedule.json")
    schedule = Schedule.load(tmp_path / "schedule.json", find_sites(tiny.denoiser))
    adapted(tiny)
    with pytest.warns(UserWarning, match="calibrate again"), cached(tiny.denoiser, schedule):
        tiny.run()


def test_quantised_layers_are_reused_and_their_uncounted_costs_are_said(tiny: TinyDiT) -> None:
    quantised(tiny)
    bare = tiny.run()
    sites = find_sites(tiny.denoiser)
    schedule = Schedule.steps(sites, [e % 2 == 0 for e in range(tiny.evals)])
    with cached(tiny.denoiser, schedule) as run:
        reused = tiny.run()
    with reused_by_hooks(tiny.denoiser, sites, 2):
        torch.testing.assert_close(reused, tiny.run())
    assert run.skipped_share == 0.5 and torch.equal(tiny.run(), bare) and not torch.equal(reused, bare)
    message = (
        r"no MACs of linear layers were counted in blocks\.0\.self_attn, .* and others.*are they quantised"
    )
    with pytest.warns(UserWarning, match=message):
        calibrate(tiny.denoiser, tiny.run)


def test_a_site_that_is_replaced_inside_the_context_is_named() -> None:
    model = Denoiser()
    schedule = Schedule.steps(find_sites(model), [e % 2 == 0 for e in range(EVALS)])
    with cached(model, schedule):
        expected = sample(model, falls)
        inner = model.blocks[1].ff
        model.blocks[1].ff = LowRank(inner, 8)
        with pytest.raises(
            ValueError, match=r"blocks\.1\.ff: the Linear at blocks\.1\.ff was replaced inside"
        ):
            sample(model, falls)
        model.blocks[1].ff = inner
        assert torch.equal(sample(model, falls), expected)


def test_a_block_that_is_replaced_inside_the_context_is_named(tiny: TinyDiT) -> None:
    schedule = Schedule.steps(find_sites(tiny.denoiser, "span"), [e % 2 == 0 for e in range(tiny.evals)])
    with cached(tiny.denoiser, schedule):
        tiny.run()
        tiny.denoiser.transformer_blocks[1] = copy.deepcopy(tiny.denoiser.transformer_blocks[1])
        with pytest.raises(
            ValueError, match=r"blocks\.0-2\.span: the BasicTransformerBlock at transformer_blocks\.1"
        ):
            tiny.run()


def test_skipped_layers_are_refused(tiny: TinyDiT) -> None:
    apply_layer_skip(tiny.denoiser, LayerSkipConfig(indices=[1], fqn="transformer_blocks"))
    with (
        pytest.raises(ValueError, match=r"blocks\.1\.self_attn did not run"),
        cached(tiny.denoiser, fora(tiny)),
    ):
        tiny.run()


def test_gradient_checkpointing_is_warned_of_where_gradients_are_on(tiny: TinyDiT) -> None:
    tiny.denoiser.enable_gradient_checkpointing()
    with warnings.catch_warnings(action="error", category=UserWarning), cached(tiny.denoiser, fora(tiny)):
        tiny.run()
    x, labels = torch.randn(2, 1, 8, 8), torch.tensor([1, 2])
    with cached(tiny.denoiser, fora(tiny)):
        with pytest.warns(UserWarning, match="has gradient checkpointing on: a backward pass"):
            tiny.denoiser(x, timestep=torch.tensor([999, 999]), class_labels=labels)
        for e in range(1, tiny.evals):
            output = tiny.denoiser(x, timestep=torch.tensor([999 - e] * 2), class_labels=labels).sample
        with pytest.raises(ValueError, match=r"blocks\.2\.self_attn ran outside any forward"):
            output.sum().backward()


def test_a_backward_pass_through_reused_outputs(tiny: TinyDiT) -> None:
    x, labels = torch.randn(2, 1, 8, 8), torch.tensor([1, 2])
    with cached(tiny.denoiser, fora(tiny)) as run:
        for e in range(tiny.evals):
            output = tiny.denoiser(x, timestep=torch.tensor([999 - e] * 2), class_labels=labels).sample
        output.square().sum().backward()
    gradient = tiny.denoiser.transformer_blocks[0].attn1.to_q.weight.grad
    assert run.skipped_share > 0 and gradient is not None and gradient.abs().sum() > 0


def test_a_wrapper_that_calls_the_denoiser_by_name(tiny: TinyDiT) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False)
    wrapper = peft.get_peft_model(tiny.denoiser, config).eval()
    outer = TinyDiT(wrapper)
    with reused_by_hooks(tiny.denoiser, find_sites(tiny.denoiser), 2):
        expected = tiny.run()
    for handle in (wrapper, tiny.denoiser):
        schedule = Schedule.steps(find_sites(handle), [e % 2 == 0 for e in range(tiny.evals)])
        with cached(handle, schedule) as run:
            torch.testing.assert_close(outer.run(), expected)
        assert run.skipped_share == 0.5
