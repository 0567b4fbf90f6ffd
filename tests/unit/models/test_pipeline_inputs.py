"""`model=pipeline` with inputs that a pipeline takes for one sample at a time: clips, masks, a single generator."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from smoothbench.models.pipeline.arguments import refuse_shared_noise
from smoothbench.models.pipeline.model import Pipeline
from smoothbench.sampling.loop import latents, silent
from smoothbench.solvers.pipeline_scheduler import PipelineScheduler
from tests.support.saved_pipelines import PROMPTS, built
from tests.support.saved_pipelines.ingredients import Family
from tests.support.saved_pipelines.moving import wan_vace

CPU, STEPS, FRAMES = torch.device("cpu"), 3, 5


@pytest.fixture
def clips(tmp_path: Path) -> dict[str, str]:
    """The folders of a clip and of its masks: the first frame is kept, and the others are made."""
    for name in ("clip", "masks"):
        (tmp_path / name).mkdir()
        for number in range(FRAMES):
            level = 40 * number if name == "clip" else 255 * (number > 0)
            Image.new("RGB", (16, 16), (level, 0, level)).save(tmp_path / name / f"{number}.png")
    return {"video": str(tmp_path / "clip"), "mask": str(tmp_path / "masks")}


def test_a_clip_and_its_masks_are_filled_in_as_by_diffusers(clips: dict[str, str], tmp_path: Path) -> None:
    family = Family(wan_vace, {"height": 16, "width": 16, "num_frames": FRAMES, "max_sequence_length": 24})
    pipe = built(family)
    pipe.save_pretrained(tmp_path / "vace")
    given: dict[str, Any] = {**family.arguments, **clips}
    pipeline = Pipeline(str(tmp_path / "vace"), CPU, prompts=list(PROMPTS), arguments=given, dtype="float32")
    ours = latents(pipeline, PipelineScheduler(STEPS), [0, 1], silent)
    frames = {
        key: [Image.open(path) for path in sorted(Path(folder).iterdir())] for key, folder in clips.items()
    }
    for seed in range(2):
        theirs = pipe(
            prompt=PROMPTS[seed],
            generator=torch.Generator().manual_seed(seed),
            num_inference_steps=STEPS,
            output_type="latent",
            **{**family.arguments, **frames},
        ).frames
        assert torch.equal(ours[seed], theirs[0])
    plain = Pipeline(
        str(tmp_path / "vace"), CPU, prompts=list(PROMPTS), arguments=dict(family.arguments), dtype="float32"
    )
    without = latents(plain, PipelineScheduler(STEPS), [0, 1], silent)
    assert plain.one_by_one and not torch.allclose(without, ours, atol=1e-3)


def test_noise_that_one_sample_of_a_batch_draws_for_all_is_refused() -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
    before = [generator.get_state() for generator in generators]
    refuse_shared_noise("Pipe", generators, before)
    torch.randn(2, generator=generators[0])
    with pytest.raises(ValueError, match=r"Pipe draws the noise of a whole batch .* model.one_by_one=true"):
        refuse_shared_noise("Pipe", generators, before)
