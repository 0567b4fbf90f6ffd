"""`numerics: reference` is the original DiT, `numerics: diffusers` is diffusers', and each difference alone."""

from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor
from torch.nn import functional as F

from smoothbench.models.dit.numerics import pixels
from smoothbench.sampling.loop import SeededNoise, latents, sampling_states, silent
from smoothbench.solvers.ddim import DDIM
from tests.oracles.dit_equations import (
    Shape,
    denoise,
    grid,
    guided,
    random_weights,
    timestep_features,
    trajectory,
)
from tests.support.latent_dits import CPU, latent_dit, original
from tests.support.solve import solve
from tests.support.tiny_pipelines import save_tiny_dit

SHAPE, SEEDS, SCALE = Shape(), [3, 4], 1.5
BOTH = ("reference", "diffusers")


def relative(ours: Tensor, theirs: Tensor) -> Tensor:
    """The largest difference after each step, over the largest value then."""
    return (ours - theirs).abs().amax((0, 2, 3, 4)) / theirs.abs().amax((0, 2, 3, 4))


@pytest.mark.parametrize("numerics", BOTH)
def test_a_guided_trajectory_against_the_equations(tmp_path: Path, numerics: str) -> None:
    """50 steps after each of which the sample agrees to 1e-4; by diffusers' numerics it does not at all."""
    weights = random_weights(SHAPE)
    model = original(tmp_path, weights, SHAPE, numerics=numerics, guidance=SCALE)
    ours = torch.stack([x for _, x in sampling_states(model, DDIM(50), SEEDS, silent)][1:], 1)
    x, labels = SeededNoise(SEEDS, model.sample_shape, CPU)(), model.labels_or_prompts(SEEDS)
    steps = trajectory(x, 50, lambda z, t: guided(weights, SHAPE, z, t, labels, SCALE))
    worst = relative(ours, torch.stack(list(steps), 1)).max()
    assert (worst < 1e-4) if numerics == "reference" else (worst > 0.1)


def test_one_forward_against_the_equations(tmp_path: Path) -> None:
    """For every class and the null class, at a timestep where the two sinusoids have nothing in common."""
    weights = random_weights(SHAPE, seed=1)
    model, labels = original(tmp_path, weights, SHAPE), torch.arange(11)
    x = torch.randn(11, *model.sample_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours = model.noise(x, 980.0, labels)
    theirs = denoise(weights, SHAPE, x, 980.0, labels)[:, :4]
    assert ours.shape == theirs.shape and ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=1e-5 * theirs.abs().max().item())


def test_the_grids() -> None:
    assert DDIM(50).coordinates == DDIM(50, numerics="reference").coordinates == tuple(map(float, grid(50)))
    assert DDIM(50, numerics="diffusers").coordinates == tuple(map(float, range(980, -1, -20)))
    with pytest.raises(ValueError, match=r"solver\.numerics must be reference or diffusers, not both"):
        DDIM(50, numerics="both")


@pytest.mark.parametrize("steps", [2, 7, 30, 50, 70, 1000])
def test_diffusers_grid_and_previous_step_are_the_schedulers(steps: int) -> None:
    """With the published scheduler's settings, also where the steps do not divide 1000."""
    scheduler = DDIMScheduler(clip_sample=False)
    scheduler = DDIMScheduler.from_config({**scheduler.config, "beta_schedule": "linear"}, beta_end=0.02)
    scheduler.set_timesteps(steps)
    solver = DDIM(steps, numerics="diffusers")
    assert scheduler.timesteps.tolist() == list(solver.coordinates)
    x = y = torch.randn(64, generator=torch.Generator().manual_seed(0))
    for t in scheduler.timesteps:
        y = scheduler.step(0.3 * torch.sin(3 * y) + t / 2000, t, y).prev_sample
    ours = solve(solver, x, lambda e, z, t: 0.3 * torch.sin(3 * z) + t / 2000)
    torch.testing.assert_close(ours, y, rtol=0, atol=2e-5 * y.abs().max().item())


def test_the_previous_step_on_the_references_grid() -> None:
    """From 979 the reference goes to 958, where it evaluates next; diffusers by 1000 // 50 to 959."""
    scheduler = DDIMScheduler(1000, 1e-4, 0.02, "linear", clip_sample=False, timestep_spacing="linspace")
    scheduler.set_timesteps(50)
    x, noise = torch.ones(1), torch.full((1,), 0.25)
    theirs = scheduler.step(noise, 979, x).prev_sample.item()
    seen: list[float] = []
    solve(DDIM(50), x, lambda e, z, t: seen.append(z.item()) or noise * (e == 1))
    bar = DDIM(50).alphas_bar()

    def stepped(earlier: int) -> float:
        clean = (1 - (1 - bar[979]).sqrt() * 0.25) / bar[979].sqrt()
        return (bar[earlier].sqrt() * clean + (1 - bar[earlier]).sqrt() * 0.25).item()

    assert theirs == pytest.approx(stepped(959), abs=1e-5) != pytest.approx(stepped(958), abs=1e-5)
    scaled = (bar[979] / bar[999]).sqrt().item()  # without noise the first step only scales
    assert seen[1] == pytest.approx(scaled)
    clean = (scaled - (1 - bar[979]).sqrt() * 0.25) / bar[979].sqrt()
    assert seen[2] == pytest.approx((bar[958].sqrt() * clean + (1 - bar[958]).sqrt() * 0.25).item())


