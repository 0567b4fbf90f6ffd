"""Prompt agreement: whether a classifier recognises in a sample what its prompt asks for."""

from torch import Tensor

from metrics.class_agreement import ClassAgreement
from metrics.prompted import checked_table, digest, look_up


class PromptAgreement(ClassAgreement):
    """The share of samples, 0 to 1, whose most probable class is that of their prompt.

    `labels` int64 [P] are the classes of the prompts, `output` names the encoder's logits to use. Raises
    ValueError for other labels.
    """

    name = "prompt_agreement"
    version = 1
    digested = ("labels",)

    def __init__(self, labels: Tensor, output: str = "logits") -> None:
        self.inputs = (output, "condition")
        self._labels = checked_table(labels, "labels", ndim=1)
        self.digest = digest(self._labels)

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Return 1.0 where the class agrees, else 0.0: float64 [B], for logits [B, K] and prompt numbers int64 [B].

        Raises ValueError as `ClassAgreement` does, and for prompts without a label.
        """
        logits, condition = inputs
        return super().per_sample(logits, look_up(self._labels, condition, "labels"))
