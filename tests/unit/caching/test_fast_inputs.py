"""What a fast forward makes of inputs that need gradients, that lie on a device, or whose timesteps differ."""

import pytest
import torch

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.models.nano.image.model import PixelDiT
from tests.support.fast_models import EVALS, FastModel, fast_model
from tests.support.pretended_cuda import CUDA, pretended_cuda


def schedule(dit: FastModel) -> Schedule:
    return Schedule.steps(find_sites(dit.denoiser), [e % 3 == 0 for e in range(EVALS)])


def test_gradients_of_the_inputs_need_the_models_own_forward() -> None:
    dit = fast_model("dit")
    labels, gradients = dit.constant["class_labels"], []
    for fast in (True, False):
        x = dit.noise.clone().requires_grad_(True)
        with cached(dit.denoiser, schedule(dit), coordinates=dit.timesteps, fast=fast) as run:
            output = x
            for e, t in enumerate(dit.timesteps):
                run.step(e, t)
                sample = dit.denoiser(output, torch.full((4,), int(t)), labels).sample
                output = output - 0.2 * sample[:, : x.shape[1]]
            assert not run.is_fast
            gradients += torch.autograd.grad(output.sum(), x)
    assert torch.equal(*gradients)


def test_gradients_within_a_run_that_began_fast_are_refused() -> None:
    dit = fast_model("dit")
    labels = dit.constant["class_labels"]
    with (
        pytest.raises(ValueError, match="evaluation 1 needs gradients of the DiTTransformer2DModel"),
        cached(dit.denoiser, schedule(dit), coordinates=dit.timesteps) as run,
    ):
        for e, t in enumerate(dit.timesteps):
            run.step(e, t)
            x = dit.noise.clone().requires_grad_(e > 0)
            dit.denoiser(x, torch.full((4,), int(t)), labels)
            assert run.is_fast


@pytest.mark.parametrize("announced", [False, True])
def test_rows_at_different_timesteps_on_a_device(announced: bool) -> None:
    """They are read with the timestep of the evaluation; an announced one is taken for that of all rows."""
    with pretended_cuda():
        model, outputs = PixelDiT("dit_nano", "dit", 2.0, CUDA), []
        policy = Schedule.steps(find_sites(model.denoiser), [True, False, False])
        x, labels = torch.randn(3, 1, 28, 28, device=CUDA), torch.tensor([1, 2, 1], device=CUDA)

        def sample(fast: bool) -> None:
            with cached(model.denoiser, policy, coordinates=(900.0, 600.0, 300.0), fast=fast) as run:
                for e, t in enumerate((900, 600, 300)):
                    if announced:
                        run.step(e, float(t))
                    time = torch.tensor([t, t, t - 50], device=CUDA)
                    output = model.denoiser(x, timestep=time, class_labels=labels).sample
                    assert run.is_fast is fast
                outputs.append(output.cpu())

        sample(fast=False)
        if announced:
            with pytest.raises(ValueError, match="the DiTTransformer2DModel got other timesteps than"):
                sample(fast=True)
        else:
            sample(fast=True)
            torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


def test_classes_that_change_in_place_on_a_device_are_followed() -> None:
    with pretended_cuda(), torch.no_grad():
        model, outputs = PixelDiT("dit_nano", "dit", 2.0, CUDA), []
        policy = Schedule.steps(find_sites(model.denoiser), [True, False, False])
        x = torch.randn(2, 1, 28, 28, device=CUDA)
        for fast in (True, False):
            labels = torch.tensor([1, 2], device=CUDA)
            with cached(model.denoiser, policy, coordinates=(900.0, 600.0, 300.0), fast=fast) as run:
                for e, t in enumerate((900, 600, 300)):
                    run.step(e, float(t))
                    time = torch.full((2,), t, device=CUDA)
                    output = model.denoiser(x, timestep=time, class_labels=labels).sample
                    labels.add_(3)
                assert run.is_fast is fast
            outputs.append(output.cpu())
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["dit", "stable_audio", "pixart", "sana"])
def test_a_timestep_without_rows_is_that_of_all(name: str) -> None:
    model, outputs = fast_model(name), []
    policy = Schedule.steps(find_sites(model.denoiser), [True, True], {"method": "none"})
    for rows in ((), (len(model.noise),)):
        with cached(model.denoiser, policy, coordinates=model.timesteps[:2]) as run, torch.no_grad():
            for e, t in enumerate(model.timesteps[:2]):
                run.step(e, t)
                time = torch.full(rows if e else (len(model.noise),), t).to(model.time_dtype)
                inputs = {model.main: model.noise, "timestep": time, **model.constant}
                output = model.denoiser(**inputs, return_dict=False)[0]
            assert run.is_fast
        outputs.append(output)
    assert torch.equal(*outputs)


@pytest.mark.parametrize("name", ["dit", "stable_audio", "pixart", "sana"])
def test_the_class_of_the_output_is_the_denoisers_own(name: str) -> None:
    model = fast_model(name)
    inputs = {model.main: model.noise, **model.constant}
    inputs["timestep"] = torch.full((len(model.noise),), model.timesteps[0]).to(model.time_dtype)
    sites = find_sites(model.denoiser)
    for return_dict in (True, False):
        bare = model.denoiser(**inputs, return_dict=return_dict)
        full = Schedule.steps(sites, [True], {"method": "none"})
        with cached(model.denoiser, full, coordinates=model.timesteps[:1]) as run, torch.no_grad():
            run.step(0, model.timesteps[0])
            output = model.denoiser(**inputs, return_dict=return_dict)
            assert run.is_fast
        assert type(output) is type(bare)
