"""What a pipeline returns: its kind, and the rate of its audio, from the classes of diffusers and transformers."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.pipelines.kandinsky.pipeline_kandinsky_prior import KandinskyPriorPipelineOutput
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from smoothbench.models.pipeline import outputs


def test_the_rate_of_a_vocoder_of_transformers() -> None:
    config = SpeechT5HifiGanConfig(model_in_dim=4, sampling_rate=8000, upsample_initial_channel=32)
    pipe = SimpleNamespace(vocoder=SpeechT5HifiGan(config), vae=AutoencoderKL())
    assert outputs.rate_of(pipe) == 8000


def test_a_pipeline_without_a_rate_is_asked_for_one() -> None:
    with pytest.raises(ValueError, match=r"model\.rate must say the sample rate"):
        outputs.rate_of(SimpleNamespace(vae=AutoencoderKL()))


def test_what_is_neither_images_nor_video_nor_audio_is_refused() -> None:
    embedding = torch.zeros(1, 768)
    output = KandinskyPriorPipelineOutput(image_embeds=embedding, negative_image_embeds=embedding)
    with pytest.raises(ValueError, match="Kandinsky") as refused:
        outputs.kind_of(output, outputs.batch_of(output))
    said = str(refused.value)
    assert "(image_embeds, negative_image_embeds) of shape [1, 768]" in said and "model.pipeline" in said
    assert "\n" not in said
