"""Blocks of denoisers: their order and streams, the spans that they allow, and what a model declares itself."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from smoothbench.caching import ErrorCurves, MacCounter, Schedule, cached, calibrate, find_sites
from smoothbench.caching.compiled import Compiled
from smoothbench.caching.policy import Evaluation
from smoothbench.models.opensora.stdit3 import STDiT3
from smoothbench.models.uvit.architecture import UViT
from tests.support.tiny_denoisers import TINY

NOISE = (0.9, 0.5, 0.2)


def tiny(name: str) -> nn.Module:
    return TINY[name].build(name)


def kinds(denoiser: nn.Module, part: str) -> set[str]:
    """The kinds of the branches whose path has a part."""
    return {site.kind for site in find_sites(denoiser) if part in site.path}


@pytest.mark.parametrize(
    ("name", "over_time"),
    [
        ("I2VGenXLUNet", ("transformer_in", "temp_attentions", "image_latents_temporal_encoder")),
        ("UNet3DConditionModel", ("transformer_in", "temp_attentions")),
        ("UNetMotionModel", ("motion_modules",)),
        ("UNetSpatioTemporalConditionModel", ("temporal_transformer_blocks",)),
    ],
)
def test_layers_over_time_and_over_space_have_their_own_kinds(name: str, over_time: Sequence[str]) -> None:
    denoiser = tiny(name)
    for part in over_time:
        assert {kind.split("_")[0] for kind in kinds(denoiser, part)} == {"temporal"}
    rest = [s for s in find_sites(denoiser) if not any(part in s.path for part in over_time)]
    assert rest and {site.kind.split("_")[0] for site in rest} == {"spatial"}


def test_every_branch_of_sound_and_blocks_without_self_attention_are_sites() -> None:
    assert kinds(tiny("LTX2VideoTransformer3DModel"), "audio") == {
        *("audio_self_attn", "audio_cross_attn", "audio_ff"),
        *("audio_to_video_attn", "video_to_audio_attn"),
    }
    dreamlite = find_sites(tiny("DreamLiteUNetModel"))
    assert [site.kind for site in dreamlite if ".0.attentions.0." in site.path][:2] == ["cross_attn", "ff"]


def test_blocks_over_space_and_time_take_turns() -> None:
    (span,) = find_sites(tiny("LatteTransformer3DModel"), "span", [(1, 4)])
    assert span.blocks == (
        *("temporal_transformer_blocks.0", "transformer_blocks.1"),
        *("temporal_transformer_blocks.1", "transformer_blocks.2"),
    )


@pytest.mark.parametrize(
    ("name", "span", "problem"),
    [
        (
            "ChromaTransformer2DModel",
            (1, 3),
            "have different streams; a span lies within blocks 0 to 2 or 3 to 5",
        ),
        ("MotifVideoTransformer3DModel", (0, 4), "within blocks 0 to 2 or 3 to 4"),
        ("HunyuanDiT2DModel", (0, 2), "block 3 reads what block 0 gives, so that it must be in the span too"),
        ("UNet2DConditionModel", (1, 4), "block 5 reads what block 1 gives"),
        ("UNet1DModel", (1, 6), "block 7 reads what block 1 gives"),
        ("FluxTransformer2DModel", (0, 6), "it has blocks 0 to 5"),
    ],
)
def test_spans_over_different_streams_and_past_skips_are_refused(
    name: str, span: tuple[int, int], problem: str
) -> None:
    with pytest.raises(ValueError, match=f"no span of blocks {span[0]} to {span[1]} in {name}: .*{problem}"):
        find_sites(tiny(name), "span", [span])


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("FluxTransformer2DModel", [(1, 4)]),
        ("SD3Transformer2DModel", [(0, 1), (2, 3)]),
        ("UNet2DConditionModel", [(2, 4)]),
        ("HunyuanDiT2DModel", [(1, 2), (3, 3)]),
    ],
)
def test_nothing_inside_a_reused_span_runs(name: str, spans: list[tuple[int, int]]) -> None:
    denoiser = tiny(name)
    sites = find_sites(denoiser, "span", spans)
    ran: list[nn.Module] = []
    inside = [part for s in sites for path in s.blocks for part in denoiser.get_submodule(path).modules()]
    for linear in (part for part in inside if isinstance(part, nn.Linear)):
        linear.register_forward_hook(lambda module, *_: ran.append(module))
    with torch.no_grad():
        denoiser(**TINY[name].at(NOISE[0]))
        in_a_forward = len(ran)
        with cached(denoiser, Schedule.steps(sites, (True, False, True), {"method": "x"})):
            for level in NOISE:
                denoiser(**TINY[name].at(level))
    assert len(ran) == 3 * in_a_forward > 0


@pytest.mark.parametrize(
    ("name", "feeders"),
    [
        ("FluxTransformer2DModel", ("attn", "proj_mlp")),
        ("HunyuanVideoTransformer3DModel", ("attn", "proj_mlp")),
        ("PRXTransformer2DModel", ("gate_proj", "up_proj")),
        ("MiniMaxMusic3Transformer1DModel", ("ff_in",)),
    ],
)
def test_what_feeds_a_branch_alone_is_part_of_its_cost_and_left_out_with_it(
    name: str, feeders: tuple[str, ...], tmp_path: Path
) -> None:
    denoiser = tiny(name)
    sites = find_sites(denoiser)
    fed = next(site for site in sites if site.feeders)
    assert fed.feeders == tuple(f"{fed.path.rpartition('.')[0]}.{feeder}" for feeder in feeders)
    curves = calibrate(denoiser, lambda: [denoiser(**TINY[name].at(level)) for level in NOISE])
    curves.save(tmp_path / "curves.npz")
    assert ErrorCurves.load(tmp_path / "curves.npz").trajectory == curves.trajectory
    schedule = Schedule.steps(sites, (True, False), {"method": "x"})
    with torch.no_grad(), cached(denoiser, schedule), MacCounter() as counter:
        denoiser(**TINY[name].at(NOISE[0]))
        computed = counter.macs().total
        denoiser(**TINY[name].at(NOISE[1]))
    assert counter.macs().total - computed == curves.trajectory.rest_macs


def test_a_branch_that_runs_twice_in_a_forward_is_one_site() -> None:
    """CogView 4 has one feed-forward for picture and text: both outputs are kept, and a third call is refused."""
    denoiser = tiny("CogView4Transformer2DModel")
    sites = find_sites(denoiser)
    assert [site.calls for site in sites] == [1, 2] * 3
    schedule = Schedule.steps(sites, (True, False, False), {"method": "x"})
    arguments = [TINY["CogView4Transformer2DModel"].at(level) for level in NOISE]
    with torch.no_grad(), cached(denoiser, schedule) as run:
        for given in arguments:
            denoiser(**given)
    assert run.calls == dict.fromkeys(schedule.sites, 1)
    assert run.cache_bytes == 3 * 2 * 4 * 2 * (16 + 6) * 32
    block = denoiser.transformer_blocks[1]
    block.norm2.register_forward_hook(lambda _, args, output: (block.ff(output), output)[1])
    with (
        torch.no_grad(),
        cached(denoiser, schedule),
        pytest.raises(ValueError, match=r"blocks\.1\.ff ran twice in forward 1"),
    ):
        denoiser(**arguments[0])
    with pytest.raises(
        ValueError, match=r"blocks\.0\.ff runs 2 times in a forward, which no graph here can follow"
    ):
        Compiled(denoiser)


def test_stdit3_and_uvit_have_the_blocks_of_the_sites_that_they_declare() -> None:
    with torch.device("meta"):
        video = STDiT3(hidden_size=24, depth=2, num_heads=2, caption_channels=8)
        picture = UViT(img_size=8, embed_dim=16, depth=4, num_heads=2, num_classes=3)
    (span,) = find_sites(video, "span")
    assert span.name == "blocks.0-3.span"
    assert span.blocks == ("spatial_blocks.0", "temporal_blocks.0", "spatial_blocks.1", "temporal_blocks.1")
    (span,) = find_sites(picture, "span")
    assert span.blocks == ("in_blocks.0", "in_blocks.1", "mid_block", "out_blocks.0", "out_blocks.1")
    with pytest.raises(ValueError, match="block 4 reads what block 0 gives"):
        find_sites(picture, "span", [(0, 3)])
    assert find_sites(picture, "span", [(1, 3), (2, 2)])


class Declared(nn.Module):
    """A denoiser that names its blocks, though nothing in them has a known name."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def cache_blocks(self) -> list[str]:
        return ["steps.0", "steps.1", "steps.2"]

    def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
        for step in self.steps:
            x = x + step(x)
        return x


def test_declared_blocks_are_enough_for_spans() -> None:
    denoiser = Declared()
    assert find_sites(denoiser, "span", [(0, 1)])[0].blocks == ("steps.0", "steps.1")
    with pytest.raises(ValueError, match="Declared has no blocks with branches of known names"):
        find_sites(denoiser)


def test_a_list_of_pictures_is_the_main_input_that_a_policy_sees() -> None:
    """Z-Image takes a list, one picture a row, before the timestep."""
    seen: list[torch.Size] = []

    class Watching:
        name, version = "watching", 1

        def decide(self, evaluation: Evaluation) -> list[bool]:
            seen.append(evaluation.hidden_states.shape)
            return [evaluation.e % 2 == 0] * len(evaluation.sites)

    denoiser = tiny("ZImageTransformer2DModel")
    with torch.no_grad(), cached(denoiser, Watching(), evals=len(NOISE)):
        for level in NOISE:
            denoiser(**TINY["ZImageTransformer2DModel"].at(level))
    assert seen == [torch.Size([2, 4, 1, 8, 8])] * len(NOISE)
