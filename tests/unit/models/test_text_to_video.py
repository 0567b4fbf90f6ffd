"""What text-to-video models share: guidance rows, captions that differ in length, costs, identity."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.caching import calibrate, find_sites
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.media.codecs import Webp
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.opensora.base import TextToVideo
from smoothbench.sampling.loop import latents, silent
from smoothbench.solvers.rflow import RectifiedFlow
from tests.oracles.stdit3_equations import TINY, tiny

WORDS = (2, 5, 3)  # of each prompt


class Tiny(TextToVideo):
    """Random captions; its denoised clip is the sample."""

    def __init__(self, folder: Path, guidance: float = 3.0, **more: Any) -> None:
        (folder / "prompts.txt").write_text("one\ntwo\nthree\n")
        asked: dict[str, Any] = {"fps": 8, "height": 32, "width": 48, "shift": 1.5, "tokens": 4}
        kept: dict[str, Any] = {"name": "tiny", "device": torch.device("cpu"), "guidance": guidance}
        shape = (4, 3, 4, 6)
        super().__init__(
            Prompts(str(folder / "prompts.txt")), config=dict(TINY), shape=shape, **asked, **kept, **more
        )
        self.media = Webp(8)
        self.denoiser = tiny()
        self.identity = self._identity("0" * 64)
        self.said = torch.randn(3, 1, 6, 8, generator=torch.Generator().manual_seed(0))

    def context(self, labels_or_prompts: Tensor) -> tuple[Tensor, Tensor]:
        null: Any = self.denoiser.get_submodule("y_embedder").y_embedding
        lengths = torch.tensor([*WORDS, 6])[labels_or_prompts]
        mask = torch.arange(6) < lengths[:, None]
        return torch.cat([self.said, null[None, None]])[labels_or_prompts], mask[:, : int(lengths.max())]


@pytest.fixture
def tiny_model(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 4, 3, 4, 6, generator=torch.Generator().manual_seed(1))


def alone(model: Tiny, x: Tensor, captions: Tensor) -> Tensor:
    """The first half of the channels, for one row and the words that it has."""
    got = model.denoiser(x, torch.tensor([700.0]), captions, None, torch.tensor([8.0]), 32.0, 48.0)
    return got[:, :4]


def test_guidance_goes_from_the_null_caption_of_the_prompts_length(tiny_model: Tiny, x: Tensor) -> None:
    got = tiny_model.predict(
        x, 700.0, tiny_model.conditioning(torch.tensor([0, 1])), lambda forward_index: None
    )
    null: Any = tiny_model.denoiser.get_submodule("y_embedder").y_embedding
    for row, words in enumerate(WORDS[:2]):
        cond = alone(tiny_model, x[row : row + 1], tiny_model.said[row : row + 1, :, :words])
        uncond = alone(tiny_model, x[row : row + 1], null[None, None, :words])
        assert (cond - uncond).abs().max() > 1e-3
        torch.testing.assert_close(got[row], (uncond + 3 * (cond - uncond))[0], rtol=0, atol=1e-4)


def test_conditional_rows_come_first_and_in_one_forward(tiny_model: Tiny, x: Tensor) -> None:
    seen: list[tuple[Any, ...]] = []
    announced: list[int] = []
    handle = tiny_model.denoiser.register_forward_pre_hook(lambda _, args: seen.append(args))
    tiny_model.predict(x, 700.0, tiny_model.conditioning(torch.tensor([0, 1])), announced.append)
    handle.remove()
    assert announced == [0] and len(seen) == 1
    assert torch.equal(seen[0][0], torch.cat([x, x])) and torch.equal(seen[0][2][:2], tiny_model.said[:2])
    assert torch.equal(seen[0][2][2], seen[0][2][3]) and seen[0][3].shape == (2, 5)


def test_without_guidance_there_are_no_unconditional_rows(tmp_path: Path, x: Tensor) -> None:
    model = Tiny(tmp_path, guidance=1)
    labels_or_prompts = torch.tensor([2, 0])
    assert model.guidance_rows == 1
    one = model.predict(x, 700.0, model.conditioning(labels_or_prompts), lambda forward_index: None)
    assert torch.equal(one, model.output(x, 700.0, labels_or_prompts)) and one.shape == x.shape
    nothing = model.output(x, 700.0, model.unconditional(2))
    null: Any = model.denoiser.get_submodule("y_embedder").y_embedding
    torch.testing.assert_close(nothing[:1], alone(model, x[:1], null[None, None]), rtol=0, atol=1e-5)


def test_a_sample_does_not_depend_on_its_batch(tiny_model: Tiny) -> None:
    """Nor on how long the other prompts are."""
    solver = RectifiedFlow(4, tiny_model.shift)
    together = latents(tiny_model, solver, [0, 1, 2], silent)
    for seed in range(3):
        alone = latents(tiny_model, solver, [seed], silent)[0]
        torch.testing.assert_close(alone, together[seed], rtol=0, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_costs_are_those_of_the_words_that_are_counted(tiny_model: Tiny) -> None:
    """Without storage, and the same as counted while sampling where all prompts are that long."""
    sites, rest = measured_sites(*tiny_model.skeleton())
    cross = next(site for site in sites if site.kind == "temporal_cross_attn")
    assert cross.macs_linear == 2 * 2 * 32**2 * (18 + tiny_model.tokens), "two rows of 18 tokens"
    assert [s.name for s in sites] == [
        s.name for s in find_sites(tiny_model.denoiser)
    ] and rest.attention == 0
    tiny_model.tokens = WORDS[1]
    sites, rest = measured_sites(*tiny_model.skeleton())
    solver = RectifiedFlow(3, tiny_model.shift)
    seen = calibrate(
        tiny_model.denoiser, lambda: latents(tiny_model, solver, [1, 4], silent), k_max=2
    ).trajectory
    assert seen.sites == sites and (seen.rest_macs, seen.rest_macs_linear) == (rest.total, rest.linear)


def test_what_decides_a_sample_is_in_its_identity(tmp_path: Path, tiny_model: Tiny) -> None:
    assert tiny_model.identity == Tiny(tmp_path).identity
    assert tiny_model.identity["fps"] == 8 and tiny_model.identity["height"] == 32
    (other := tmp_path / "other").mkdir()
    changed = Tiny(other, guidance=2.0).identity
    assert [key for key in changed if changed[key] != tiny_model.identity[key]] == ["guidance"]
    assert tiny_model.labels_or_prompts([0, 1, 2, 3]).tolist() == [0, 1, 0, 1], (
        "the last prompt is held for calibration"
    )
    assert tiny_model.unconditional(2).tolist() == [-1, -1]
