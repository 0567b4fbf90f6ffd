"""Exported schedules run in diffusers: the same evaluations are computed, and the samples are ours within rounding."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import FirstBlockCacheConfig

from baselines.fbcache import FBCache
from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.caching.saved_sites import saved_sites
from smoothbench.interop.schedules.first_block import first_block_threshold
from tests.support.exported import COMPUTED, exported, run_file, where
from tests.support.tiny_pipelines import call_arguments, tiny_pixart_pipeline
from tests.support.tiny_video_pipeline import tiny_ltx_pipeline, video_latents
from tests.support.witness_loop import EVALS, LEVELS, WitnessLoop, close, evaluations

WAN, FLUX = "WanTransformer3DModel", "FluxTransformer2DModel"
LAST = {FLUX: "single_transformer_blocks.2", WAN: "blocks.2"}


@pytest.mark.parametrize(("name", "forwards"), [(WAN, 2), (FLUX, 1)])
def test_a_mask_of_the_whole_stack_runs_as_mag_cache(tmp_path: Path, name: str, forwards: int) -> None:
    loop = WitnessLoop(name, forwards)
    bare, denoiser = loop.run(), loop.denoiser
    schedule = Schedule.steps(find_sites(denoiser, "span"), [bool(bit) for bit in COMPUTED])
    file = exported(tmp_path, schedule.to_json(), "diffusers")
    run_file(file).enable(SimpleNamespace(transformer=denoiser))
    with loop.computed(LAST[name]) as theirs:
        expected = loop.run(denoiser.cache_context)
    denoiser.disable_cache()
    with cached(denoiser, schedule, calls_per_eval=forwards):
        x = loop.run()
    assert theirs == [e for e in where(COMPUTED) for _ in range(forwards)]
    assert close(x, expected) and not close(x, bare, 1e-3)


@pytest.mark.parametrize(
    ("mask", "predictor"),
    [([1, 0, 0] * 4, "reuse"), ([1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1], "taylor1")],
    ids=["from the first one", "with a warm-up and a protected end"],
)
def test_branches_at_even_intervals_run_as_taylorseer(
    tmp_path: Path, mask: list[int], predictor: str
) -> None:
    loop = WitnessLoop(WAN)
    bare, denoiser = loop.run(), loop.denoiser
    data = {"attn": mask, "attn2": mask, "mlp": [1] * EVALS}
    file = exported(tmp_path, data, "diffusers", "--predictor", predictor)
    run_file(file).enable(SimpleNamespace(transformer=denoiser))
    with loop.computed("blocks.1.attn1") as theirs, loop.computed("blocks.1.ffn") as other:
        expected = loop.run(denoiser.cache_context)
    denoiser.disable_cache()
    with cached(denoiser, Schedule.from_json(data, find_sites(denoiser)), predictor=predictor):
        x = loop.run()
    assert theirs == where(mask) and len(other) == EVALS
    assert close(x, expected, 1e-4) and not close(x, bare, 1e-3)


def ltx(pipe: Any, **more: Any) -> torch.Tensor:
    return video_latents(pipe, EVALS, **more)


@pytest.mark.parametrize(
    "masks",
    [
        {"attn": [1, 1, 1, *[0, 1] * 3, 1, 1, 1], "attn2": [1, 0, 0] * 4},
        {"attn": [1, 0, 0, 0] * 3, "attn2": [1, 0, 0, 0] * 3, "mlp": [1, 0, 0, 0] * 3},
    ],
    ids=["pyramid", "taylorseer"],
)
def test_a_pipeline_runs_the_file_and_gives_our_samples(tmp_path: Path, masks: dict[str, list[int]]) -> None:
    data = {"mlp": [1] * EVALS} | masks
    ours, theirs = tiny_ltx_pipeline(), tiny_ltx_pipeline()
    theirs.transformer.save_pretrained(tmp_path / "pipe/transformer")
    file = exported(tmp_path, data, "diffusers", "--model", str(tmp_path / "pipe"))
    run_file(file).enable(theirs)
    schedule = Schedule.from_json(data, find_sites(ours.transformer))
    with cached(ours.transformer, schedule) as run:
        x = ltx(ours, callback_on_step_end=run.step_callback())
    for _ in range(2):  # a second call starts anew
        assert close(ltx(theirs), x)
    assert evaluations(run.realised, 0) == where(masks["attn"])
    assert not close(ltx(tiny_ltx_pipeline()), x, 1e-3)


class WindowedPipe:
    """A pipeline that samples by a witness loop, and tells which timestep runs."""

    def __init__(self, loop: WitnessLoop) -> None:
        self.loop, self.transformer = loop, loop.denoiser
        self.scheduler = SimpleNamespace(timesteps=torch.tensor(LEVELS))

    @property
    def current_timestep(self) -> torch.Tensor:
        return self.scheduler.timesteps[self.loop.e]


WINDOWS = {"attn": [1, 1, 1, *[0, 1] * 3, 1, 1, 1], "attn2": [1, 0, 0, 0, 0] * 2 + [1, 0], "mlp": [1] * EVALS}


def test_a_second_run_of_the_pyramid_begins_anew_in_any_transformer(tmp_path: Path) -> None:
    loop = WitnessLoop(WAN)
    run_file(exported(tmp_path, WINDOWS, "diffusers")).enable(WindowedPipe(loop))
    for _ in range(2):
        with loop.computed("blocks.1.attn1") as to_itself, loop.computed("blocks.1.attn2") as to_text:
            loop.run()
        assert (to_itself, to_text) == (where(WINDOWS["attn"]), where(WINDOWS["attn2"]))


def test_the_pyramid_refuses_a_second_forward_in_an_evaluation(tmp_path: Path) -> None:
    loop = WitnessLoop(WAN, forwards=2)
    run_file(exported(tmp_path, WINDOWS, "diffusers")).enable(WindowedPipe(loop))
    with pytest.raises(ValueError, match="guidance takes a second forward"):
        loop.run()


def test_a_pipeline_without_contexts_runs_mag_cache(tmp_path: Path) -> None:
    ours, theirs = tiny_pixart_pipeline(), tiny_pixart_pipeline()
    data = {"span-0-1": [*COMPUTED]}
    file = exported(tmp_path, data, "diffusers")
    run_file(file).enable(theirs)
    schedule = Schedule.load(
        tmp_path / "schedule.json", saved_sites(tmp_path / "schedule.json", ours.transformer)
    )

    def sample(pipe: Any) -> torch.Tensor:
        generator = torch.Generator().manual_seed(5)
        arguments = call_arguments(pipe) | {"num_inference_steps": EVALS, "output_type": "latent"}
        return torch.as_tensor(pipe(**arguments, generator=generator)[0])

    with cached(ours.transformer, schedule):
        x = sample(ours)
    for _ in range(2):
        assert close(sample(theirs), x, 1e-4)
    assert not close(sample(ours), x, 1e-3)


def test_the_file_refuses_a_transformer_with_other_blocks(tmp_path: Path) -> None:
    file = exported(tmp_path, {"span-0-27": [*COMPUTED]}, "diffusers")
    with pytest.raises(ValueError, match="is for 28 blocks, this transformer has 3"):
        run_file(file).enable(SimpleNamespace(transformer=WitnessLoop(WAN).denoiser))


def test_first_block_cache_computes_a_schedule_by_a_threshold_of_the_run() -> None:
    """The schedule is what FBCache computed; one that skips large changes and computes small ones is refused."""
    loop = WitnessLoop(WAN)
    with cached(loop.denoiser, FBCache(0.45), evals=EVALS) as run:
        expected = loop.run()
    full = [bits[-1] for bits in run.realised]
    schedule = Schedule.steps(find_sites(loop.denoiser, "span"), full)
    threshold = first_block_threshold(loop.denoiser, loop.run, schedule)
    loop.denoiser.enable_cache(FirstBlockCacheConfig(threshold=threshold))
    with loop.computed(LAST[WAN]) as theirs:
        x = loop.run(loop.denoiser.cache_context)
    loop.denoiser.disable_cache()
    assert theirs == [e for e, bit in enumerate(full) if bit] and 1 < sum(full) < EVALS
    assert close(x, expected)
    early = Schedule.steps(find_sites(loop.denoiser, "span"), [e != 1 for e in range(EVALS)])
    with pytest.raises(
        ValueError, match=r"no threshold of FirstBlockCache computes evaluation .* and not 1, "
    ):
        first_block_threshold(loop.denoiser, loop.run, early)