@pytest.mark.parametrize(("t", "similarity"), [(100, 0.9917), (500, 0.816), (980, 0.499)])
def test_the_sinusoid_of_every_block(t: int, similarity: float) -> None:
    blocks = {each: latent_dit(None, numerics=each).denoiser.transformer_blocks for each in BOTH}
    theirs = timestep_features(t).float()
    for ours in (block.norm1.emb.time_proj(torch.tensor([t]))[0] for block in blocks["reference"]):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    for other in (block.norm1.emb.time_proj(torch.tensor([t]))[0] for block in blocks["diffusers"]):
        assert F.cosine_similarity(other, theirs, dim=0).item() == pytest.approx(similarity, abs=6e-4)


@pytest.mark.parametrize(("numerics", "eps"), [("reference", 1e-6), ("diffusers", 1e-5)])
def test_the_eps_before_the_feed_forward(numerics: str, eps: float) -> None:
    x = torch.tensor([1e-3, -1e-3]).repeat(16)  # of variance 1e-6
    for block in latent_dit(None, numerics=numerics).denoiser.transformer_blocks:
        normed = block.norm3(x)
        torch.testing.assert_close(normed, x / (1e-6 + eps) ** 0.5)


@pytest.mark.parametrize("scale", [1.0, 1.5, 4.0])
def test_the_guided_channels(tmp_path: Path, scale: float) -> None:
    save_tiny_dit(tmp_path)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([1, 2])
    for numerics in BOTH:
        model = latent_dit(tmp_path, numerics=numerics, guidance=scale)
        announced: list[int] = []
        with torch.inference_mode():
            cond, uncond = model.noise(x, 500.0, labels), model.noise(x, 500.0, model.unconditional(2))
            prediction = model.predict(x, 500.0, model.conditioning(labels), announced.append)
        guided_all = uncond + scale * (cond - uncond)
        expected = guided_all.clone()
        if numerics == "reference":
            expected[:, 3] = cond[:, 3]
            assert scale == 1 or not torch.allclose(expected, guided_all, atol=0.1)
        torch.testing.assert_close(prediction, expected, rtol=1e-4, atol=1e-4)
        assert announced == [0] and model.guidance_rows == (1 if scale == 1 else 2)


def test_the_rounding_to_pixels() -> None:
    levels = torch.tensor([0.0, 0.4, 0.6, 100.0, 100.4, 100.6, 254.4, 255.0, 300.0, -9.0])
    images = levels / 127.5 - 1
    assert pixels(images, "diffusers").tolist() == [0, 0, 1, 100, 100, 101, 254, 255, 255, 0]
    assert pixels(images, "reference").tolist() == [0, 0, 1, 100, 100, 101, 254, 255, 255, 0]
    half = torch.tensor([-1 / 127.5 / 2, 1 / 127.5 / 2, 1 / 127.5])  # 127, 128 and 128.5 of 255
    assert pixels(half, "diffusers").tolist() == [127, 128, 128]
    assert pixels(half, "reference").tolist() == [127, 128, 129]


def test_diffusers_numerics_are_its_pipelines(tmp_path: Path) -> None:
    """Same noise, same classes: at most one grey level apart, in under 1 % of the pixels."""
    pipe, steps = save_tiny_dit(tmp_path), 12
    images = {}
    for numerics in BOTH:
        model = latent_dit(tmp_path, numerics=numerics, guidance=4.0)
        x = latents(model, DDIM(steps, numerics=numerics), SEEDS, silent)
        images[numerics] = model.decode(x).permute(0, 2, 3, 1).int()
    theirs = pipe(
        class_labels=model.labels_or_prompts(SEEDS).tolist(),
        guidance_scale=4.0,
        generator=[torch.Generator().manual_seed(seed) for seed in SEEDS],
        num_inference_steps=steps,
        output_type="np",
    ).images
    apart = (images["diffusers"] - torch.from_numpy((theirs * 255).round()).int()).abs()
    assert apart.max() <= 1 and (apart > 0).float().mean() < 0.01
    assert (images["diffusers"] - images["reference"]).abs().max() > 10
