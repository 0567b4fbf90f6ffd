"""The same seed gives the same sample, whatever the batch."""

import pytest
import torch
from torch import Tensor

from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.media.codecs import Png
from smoothbench.protocols import BLOCK, Model
from smoothbench.sampling.calibrate_point import calibration_batches
from smoothbench.sampling.loop import SeededNoise, latents
from smoothbench.solvers.ddim import DDIM
from tests.support.compose import composed


@pytest.fixture(scope="module")
def nano() -> Model:
    return build_model(settings(composed()).model, torch.device("cpu"))


@pytest.mark.slow
def test_the_same_samples_at_any_batch_size(nano: Model) -> None:
    """Bit-equal noise; the CPU's matrix kernels block by batch, which moves results by rounding alone.

    So latents agree to 1e-3 (of a range of 2), and pixels to one grey level, in under 1 % of them.
    """
    seeds = range(64)
    parts = {
        b: torch.cat([latents(nano, DDIM(8), seeds[i : i + b], nothing) for i in range(0, 64, b)])
        for b in (7, 64)
    }
    parts[1] = torch.cat([latents(nano, DDIM(8), [seed], nothing) for seed in seeds[:8]])
    for part in parts.values():
        in_one_batch = parts[64][: len(part)]
        torch.testing.assert_close(part, in_one_batch, rtol=0, atol=1e-3)
        grey = (nano.decode(part).int() - nano.decode(in_one_batch).int()).abs()
        assert grey.max() <= 1 and (grey > 0).float().mean() < 0.01


def test_noise_belongs_to_the_seed() -> None:
    in_one_batch, part = (
        SeededNoise(range(5), (3,), torch.device("cpu")),
        SeededNoise([3, 4], (3,), torch.device("cpu")),
    )
    for _ in range(2):
        assert torch.equal(in_one_batch()[3:], part())


def test_draws_of_a_calibration_have_no_seed_in_common(nano: Model) -> None:
    config = {"seed": 999, "num_samples": 6, "unconditional": False}
    draws = [calibration_batches(nano, {**config, "draw": draw}, 4) for draw in (0, 1, 2)]
    seeds = [seed for batches in draws for of_batch, _ in batches for seed in of_batch]
    assert seeds == list(range(999 * BLOCK, 999 * BLOCK + 18))


def test_classes_go_round_in_every_block(nano: Model) -> None:
    assert nano.labels_or_prompts(range(BLOCK, BLOCK + 12)).tolist() == [*range(10), 0, 1]


def test_guidance_of_one_is_the_conditional_model(nano: Model) -> None:
    x, y = torch.randn(2, *nano.sample_shape), torch.tensor([3, 4])
    with torch.inference_mode():
        expected = nano.denoiser(x, timestep=torch.tensor([500, 500]), class_labels=y).sample
        guided = nano.predict(x, 500.0, nano.conditioning(y), lambda forward_index: None)
        nano.guidance = 1
        torch.testing.assert_close(
            nano.predict(x, 500.0, nano.conditioning(y), lambda forward_index: None), expected
        )
        nano.guidance = 2.0
    assert not torch.allclose(guided, expected, atol=1e-3)


def test_samples_that_are_not_finite_are_named(nano: Model) -> None:
    class Broken(DDIM):
        def sample(self, state: Tensor) -> Tensor:
            return torch.cat([state[:1], state[1:2] * torch.nan, state[2:]])

    with pytest.raises(FloatingPointError, match=r"1 of 3 samples are not finite \(seeds \[8\]\)"):
        latents(nano, Broken(2), [7, 8, 9], nothing)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_lossless(channels: int) -> None:
    image = torch.randint(256, (channels, 5, 7)).to(torch.uint8)
    data = Png().encode(image)
    assert torch.equal(Png().decode(data), image) and Png().encode(image) == data


def nothing(e: int, t: float, forward_index: int) -> None: ...
