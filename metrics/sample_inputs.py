"""What a foreign metric is given of each sample: its tensors in the range, type and shape that the metric expects."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

SCALES = ("unit", "signed", "levels", "stored")
DTYPES = {"float32": torch.float32, "float64": torch.float64}
PROMPTS = "prompts"


class SampleInputs:
    """Prepares the inputs of a metric that is not ours, sample by sample.

    `names` are the metric's arguments in order: `samples`, `baseline` (the uncached ones of the same seeds),
    `prompts` (the text of each sample), `condition` (the number of its class or prompt), or outputs of an encoder,
    with `baseline.` before them those of the uncached samples. `scale` says in which range pictures and sound go to
    it: `unit` (pictures 0 to 1, sound -1 to 1), `signed` (both -1 to 1), `levels` (pictures 0 to 255) or `stored` (the
    same as whole numbers: uint8, int16). `dtype` is float32 or float64, `rgb` repeats grey pictures to three channels.
    The frames of a clip are pictures, one after another. Raises ValueError for other settings.
    """

    def __init__(self, names: Sequence[str], scale: str, dtype: str, rgb: bool) -> None:
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError(
                f"inputs={names!r:.60} must be a list of names, for instance [samples, baseline]"
            )
        if scale not in SCALES:
            raise ValueError(f"scale={scale!r:.60}: there are {', '.join(SCALES)}")
        if dtype not in DTYPES:
            raise ValueError(f"dtype={dtype!r:.60}: there are {', '.join(DTYPES)}")
        self.names, self._scale, self._dtype, self._rgb = tuple(names), scale, DTYPES[dtype], rgb
        self.device = torch.device("cpu")
        self.texts: Sequence[str] | None = None  # of all prompts, by number

    @property
    def of_harness(self) -> tuple[str, ...]:
        """The inputs by the names that batches have: a prompt comes as its number."""
        return tuple("condition" if name == PROMPTS else name for name in self.names)

    @property
    def paired(self) -> bool:
        """Whether uncached samples are among the inputs."""
        return any(name.split(".")[0] == "baseline" for name in self.names)

    def meet(self, device: torch.device, texts: Sequence[str] | None) -> None:
        """Take the device to compute on and the texts of all prompts; ValueError where they are needed and absent."""
        if PROMPTS in self.names and not texts:
            raise ValueError("it compares samples with their prompts, and this model has none: leave it out")
        self.device, self.texts = device, texts

    def by_sample(self, inputs: Sequence[Tensor]) -> list[list[Any]]:
        """Return the arguments of each sample: tensors [1, ...], of clips of frames [T, ...], and as many texts.

        Raises ValueError for inputs of other lengths, prompts without a text, and, where `rgb` repeats
        channels, for sound and for pictures that do not have 1 or 3.
        """
        if len({len(each) for each in inputs}) != 1 or len(inputs) != len(self.names):
            raise ValueError(
                f"{len(self.names)} inputs of equally many samples are needed, not of {[len(x) for x in inputs]}"
            )
        columns = [self._column(name, each) for name, each in zip(self.names, inputs, strict=True)]
        frames = max((len(each[0]) for each in columns if isinstance(each[0], Tensor)), default=1)
        columns = [[text * frames for text in each] if name == PROMPTS else each
                   for name, each in zip(self.names, columns, strict=True)]  # fmt: skip
        return [list(arguments) for arguments in zip(*columns, strict=True)]

    def _column(self, name: str, values: Tensor) -> list[Any]:
        if name == PROMPTS:
            return [[self._text(number)] for number in values.tolist()]
        if name in ("samples", "baseline"):
            values = self._scaled(values)
        values = values.to(self.device)
        is_clip = values.ndim == 5
        return [values[i] if is_clip else values[i : i + 1] for i in range(len(values))]

    def _text(self, number: int) -> str:
        if self.texts is None or not 0 <= number < len(self.texts):
            raise ValueError(
                f"a sample has the prompt {number}, which has no text: leave it out for this model"
            )
        return self.texts[number]

    def _scaled(self, stored: Tensor) -> Tensor:
        values = stored
        if self._scale != "stored":
            values = stored.to(self._dtype)
            if self._scale != "levels":
                values = values / (255 if stored.dtype == torch.uint8 else 32768)
            if self._scale == "signed" and stored.dtype == torch.uint8:
                values = 2 * values - 1
        if self._rgb and values.ndim < 4:
            raise ValueError("sound cannot be shown as RGB: leave it out for this model, or set rgb to false")
        if self._rgb and values.shape[-3] != 3:
            if values.shape[-3] != 1:
                raise ValueError(
                    f"pictures of {values.shape[-3]} channels cannot be shown as RGB: leave it out"
                )
            values = values.expand(*values.shape[:-3], 3, *values.shape[-2:])
        return values


def joined(arguments: Sequence[Sequence[Any]]) -> list[Any]:
    """Join the arguments of samples to those of one call: tensors along their first axis, lists of texts in order."""
    return [
        torch.cat(column) if isinstance(column[0], Tensor) else [text for texts in column for text in texts]
        for column in zip(*arguments, strict=True)
    ]
