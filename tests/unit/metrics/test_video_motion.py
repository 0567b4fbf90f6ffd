"""Motion in clips: optical flow against known translations, and the scores that are made of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

import conf
from metrics.flow import motion
from metrics.frames import grey
from metrics.vbench_proxy import (
    DynamicDegree,
    Motion,
    MotionMagnitude,
    MotionSmoothness,
    TemporalFlicker,
    fastest,
)
from tests.support.clips import clips, moving, shifted, texture


def test_the_interval_of_motion() -> None:
    folder = Path(conf.__file__).parent / "metrics/video"
    given = clips(1)[:, :8]
    for fps, apart in ((8, 1), (12, 2), (15, 2), (24, 3)):
        wanted = Motion(8)(given[:, ::apart])["motion"]
        torch.testing.assert_close(Motion(fps)(given)["motion"], wanted)
    for text in (
        str(Motion.__doc__),
        *((folder / f"vbproxy_{name}.yaml").read_text() for name in ("magnitude", "dynamic")),
    ):
        assert "n / fps seconds" in " ".join(text.split())
    assert "VBench's formula, in float64" in str(TemporalFlicker.__doc__)


@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize("by", [(0.0, 0.0), (0.5, 0.3), (1.5, -0.75), (3.0, 2.0)])
def test_a_known_translation_is_recovered(by: tuple[float, float], size: int) -> None:
    picture = texture(3, 3 * size, 3 * size // 6, 50)
    frames = [grey(shifted(picture, *where, size)) for where in ((0.0, 0.0), by)]
    flow = motion(frames[0][None], frames[1][None])[0]
    error = (flow - torch.tensor(by)[:, None, None])[:, 6:-6, 6:-6].norm(dim=0)
    assert error.mean() < 0.2 and error.median() < 0.1


def test_large_frames_move_in_their_own_pixels() -> None:
    picture = texture(4, 600, 24, 50)
    frames = [grey(shifted(picture, where, 0.0, 300)) for where in (0.0, 6.0)]
    flow = motion(frames[0][None], frames[1][None])[0]
    assert flow.shape == (2, 300, 300)
    assert flow[0, 40:-40, 40:-40].median().item() == pytest.approx(6.0, abs=0.2)


def test_the_fastest_twentieth() -> None:
    magnitudes = torch.arange(400.0).view(1, 20, 20)
    assert fastest(magnitudes).item() == np.mean(np.arange(380, 400))
    assert fastest(torch.ones(2, 3, 3)).tolist() == [1.0, 1.0]  # fewer than 20 pixels: the fastest alone
    speeds = torch.tensor([[7.0, 7.0, 7.0, 0, 0, 0, 0, 0, 0, 0, 0], [7.0, 7.0, 6.0, 0, 0, 0, 0, 0, 0, 0, 0]])
    assert DynamicDegree().per_sample(speeds).tolist() == [1.0, 0.0]  # 12 frames: 3 pairs above 6
    assert MotionMagnitude().per_sample(speeds).tolist() == pytest.approx([21 / 11, 20 / 11])


def test_motion_is_per_eighth_of_a_second_in_a_frame_of_256() -> None:
    picture = texture(5, 160, 16, 50)
    clip = torch.stack([shifted(picture, 0.5 * place, 0.0, 32) for place in range(9)])
    given = clip.round().clamp(0, 255).to(torch.uint8)[None]
    at8, at16, at4 = (Motion(fps)(given)["motion"] for fps in (8, 16.0, 4))
    assert [speeds.shape[1] for speeds in (at8, at16, at4)] == [8, 4, 8]
    assert at8.mean().item() == pytest.approx(0.5 * 8, rel=0.2)  # half a pixel of 32 is 4 of 256
    assert at16.mean().item() == pytest.approx(1.0 * 8, rel=0.2)  # every second frame
    torch.testing.assert_close(at4, at8 / 2)


def test_a_still_clip_does_not_move() -> None:
    frozen = moving(0)[:1].expand(12, -1, -1, -1)[None]
    assert TemporalFlicker().per_sample(frozen).item() == MotionSmoothness().per_sample(frozen).item() == 1.0
    speeds = Motion(8)(frozen)["motion"]
    assert speeds.max() == 0 and DynamicDegree().per_sample(speeds).item() == 0.0
