"""Files of clips keep every sample, and what is no such file is refused."""

import io

import pytest
import torch
from PIL import Image

from smoothbench.media.codecs import Flac, Webp, pcm
from tests.support.latent_dits import refusal


@pytest.mark.parametrize("channels", [1, 2])
def test_flac_keeps_every_sample(channels: int) -> None:
    generator, media = torch.Generator().manual_seed(0), Flac(16000)
    clip = torch.randint(-(2**15), 2**15, (channels, 999), generator=generator).to(torch.int16)
    data = media.encode(clip)
    assert data[:4] == b"fLaC" and data == media.encode(clip) and torch.equal(media.decode(data), clip)
    refusal(lambda: Flac(44100).decode(data), "16000 Hz", "44100 Hz")
    refusal(lambda: media.decode(data[: len(data) // 2]), "damaged")
    refusal(lambda: media.decode(b"RIFF"), "no FLAC file")


def test_loud_audio_is_clipped() -> None:
    assert pcm(torch.tensor([-3.0, -1.0, 0.0, 0.5, 1.0, 3.0])).tolist() == [
        -32767,
        -32767,
        0,
        16384,
        32767,
        32767,
    ]


@pytest.mark.parametrize("fps", [8, 24])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (5, 9)])
def test_webp_keeps_every_frame(fps: int, height: int, width: int) -> None:
    """Also neighbours that are equal, a clip of equal frames alone, and one frame."""
    generator, media = torch.Generator().manual_seed(0), Webp(fps)
    noisy = torch.randint(0, 256, (4, 3, height, width), generator=generator).to(torch.uint8)
    for clip in (noisy, noisy[[0, 1, 1, 1, 2, 3, 3]], noisy[[2] * 12], noisy[:1], torch.zeros_like(noisy)):
        data = media.encode(clip)
        assert data[8:12] == b"WEBP" and data == media.encode(clip)
        assert torch.equal(media.decode(data), clip)
    with Image.open(io.BytesIO(media.encode(noisy[[0] * 24]))) as played:
        assert played.n_frames == 24 and played.info["loop"] == 0  # type: ignore[attr-defined]
        ends = []
        for number in range(24):
            played.seek(number)
            played.load()
            ends.append(played.info["timestamp"] + played.info["duration"])
    assert ends[-1] == 24_000 / fps and ends == [round(1000 * (n + 1) / fps) for n in range(24)]


def test_what_is_no_clip_is_refused() -> None:
    clip = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    data, still = Webp(8).encode(clip), io.BytesIO()
    refusal(lambda: Webp(24).decode(data), "another rate than 24")
    for part in (data[: len(data) // 2], data[:-3], b"RIFF", b""):
        refusal(lambda part=part: Webp(8).decode(part), "no WebP file, or a damaged one")  # type: ignore[misc]
    Image.new("RGB", (8, 8)).save(still, "png")
    refusal(lambda: Webp(8).decode(still.getvalue()), "no WebP file")
    Image.new("RGB", (8, 8)).save(still := io.BytesIO(), "webp")
    refusal(lambda: Webp(8).decode(still.getvalue()), "another rate")
