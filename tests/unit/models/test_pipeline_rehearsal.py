"""What a rehearsal refuses of a pipeline's loop."""

import pytest
import torch

from smoothbench.models.pipeline.rehearsal import Rehearsal


def test_the_forward_whose_rows_change_is_the_one_that_is_shown() -> None:
    same, first, second = torch.Size([1, 4]), torch.Size([2, 4]), torch.Size([2, 8])
    seen = Rehearsal(rows=[[same, first], [same, second]], steps=[2.0, 1.0])
    with pytest.raises(
        ValueError, match=r"gives its denoiser \[2, 8\] in evaluation 1, but \[2, 4\] in the fir"
    ):
        seen.check("Pipe")
