"""Exported masks run in cache-dit: the same evaluations are computed, and what it reuses is our span."""

from pathlib import Path
from typing import Any

import pytest
import torch

from smoothbench.caching import Schedule, cached, find_sites
from tests.support.exported import COMPUTED, exported, where
from tests.support.tiny_pipelines import call_arguments, tiny_pixart_pipeline
from tests.support.witness_loop import EVALS, WitnessLoop, close

cache_dit: Any = pytest.importorskip(
    "cache_dit", reason="not installed: pip install -c constraints.txt -e '.[peers]'"
)

WAN, FLUX = "WanTransformer3DModel", "FluxTransformer2DModel"
LAST = {FLUX: "single_transformer_blocks.2", WAN: "blocks.2"}
WARM = [1, 1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("key", "mask", "predictor", "forwards"),
    [
        ("span-1-2", COMPUTED, "reuse", 2),
        ("span-1-2", WARM, "taylor1", 1),
        ("span-1-2", WARM, "taylor2", 1),
        ("span-0-2", COMPUTED, "reuse", 1),
        ("span-1-1", COMPUTED, "reuse", 1),
    ],
)
def test_the_same_evaluations_and_samples(
    tmp_path: Path, key: str, mask: list[int], predictor: str, forwards: int
) -> None:
    """Of the whole stack it computes the first block all the same, so that the samples are those of the rest."""
    ours, theirs = WitnessLoop(WAN, forwards), WitnessLoop(WAN, forwards)
    bare = ours.run()
    ours.denoiser.save_pretrained(tmp_path / "model")  # type: ignore[operator]
    options = ("--predictor", predictor, "--forwards", str(forwards), "--model", str(tmp_path / "model"))
    file = exported(tmp_path, {key: [*mask]}, "cache-dit", *options)
    cache_dit.enable_cache(theirs.denoiser, **cache_dit.load_configs(str(file)))
    with theirs.computed("blocks.1") as computed, theirs.computed("blocks.0") as first:
        expected = theirs.run()
    assert computed == [e for e in where(mask) for _ in range(forwards)] and len(first) == EVALS * forwards
    last = int(key[-1])
    rest = Schedule.from_json({f"span-1-{last}": [*mask]}, find_sites(ours.denoiser, "span", [(1, last)]))
    with cached(ours.denoiser, rest, predictor=predictor, calls_per_eval=forwards):
        x = ours.run()
    assert close(x, expected) and not close(x, bare, 1e-3)


def test_of_a_model_with_two_lists_of_blocks_the_whole_stack_is_reused(tmp_path: Path) -> None:
    loop = WitnessLoop(FLUX)
    schedule = Schedule.steps(find_sites(loop.denoiser, "span"), [bool(bit) for bit in COMPUTED])
    cache_dit.enable_cache(
        loop.denoiser, **cache_dit.load_configs(str(exported(tmp_path, schedule.to_json(), "cache-dit")))
    )
    with loop.computed("transformer_blocks.1") as computed, loop.computed(LAST[FLUX]) as last:
        loop.run()
    assert computed == last == where(COMPUTED)


def test_a_pipeline_runs_the_file(tmp_path: Path) -> None:
    """Twice, as its context must start anew."""
    ours, theirs = tiny_pixart_pipeline(), tiny_pixart_pipeline()
    theirs.transformer.save_pretrained(tmp_path / "pipe/transformer")
    file = exported(tmp_path, {"span-1-1": [*COMPUTED]}, "cache-dit", "--model", str(tmp_path / "pipe"))
    cache_dit.enable_cache(theirs, **cache_dit.load_configs(str(file)))
    schedule = Schedule.from_json({"span-1-1": [*COMPUTED]}, find_sites(ours.transformer, "span", [(1, 1)]))

    def sample(pipe: Any) -> torch.Tensor:
        generator = torch.Generator().manual_seed(5)
        arguments = call_arguments(pipe) | {"num_inference_steps": EVALS, "output_type": "latent"}
        return torch.as_tensor(pipe(**arguments, generator=generator)[0])

    with cached(ours.transformer, schedule):
        x = sample(ours)
    for _ in range(2):
        assert close(sample(theirs), x, 1e-4)
    assert not close(sample(ours), x, 1e-3)
