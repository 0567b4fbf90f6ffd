"""Where anything about a denoiser is not as its class made it, the denoiser's own forward runs, with the same bits."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import DiTTransformer2DModel
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from smoothbench.caching import Run, Schedule, cached, find_sites
from smoothbench.caching.predictor import History, Predictor
from tests.support.fast_models import EVALS, FastModel, fast_model


@pytest.fixture
def dit() -> FastModel:
    return copy.deepcopy(fast_model("dit"))


def schedule(dit: FastModel, meta: dict[str, Any] | None = None) -> Schedule:
    return Schedule.steps(find_sites(dit.denoiser), [e % 3 == 0 for e in range(EVALS)], meta)


def sampled(dit: FastModel, **arguments: Any) -> tuple[Tensor, Run, bool]:
    """The sample, the run, and whether it was fast."""
    given = {"coordinates": dit.timesteps} | arguments
    with cached(dit.denoiser, schedule(dit), **given) as run:
        return dit.run(run.step), run, run.is_fast


def test_the_grid_of_the_schedule_is_enough_and_without_one_nothing_is_fast(dit: FastModel) -> None:
    planned = schedule(dit, {"coordinates": dit.timesteps})
    with cached(dit.denoiser, planned) as run:
        dit.run()
        assert run.is_fast
    assert not sampled(dit, coordinates=None)[2]
    assert not sampled(dit, fast=False)[2]
    with pytest.raises(ValueError, match="3 coordinates, but the run has 7 evaluations"):
        sampled(dit, coordinates=(3.0, 2.0, 1.0))


def lora(denoiser: nn.Module) -> None:
    class Adapted(nn.Linear):
        """As adapters do: the layer is of another class."""

    layer = denoiser.transformer_blocks[1].norm1.linear
    adapted = Adapted(layer.in_features, layer.out_features)
    adapted.load_state_dict(layer.state_dict())
    denoiser.transformer_blocks[1].norm1.linear = adapted


def hook(denoiser: nn.Module) -> None:
    denoiser.transformer_blocks[0].norm3.register_forward_hook(lambda module, args, output: output)


def hook_of_a_branch(denoiser: nn.Module) -> None:
    denoiser.transformer_blocks[0].ff.register_forward_pre_hook(lambda module, args: None)


def other_forward(denoiser: nn.Module) -> None:
    block = denoiser.transformer_blocks[0]
    own = block.forward
    block.forward = lambda *args, **kwargs: own(*args, **kwargs)


def parametrized(denoiser: nn.Module) -> None:
    torch.nn.utils.parametrizations.weight_norm(denoiser.proj_out_2)


def training(denoiser: nn.Module) -> None:
    denoiser.train()
    denoiser.transformer_blocks.eval()  # or classes are dropped at random


def tensor_of_another_class(denoiser: nn.Module) -> None:
    class Quantised(nn.Parameter):
        """As quantised weights are."""

        @classmethod
        def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            with torch._C.DisableTorchFunctionSubclass():
                return function(*args, **(kwargs or {}))

    denoiser.proj_out_2.weight = Quantised(denoiser.proj_out_2.weight.data, requires_grad=False)


def class_dropout(denoiser: nn.Module) -> None:
    denoiser.transformer_blocks[1].norm1.emb.class_embedder.train()


CHANGES = [lora, hook, hook_of_a_branch, other_forward, parametrized, tensor_of_another_class]


@pytest.mark.parametrize("change", [*CHANGES, training, class_dropout])
def test_a_changed_model_runs_its_own_forward(dit: FastModel, change: Callable[[nn.Module], None]) -> None:
    change(dit.denoiser)
    torch.manual_seed(3)
    sample, _, fast = sampled(dit)
    assert not fast
    torch.manual_seed(3)
    assert torch.equal(sample, sampled(dit, fast=False)[0])


@pytest.mark.parametrize("kind", [BasicTransformerBlock, DiTTransformer2DModel])
def test_a_patch_of_a_class_runs(
    dit: FastModel, monkeypatch: pytest.MonkeyPatch, kind: type[nn.Module]
) -> None:
    own = kind.forward

    @functools.wraps(own)
    def patched(self: nn.Module, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        return own(self, hidden_states * 0.5, *args, **kwargs)

    monkeypatch.setattr(kind, "forward", patched)
    sample, _, fast = sampled(dit)
    assert not fast
    assert torch.equal(sample, sampled(dit, fast=False)[0])


@pytest.mark.parametrize("change", CHANGES[:4])
def test_a_change_between_two_runs_is_noticed(dit: FastModel, change: Callable[[nn.Module], None]) -> None:
    with cached(dit.denoiser, schedule(dit), coordinates=dit.timesteps) as run:
        dit.run(run.step)
        assert run.is_fast
        change(dit.denoiser)
        dit.run(run.step)
        assert not run.is_fast


def test_a_block_replaced_between_two_runs_is_noticed(dit: FastModel) -> None:
    with cached(dit.denoiser, schedule(dit), coordinates=dit.timesteps) as run:
        dit.run(run.step)
        dit.denoiser.transformer_blocks[2] = copy.deepcopy(fast_model("dit").denoiser.transformer_blocks[0])
        with pytest.raises(ValueError, match="was replaced inside the context"):
            dit.run(run.step)


def test_new_weights_between_two_runs_count(dit: FastModel) -> None:
    with cached(dit.denoiser, schedule(dit), coordinates=dit.timesteps) as run:
        first = dit.run(run.step)
        with torch.no_grad():
            dit.denoiser.transformer_blocks[1].norm1.linear.weight.mul_(1.5)
        second = dit.run(run.step)
        assert run.is_fast and not torch.equal(first, second)
    torch.testing.assert_close(second, sampled(dit, fast=False)[0], rtol=1e-4, atol=1e-5)


def test_gradients_and_hooks_on_all_modules_need_the_models_own_forward(dit: FastModel) -> None:
    handle = nn.modules.module.register_module_forward_hook(lambda module, args, output: None)
    assert not sampled(dit)[2]
    handle.remove()
    dit.denoiser.requires_grad_(True)
    assert sampled(dit)[2]  # under no_grad
    time, labels = torch.full((4,), 999), dit.constant["class_labels"]
    with pytest.raises(KeyError), cached(dit.denoiser, schedule(dit), coordinates=dit.timesteps) as run:
        run.step(0, 999.0)
        dit.denoiser(dit.noise, timestep=time, class_labels=labels).sample.sum().backward()
        assert not run.is_fast
        raise KeyError
    assert dit.denoiser.proj_out_2.weight.grad is not None


class Damped:
    """A predictor that cannot tell its weights."""

    depth, coordinate = 1, "index"

    def __call__(self, history: History, now: float) -> Tensor:
        return 0.9 * history[0][1]


def test_a_predictor_without_weights_is_not_fast(dit: FastModel) -> None:
    damped: Predictor = Damped()
    assert not sampled(dit, predictor=damped)[2]


def test_arguments_that_the_parts_do_not_know(dit: FastModel) -> None:
    labels = {"class_labels": dit.constant["class_labels"]}
    for extra in ({"cross_attention_kwargs": {"scale": None}}, {"cross_attention_kwargs": None}):
        with cached(dit.denoiser, schedule(dit), coordinates=dit.timesteps) as run:
            dit.constant = labels | extra
            dit.run(run.step)
            assert run.is_fast is (extra["cross_attention_kwargs"] is None)
    with (
        pytest.raises(
            ValueError, match="evaluation 2 gives the DiTTransformer2DModel other kinds of arguments"
        ),
        cached(dit.denoiser, schedule(dit), coordinates=dit.timesteps) as run,
    ):
        dit.constant = labels

        def step(e: int, t: float, index: int) -> None:
            run.step(e, t, index)
            dit.constant = labels | ({"cross_attention_kwargs": {"scale": None}} if e == 2 else {})

        dit.run(step)


def test_conditions_that_change_within_a_run_are_followed(dit: FastModel) -> None:
    def run_of(step: Callable[[int, float, int], None]) -> Tensor:
        dit.constant = {"class_labels": torch.tensor([1, 7, 1, 10])}

        def at(e: int, t: float, index: int) -> None:
            step(e, t, index)
            if e == 3:  # in place, in a tensor that is known
                dit.constant["class_labels"].copy_(torch.tensor([5, 5, 2, 10]))

        return dit.run(at)

    samples = []
    for fast in (True, False):
        with cached(dit.denoiser, schedule(dit), coordinates=dit.timesteps, fast=fast) as run:
            samples.append(run_of(run.step))
            assert run.is_fast is fast
    torch.testing.assert_close(*samples, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_timesteps_that_the_denoiser_gets_decide(dit: FastModel, shift: float) -> None:
    """The coordinates are only what is computed ahead."""
    coordinates = [t + shift for t in dit.timesteps]
    sample, _, fast = sampled(dit, coordinates=coordinates)
    assert fast
    torch.testing.assert_close(sample, sampled(dit, fast=False)[0], rtol=1e-4, atol=1e-5)


def test_rows_at_different_timesteps(dit: FastModel) -> None:
    outputs = []
    for fast in (True, False):
        with (
            cached(dit.denoiser, schedule(dit), coordinates=dit.timesteps, fast=fast) as run,
            torch.no_grad(),
        ):
            for e in range(EVALS):
                run.step(e, dit.timesteps[e])
                time = torch.tensor([900, 901, 902, 10]) - e
                output = dit.denoiser(dit.noise, time, dit.constant["class_labels"])
            outputs.append(output.sample)
            assert run.is_fast is fast
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
