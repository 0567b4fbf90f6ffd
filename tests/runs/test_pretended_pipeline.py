"""A pipeline of diffusers on a pretended CUDA device: what caching adds to what the pipeline itself waits for."""

from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from smoothbench.caching import Schedule, cached, find_sites
from smoothbench.models.pipeline.model import Pipeline
from smoothbench.sampling.loop import latents, silent
from smoothbench.solvers.pipeline_scheduler import PipelineScheduler
from tests.support.pretended_cuda import CUDA, Event, pretended_cuda, synchronisations
from tests.support.saved_pipelines import FAMILIES, PROMPTS, built
from tests.support.tiny_pipelines import call_arguments, tiny_dit_pipeline

STEPS = 6


def of_caching(events: list[Event]) -> Counter[str]:
    """The lines of the engine that made the host wait."""
    lines = (line.partition(":")[0] for line in synchronisations(events))
    return Counter(line for line in lines if line.startswith("smoothbench/"))


def test_a_pipeline_that_announces_nothing_waits_once_a_forward_for_its_timestep() -> None:
    """It is how evaluations are told apart; nothing else is read, and the images are those of the CPU."""
    images = []
    for device in ("cpu", "cuda"):
        with pretended_cuda() as ledger:
            pipe = tiny_dit_pipeline().to(device)
            sites = find_sites(pipe.transformer)
            schedule = Schedule.steps(sites, [e % 2 == 0 for e in range(STEPS)], {"method": "x"})
            generator = torch.Generator().manual_seed(0)
            with ledger.since() as events, cached(pipe.transformer, schedule) as run:
                arguments = {**call_arguments(pipe, 2), "num_inference_steps": STEPS, "generator": generator}
                images.append(torch.from_numpy(pipe(**arguments).images))
        expected = {"smoothbench/caching/timestep.py": STEPS} if device == "cuda" else {}
        assert of_caching(events) == expected and set(run.calls.values()) == {STEPS // 2}
    torch.testing.assert_close(images[1], images[0], rtol=1e-3, atol=1e-3)


def test_offloading_moves_modules_to_the_device_and_changes_no_bit(tmp_path: Path) -> None:
    """accelerate's own hooks: one by one (`sequential`), weights are on the device while their module runs."""
    family = FAMILIES["FLUX"]
    built(family).save_pretrained(tmp_path)

    def sampled(offload: str) -> tuple[Tensor, Tensor, bool]:
        settings = {"prompts": list(PROMPTS), "arguments": family.arguments, "dtype": "float32"}
        model = Pipeline(str(tmp_path), CUDA, offload=offload, **settings)
        solver = model.at(PipelineScheduler(4))
        schedule = Schedule.steps(find_sites(model.denoiser), [True, False] * 2, {"method": "x"})
        with cached(model.denoiser, schedule, coordinates=solver.coordinates) as run:
            reused = latents(model, solver, range(2), run.step)
        assert set(run.calls.values()) == {2}
        return reused, latents(model, solver, range(2), silent), next(model.denoiser.parameters()).is_cuda

    with pretended_cuda():
        *plain, stays = sampled("none")
        assert stays and not torch.equal(*plain)
        for offload in ("model", "sequential"):
            *offloaded, stays = sampled(offload)
            assert not stays and all(map(torch.equal, offloaded, plain))
