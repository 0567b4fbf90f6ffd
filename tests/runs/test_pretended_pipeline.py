"""A pipeline of diffusers on a pretended CUDA device: what caching adds to what the pipeline itself waits for."""

from collections import Counter

import torch

from smoothbench.caching import Schedule, cached, find_sites
from tests.support.pretended_cuda import Event, pretended_cuda, synchronisations
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
