"""Files of samples."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor


class Png:
    """Images uint8 [C, H, W] with one or three channels as PNG."""

    suffix = ".png"

    def encode(self, sample: Tensor) -> bytes:
        """The file's bytes; the same image gives the same bytes."""
        buffer = io.BytesIO()
        Image.fromarray(
            sample.squeeze(0).numpy() if len(sample) == 1 else sample.permute(1, 2, 0).numpy()
        ).save(buffer, "png")
        return buffer.getvalue()

    def decode(self, data: bytes) -> Tensor:
        """The image of a file's bytes."""
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return torch.from_numpy(pixels.copy())
