"""Adapters, fused projections, offloading and compiled blocks by diffusers' own methods, on FLUX and Wan."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.caching import Schedule, cached, find_sites
from tests.support.reused_by_hooks import reused_by_hooks
from tests.support.tiny_denoisers import TINY

pytestmark = pytest.mark.slow

EVALS = 6
Change = Callable[[Any], None]


def adapter(denoiser: Any) -> None:
    peft = pytest.importorskip("peft")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        targets = ["to_q", "to_v", "proj_mlp", "proj_out", "net.2"]
        denoiser.add_adapter(peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    denoiser.eval()


def fused_projections(denoiser: Any) -> None:
    denoiser.fuse_qkv_projections()


def group_offload(denoiser: Any) -> None:
    denoiser.enable_group_offload(torch.device("cpu"), offload_type="block_level", num_blocks_per_group=1)


def leaf_offload(denoiser: Any) -> None:
    denoiser.enable_group_offload(torch.device("cpu"), offload_type="leaf_level")


@pytest.fixture(params=["FluxTransformer2DModel", "WanTransformer3DModel"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def built(name: str, change: Change | None = None) -> Any:
    denoiser: Any = TINY[name].build(name)
    if change is not None:
        change(denoiser)
    return denoiser


def outputs(name: str, denoiser: Any) -> Tensor:
    levels = [1 - e / EVALS for e in range(EVALS)]
    with torch.no_grad():
        forwards = [denoiser(**TINY[name].at(level), return_dict=False)[0] for level in levels]
    return torch.stack(forwards)


def every_second(denoiser: Any, level: str) -> Schedule:
    return Schedule.steps(find_sites(denoiser, level), [e % 2 == 0 for e in range(EVALS)])


def reused(name: str, denoiser: Any, level: str) -> Tensor:
    with cached(denoiser, every_second(denoiser, level)) as run:
        result = outputs(name, denoiser)
    assert run.skipped_share == 0.5
    return result


@pytest.mark.parametrize("change", [adapter, fused_projections, group_offload, leaf_offload])
def test_a_change_before_the_context(name: str, change: Change) -> None:
    denoiser = built(name, change)
    bare = outputs(name, denoiser)
    for level in ("branch", "denoiser"):
        with reused_by_hooks(denoiser, find_sites(denoiser, level), 2):
            expected = outputs(name, denoiser)
        torch.testing.assert_close(reused(name, denoiser, level), expected)
    assert not torch.allclose(reused(name, denoiser, "span"), bare)
    assert torch.equal(outputs(name, denoiser), bare)


@pytest.mark.parametrize("change", [adapter, fused_projections, group_offload, leaf_offload])
def test_a_change_inside_the_context(name: str, change: Change) -> None:
    changed = built(name, change)
    for level in ("span", "denoiser"):
        denoiser = built(name)
        with cached(denoiser, every_second(denoiser, level)):
            outputs(name, denoiser)
            change(denoiser)
            result = outputs(name, denoiser)
        torch.testing.assert_close(result, reused(name, changed, level))
        assert torch.equal(outputs(name, denoiser), outputs(name, changed))


def test_an_adapter_around_a_branch_s_own_layer_is_refused_inside() -> None:
    flux = built("FluxTransformer2DModel")
    message = (
        r"single_blocks\.0\.attn_ff: the Linear at single_transformer_blocks\.0\.proj_out was replaced inside"
    )
    with cached(flux, every_second(flux, "branch")):
        outputs("FluxTransformer2DModel", flux)
        adapter(flux)
        with pytest.raises(ValueError, match=message):
            outputs("FluxTransformer2DModel", flux)


def test_repeated_blocks_stay_compiled_where_spans_are_reused() -> None:
    name = "FluxTransformer2DModel"
    denoiser = built(name)
    expected = reused(name, denoiser, "span")
    graphs: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            graphs.append(1)
            return graph.forward(*args)

        return run

    denoiser.compile_repeated_blocks(backend=backend, fullgraph=True)
    outputs(name, denoiser)
    before, _ = len(graphs), graphs.clear()
    torch.testing.assert_close(reused(name, denoiser, "span"), expected)
    assert len(graphs) == before / 2 > 0
