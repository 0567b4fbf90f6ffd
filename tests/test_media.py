"""Files of clips keep every sample, and what is no such file is refused."""

import pytest
import torch

from smoothbench.models.media import Flac, pcm
from tests.latent_dits import refusal


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
