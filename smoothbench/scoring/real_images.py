"""The real samples of an experiment: files that are checked before the first sample is drawn."""

from functools import cached_property
from pathlib import Path

import torch

from smoothbench.errors import UsageError
from smoothbench.media.image_npz import ImageFile, image_size
from smoothbench.protocols import Model

BATCH = 100


class RealSamples:
    """Files of real images by path, each read through once, for the samples of one model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._files: dict[Path, ImageFile] = {}

    def file(self, path: Path, where: str) -> ImageFile:
        """The file, read to its end; UsageError, naming `where` it is asked for, for one that is unusable."""
        if path not in self._files:
            try:
                file = ImageFile(path)
                for _ in file.batches(BATCH):  # what is damaged must show now
                    pass
            except ValueError as error:
                raise UsageError(f"{where}: real samples {error}") from None
            self._files[path] = file
        return self._files[path]

    def check_size(self, path: str | Path, where: str) -> None:
        """UsageError where the images of a file, if it has any, have other numbers of pixels than samples."""
        real = None if self.model.unavailable_reason else image_size(path)
        if real is not None and real != self._sample_size:
            ours, theirs = ("x".join(map(str, size)) for size in (self._sample_size, real))
            raise UsageError(
                f"{where}: the samples of {self.model.name} have {ours} pixels, the images of {path} {theirs}: "
                "take a reference of their resolution"
            )

    @cached_property
    def _sample_size(self) -> tuple[int, ...]:
        """Height and width of what the model makes of nothing, as only its decoder knows them."""
        with torch.inference_mode():
            nothing = torch.zeros(1, *self.model.sample_shape, device=self.model.device)
            return tuple(self.model.decode(nothing).shape[2:])
