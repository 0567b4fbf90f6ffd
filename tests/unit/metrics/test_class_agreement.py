"""Class agreement counts what the classifier sees."""

import pytest
import torch

from metrics.class_agreement import ClassAgreement

LOGITS = torch.tensor([[3.0, 1.0, 0.0], [0.0, 5.0, 1.0], [0.0, 1.0, 2.0], [9.0, 1.0, 2.0]])


def test_is_the_share_that_agrees() -> None:
    metric = ClassAgreement()
    rows = metric.per_sample(LOGITS, torch.tensor([0, 1, 2, 2]))
    assert rows.dtype == torch.float64 and rows.tolist() == [1.0, 1.0, 1.0, 0.0]
    result = metric.score(rows.numpy())
    assert result.value == 0.75
    assert result.influence.tolist() == [0.25, 0.25, 0.25, -0.75]
    assert result.estimate.se == pytest.approx((0.75 * 0.25 / 3) ** 0.5)
    assert result.quantiles is None


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (torch.tensor([0, 1, 2]), r"int64 \[4\]"),
        (torch.tensor([[0, 1, 2, 0]]), r"int64 \[4\]"),
        (torch.tensor([0.0, 1.0, 2.0, 0.0]), "float32"),
        (torch.tensor([0, 1, 2, 3]), "classes 0 to 3, the classifier 0 to 2"),
        (torch.tensor([0, 1, 2, -1]), "classes -1 to 2"),
    ],
)
def test_refuses_a_bad_condition(condition: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClassAgreement().per_sample(LOGITS, condition)


def test_refuses_bad_logits_and_nothing() -> None:
    with pytest.raises(ValueError, match="1 of 1 rows of logits"):
        ClassAgreement().per_sample(torch.tensor([[float("nan"), 0.0]]), torch.tensor([0]))
    with pytest.raises(ValueError, match=r"logits must be \[N, d\]"):
        ClassAgreement().per_sample(torch.zeros(3), torch.tensor([0]))
    with pytest.raises(ValueError, match="no samples"):
        ClassAgreement().score(torch.zeros(0).numpy())
