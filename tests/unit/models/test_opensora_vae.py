"""Open-Sora's video autoencoder: the published counts, chunks, causality, and what its numbers are scaled by."""

import pytest
import torch
from torch import nn

from smoothbench.caching.mac_counter import MacCounter
from smoothbench.models.opensora.temporal_vae import CausalConv3d, TemporalVae
from smoothbench.models.opensora.vae import VideoVae, pixels
from tests.support.opensora import SPATIAL, TEMPORAL


def elements(module: nn.Module) -> int:
    return sum(tensor.numel() for tensor in module.state_dict().values())


@pytest.fixture(scope="module")
def tiny() -> VideoVae:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VideoVae(SPATIAL, TEMPORAL).eval().requires_grad_(False)


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_the_published_counts() -> None:
    with torch.device("meta"):
        vae = VideoVae()
        latents, frames = torch.empty(1, 4, 5, 60, 106), torch.empty(1, 4, 17, 60, 106)
    names = list(vae.state_dict())
    assert elements(vae.spatial_vae) == 83_653_863 and elements(vae.temporal_vae) == 309_687_144
    assert sum(name.startswith("spatial_vae.module.") for name in names) == 248
    assert sum(name.startswith("temporal_vae.") for name in names) == 267
    assert {"scale", "shift"} < set(names) and len(names) == 248 + 267 + 2
    for name in (
        "encoder.conv_in.conv.weight",
        "encoder.conv_blocks.1.conv.bias",
        "encoder.block_res_blocks.1.0.conv3.conv.weight",
        "decoder.conv_blocks.2.conv.weight",
        "decoder.block_res_blocks.0.3.norm2.bias",
        "post_quant_conv.conv.bias",
    ):
        assert f"temporal_vae.{name}" in names
    assert vae.temporal_vae.decoder.conv_blocks[2].conv.weight.shape == (1024, 512, 3, 3, 3)
    for call, tmacs in (
        (lambda: vae.temporal_vae.decode(latents, 17), 7.6124),
        (lambda: vae.temporal_vae.encode(frames), 6.706),
    ):
        with MacCounter() as counter, torch.no_grad():
            call()
        assert counter.macs().linear / 1e12 == pytest.approx(tmacs, abs=5e-4) and not counter.macs().attention


@pytest.mark.parametrize(("stride", "frames"), [(1, 7), (2, 8)])
def test_a_convolution_sees_no_later_frame(stride: int, frames: int) -> None:
    conv, x = CausalConv3d(2, 3, 3, stride), random(1, 2, frames, 5, 6)
    with torch.no_grad():
        output, last = conv(x), frames // stride - 1
        changed = x.clone()
        changed[:, :, -1] += 1
        other = conv(changed)
        padded = torch.nn.functional.pad(x, (1, 1, 1, 1, 3 - stride, 0))
        expected = torch.nn.functional.conv3d(padded, conv.conv.weight, conv.conv.bias, stride=(stride, 1, 1))
    assert output.shape == (1, 3, frames // stride, 5, 6) and torch.equal(output, expected)
    assert torch.equal(output[:, :, :last], other[:, :, :last]) and not torch.equal(output, other)


def test_upsampling_in_time_interleaves_channels() -> None:
    """A decoder of one stage by hand: (C 2) channels of a frame are C of two frames."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        vae = TemporalVae(2, 2, 2, 2, 0, (1, 1), (True,), 1).eval().requires_grad_(False)
    z, decoder = random(1, 2, 3, 4, 4), vae.decoder
    wide = decoder.conv_blocks[0](decoder.conv1(vae.post_quant_conv(z)))
    frames = [wide[:, [side, 2 + side], number] for number in range(3) for side in (0, 1)]
    by_hand = decoder.conv_out(torch.nn.functional.silu(decoder.norm1(torch.stack(frames, 2))))
    torch.testing.assert_close(vae.decode(z, 6), by_hand)
    torch.testing.assert_close(vae.decode(z, 5), by_hand[:, :, 1:], msg="what was padded is cut off in front")


def test_chunks_and_scaling(tiny: VideoVae) -> None:
    """Three chunks of 5 latents make 51 frames, each by itself; image latents are divided by 0.18215."""
    z, image = random(2, 4, 15, 4, 6), tiny.spatial_vae["module"]
    with torch.inference_mode():
        frames = tiny.decode(z, 51)
        scale, shift = torch.tensor([[3.85, 2.32, 2.33, 3.06], [-0.10, 0.34, 0.27, 0.98]]).view(
            2, 1, 4, 1, 1, 1
        )
        scaled = z * scale + shift
        middle = tiny.temporal_vae.decode(scaled[:, :, 5:10], 17)
        frame = image.decode(middle[:, :, 4] / 0.18215).sample
        assert frames.shape == (2, 3, 51, 4, 6)
        torch.testing.assert_close(frames[:, :, 21], frame, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(tiny.decode(z[:, :, :5], 17), frames[:, :, :17], rtol=1e-4, atol=1e-5)
        assert tiny.decode(z[:, :, :6], 19).shape[2] == 19, "the last chunk may be short"
        clip = random(1, 3, 51, 4, 6).tanh()
        first = image.encode(clip[:, :, :17].transpose(1, 2).flatten(0, 1)).latent_dist.mean * 0.18215
        latents = tiny.temporal_vae.encode(first[None].transpose(1, 2))
        encoded = tiny.encode(clip)
        torch.testing.assert_close(encoded[:, :, :5] * scale + shift, latents, rtol=1e-4, atol=1e-5)
    assert encoded.shape == (1, 4, 15, 4, 6)


def test_pixels() -> None:
    clip = torch.tensor([-2.0, -1.0, 0.0, 0.5, 1.0, 2.0]).view(1, 1, 6, 1, 1)
    assert pixels(clip).dtype == torch.uint8 and pixels(clip).shape == (1, 6, 1, 1, 1)
    assert pixels(clip).flatten().tolist() == [0, 0, 128, 191, 255, 255]
