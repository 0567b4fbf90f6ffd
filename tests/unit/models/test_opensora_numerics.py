"""Open-Sora in half precision: what the denoiser is told is rounded as the original rounds it, or not at all."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.models.opensora.embeddings import positions
from smoothbench.models.opensora.published import OpenSora
from smoothbench.models.opensora.sizes import timestep_shift
from smoothbench.solvers.rflow import RectifiedFlow
from tests.support.latent_dits import CPU, refusal
from tests.support.opensora import opensora, published

TIME = 950.9  # 952 in bfloat16, whose neighbours are 4 apart there
EARLY = [998.3, 992.9, TIME]


@pytest.fixture(scope="module")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's parts, not to be written to."""
    return published(tmp_path_factory.mktemp("published"))


def half(folder: Path, **more: Any) -> OpenSora:
    return opensora(folder, dtype="bfloat16", **more)


def velocity(model: OpenSora, t: float) -> Tensor:
    x = torch.randn(1, *model.sample_shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return model.output(x, t, torch.tensor([1]))


def apart(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize(("numerics", "expected"), [("reference", [952, 24, 480, 856]), ("exact", None)])
def test_what_the_denoiser_is_told(
    tiny_repository: Path, numerics: str, expected: list[float] | None
) -> None:
    model = half(tiny_repository, numerics=numerics)
    model.height, model.width = 480, 854  # of the paper's clips
    seen: list[Any] = []
    model.denoiser.register_forward_pre_hook(lambda _, args: seen.extend(args))
    velocity(model, TIME)
    conditions = [seen[1].item(), seen[4].item(), seen[5], seen[6]]
    assert conditions == (expected or [pytest.approx(TIME), 24, 480, 854])


@pytest.mark.parametrize("t", EARLY)
def test_the_reference_is_what_half_precision_makes_of_rounded_numbers(
    tiny_repository: Path, t: float
) -> None:
    """What is left is the rounding of the arithmetic, far less than that of the time."""
    single, rounded = opensora(tiny_repository), torch.tensor(t).bfloat16().item()
    reference, exact = (velocity(half(tiny_repository, numerics=name), t) for name in ("reference", "exact"))
    assert apart(reference, velocity(single, rounded)) < 0.02
    assert apart(exact, velocity(single, t)) < 0.02
    assert apart(reference, exact) > 0.04


def test_in_single_precision_there_is_nothing_to_round(tiny_repository: Path) -> None:
    reference, exact = (
        opensora(tiny_repository, numerics=name, fps=23.976) for name in ("reference", "exact")
    )
    assert torch.equal(velocity(reference, TIME), velocity(exact, TIME))
    assert reference.identity == exact.identity


def test_the_identity_says_so_where_it_matters(tiny_repository: Path) -> None:
    by_default, exact = half(tiny_repository).identity, half(tiny_repository, numerics="exact").identity
    assert by_default == half(tiny_repository, numerics="reference").identity != exact
    assert {key for key in exact if exact[key] != by_default[key]} == {"model_numerics"}
    assert by_default["model_numerics"] == "reference"


def test_frequencies_of_positions_are_rounded_too(tiny_repository: Path) -> None:
    frequencies = 10_000.0 ** (-torch.arange(0, 8, 2) / 8)
    angles = torch.arange(3)[:, None] * frequencies.bfloat16().float()
    rounded = positions(1, 3, 16, 1.0, CPU, torch.bfloat16)
    torch.testing.assert_close(rounded[:, :4], torch.sin(angles * round(3**0.5) / 3))
    assert half(tiny_repository).denoiser.position_dtype == torch.bfloat16
    for other in (half(tiny_repository, numerics="exact"), opensora(tiny_repository)):
        assert other.denoiser.position_dtype == torch.float32


def test_the_sampler_s_shift_in_the_original_s_arithmetic(tiny_repository: Path) -> None:
    """480p, 9:16, 2 s: 480 * 856 / 512^2, its root, and that of 15, each rounded to bfloat16."""
    shift = timestep_shift(480, 854, 51, torch.bfloat16)
    assert shift == 4.84375 == 1.25 * 3.875
    large = {"resolution": "480p", "shift": shift}
    assert half(tiny_repository, **large).shift == shift
    for other in ({"dtype": "float32"}, {"dtype": "float16"}, {"dtype": "bfloat16", "numerics": "exact"}):
        refusal(
            lambda other=other: opensora(tiny_repository, **large, **other), "takes model.shift=4.8431199186"
        )
    refusal(lambda: half(tiny_repository, resolution="480p", shift=4.9), "takes model.shift=4.84375")
    assert (
        half(tiny_repository, resolution="480p", shift=timestep_shift(480, 854, 51)).unavailable_reason
        is None
    )
    times = [torch.tensor(t).bfloat16().item() for t in RectifiedFlow(30, shift).coordinates]
    assert times[:5] == [1000, 992, 984, 976, 968] and times[-3:] == [350, 258, 143]


def test_a_name_that_there_is_not(tiny_repository: Path) -> None:
    refusal(
        lambda: opensora(tiny_repository, numerics="diffusers"), "model.numerics must be reference or exact"
    )
