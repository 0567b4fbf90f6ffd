"""Other libraries change a denoiser before or inside the context: reuse goes on, and the model comes back as it was."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import dispatch_model
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn

from smoothbench.caching import Schedule, cached, find_sites
from tests.support.reused_by_hooks import reused_by_hooks
from tests.support.tiny_pipelines import call_arguments, tiny_dit_pipeline, tiny_pixart_pipeline

pytestmark = pytest.mark.slow

STEPS = 6
LEVELS = ("branch", "span", "denoiser")
Change = Callable[[Any], None]


class MeanAttention:
    """An attention processor of somebody else's: every token gets the mean of the values."""

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Any = None, **_: Any
    ) -> Tensor:
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        mean: Tensor = attn.to_out[0](attn.to_v(source).mean(1, keepdim=True))
        return mean.expand(-1, hidden_states.shape[1], -1)


def lora(pipe: Any) -> None:
    peft = pytest.importorskip("peft")
    targets = ["to_q", "to_v", "net.0.proj", "net.2"]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = peft.LoraConfig(r=4, target_modules=targets, init_lora_weights=False)
        peft.inject_adapter_in_model(config, pipe.transformer)
    pipe.transformer.eval()


def merged_lora(pipe: Any) -> None:
    lora(pipe)
    for module in pipe.transformer.modules():
        if hasattr(module, "merge"):
            module.merge()


def other_attention(pipe: Any) -> None:
    for module in pipe.transformer.modules():
        if hasattr(module, "set_processor"):
            module.set_processor(MeanAttention())


def eager_attention(pipe: Any) -> None:
    for module in pipe.transformer.modules():
        if hasattr(module, "set_processor"):
            module.set_processor(AttnProcessor())


def fused_projections(pipe: Any) -> None:
    for block in pipe.transformer.transformer_blocks:
        block.attn1.fuse_projections(fuse=True)


def checkpointing(pipe: Any) -> None:
    pipe.transformer.enable_gradient_checkpointing()


def stored_in_bfloat16(pipe: Any) -> None:
    pipe.transformer.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)


def device_map(pipe: Any) -> None:
    # of a model that is spread over devices: hooks on the blocks, of which one is read from disk at every forward
    children = {name: "cpu" for name, _ in pipe.transformer.named_children() if name != "transformer_blocks"}
    parameters = {name: "cpu" for name, _ in pipe.transformer.named_parameters(recurse=False)}
    blocks = {f"transformer_blocks.{i}": "cpu" for i in range(len(pipe.transformer.transformer_blocks))}
    folder = Path(tempfile.mkdtemp(dir=pipe.folder))
    places = children | parameters | blocks | {"transformer_blocks.1": "disk"}
    dispatch_model(pipe.transformer, places, main_device="cpu", offload_dir=str(folder), force_hooks=True)


def weight_norm(pipe: Any) -> None:
    for block in pipe.transformer.transformer_blocks:
        nn.utils.parametrizations.weight_norm(block.attn1.to_q)


CHANGES = [lora, merged_lora, other_attention, eager_attention, checkpointing]
CHANGES += [stored_in_bfloat16, device_map, weight_norm]


@pytest.fixture(params=[tiny_dit_pipeline, tiny_pixart_pipeline], ids=["dit", "pixart"])
def build(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    def built() -> Any:
        pipe = request.param()
        pipe.folder = tmp_path
        return pipe

    return built


def image(pipe: Any) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.as_tensor(pipe(**call_arguments(pipe), num_inference_steps=STEPS, generator=generator)[0])


def every_second(pipe: Any, level: str) -> Schedule:
    return Schedule.steps(find_sites(pipe.transformer, level), [e % 2 == 0 for e in range(STEPS)])


def timesteps(pipe: Any) -> list[float]:
    pipe.scheduler.set_timesteps(STEPS)
    return [float(t) for t in pipe.scheduler.timesteps]


def reference(pipe: Any, level: str) -> Tensor:
    with reused_by_hooks(pipe.transformer, find_sites(pipe.transformer, level), 2):
        return image(pipe)


def check_equal(got: Tensor, expected: Tensor, bare: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    assert (got - bare).abs().max() > 1e-3, "caching changed nothing"


@pytest.mark.parametrize("change", [*CHANGES, fused_projections])
def test_a_change_before_the_context(build: Callable[[], Any], change: Change) -> None:
    pipe = build()
    change(pipe)
    bare = image(pipe)
    for level in LEVELS:
        # by the time grid, so that a fast forward may run where it sees no change
        with cached(pipe.transformer, every_second(pipe, level), coordinates=timesteps(pipe)) as run:
            got = image(pipe)
        check_equal(got, reference(pipe, level), bare)
        assert run.skipped_share == 0.5
        assert torch.equal(image(pipe), bare)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_inside_the_context(build: Callable[[], Any], change: Change) -> None:
    changed = build()
    change(changed)
    bare = image(changed)
    for level in LEVELS:
        pipe = build()
        # by the time grid, so that a fast forward may run where it sees no change
        with cached(pipe.transformer, every_second(pipe, level), coordinates=timesteps(pipe)) as run:
            image(pipe)
            change(pipe)
            got = image(pipe)
        check_equal(got, reference(changed, level), bare)
        assert run.forwards == 2 * STEPS and run.skipped_share == 0.5
        assert torch.equal(image(pipe), bare)
