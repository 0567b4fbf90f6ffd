"""Does a classifier hear what the prompt said?"""

from torch import Tensor

from metrics.class_agreement import ClassAgreement
from metrics.prompted import checked_table, digest, rows_of


class PromptAgreement(ClassAgreement):
    """Share of samples, 0 to 1, whose most probable class is the one that their prompt says.

    `labels` int64 [P] is the class of each prompt, `output` the encoder's logits to look at. Raises
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
        """1.0 or 0.0, float64 [B], for logits [B, K] and prompts int64 [B].

        Raises ValueError as `ClassAgreement` does, and for prompts without a label.
        """
        logits, condition = inputs
        return super().per_sample(logits, rows_of(self._labels, condition, "labels"))
