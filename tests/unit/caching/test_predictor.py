"""Predictors in closed form."""

import pytest
import torch

from smoothbench.caching.predictor import Reuse, Taylor, predictor_from, taylor_weights


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_weights_sum_to_one_and_follow_a_line(order: int) -> None:
    coordinates = [9.0, 7.0, 4.0, 3.0, 0.0][: order + 1]
    weights = taylor_weights(coordinates, 11.0)
    assert sum(weights) == pytest.approx(1)
    assert sum(w * (5 - 2 * x) for w, x in zip(weights, coordinates, strict=True)) == pytest.approx(
        5 - 2 * 11
    )


def test_second_order_is_the_published_recursion() -> None:
    """Difference quotients of outputs, then of these; the expansion divides by k! (TaylorSeer)."""
    y, now, h = [4.0, 1.0, 0.5], 10.0, 3.0
    first, older = (y[0] - y[1]) / h, (y[1] - y[2]) / h
    second = (first - older) / h
    expected = y[0] + first * 2 + second * 2**2 / 2
    weights = taylor_weights([8.0, 5.0, 2.0], now)
    assert sum(w * v for w, v in zip(weights, y, strict=True)) == pytest.approx(expected)


def test_the_order_falls_to_what_the_history_holds() -> None:
    one = torch.tensor([3.0])
    assert torch.equal(Taylor(3)([(0.0, one)], 1.0), one)


def test_taylor_works_in_fp32_and_answers_in_the_outputs_dtype() -> None:
    new, old = torch.tensor([129.0]).bfloat16(), torch.tensor([100.0]).bfloat16()
    # 3 * 129 - 2 * 100 = 187 exactly; bfloat16 arithmetic would round 387 to 388
    assert Taylor(1)([(1.0, new), (0.0, old)], 3.0).dtype == torch.bfloat16
    assert Taylor(1)([(1.0, new), (0.0, old)], 3.0).item() == 187


def test_reuse_is_the_very_tensor() -> None:
    output = torch.ones(3)
    assert Reuse()([(0.0, output)], 5.0) is output


@pytest.mark.parametrize("name", ["taylor0", "taylor5", "linear", ""])
def test_unknown_names(name: str) -> None:
    with pytest.raises(ValueError, match="no predictor"):
        predictor_from(name)
    for order in (5, 2.0, True):
        with pytest.raises(ValueError, match=f"must be 1, 2, 3 or 4, not {order}"):
            Taylor(order)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="coordinate"):
        Taylor(1, "sigma")
