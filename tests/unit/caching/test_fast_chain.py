"""Kept outputs are added one by one on a CPU, and stacked on a device: the same sums within rounding."""

from typing import Any

import pytest
import torch
from torch import Tensor

from smoothbench.caching.fast import chain
from smoothbench.caching.fast.chain import Term, add_stacked, add_terms


def terms(rows: int, weights: list[float], gated: list[bool]) -> list[Term]:
    return [
        (torch.randn(rows, 1, 8) if is_gated else None, torch.randn(2, 5, 8), weight)
        for weight, is_gated in zip(weights, gated, strict=True)
    ]


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("rows", [1, 2])
def test_stacked_terms_add_up_to_the_same(rows: int, in_place: bool) -> None:
    torch.manual_seed(3)
    stream = torch.randn(2, 5, 8)
    some = terms(rows, [1.0, 1.5, 1.5, -0.5, 1.0, 1.0], [True, True, False, False, True, False])
    before, outputs = stream.clone(), [output.clone() for _, output, _ in some]
    expected = add_terms(stream.clone(), some, in_place=False)
    added = add_stacked(stream, chain._alike(some), in_place)
    torch.testing.assert_close(added, expected, rtol=1e-6, atol=1e-6)
    assert (added is stream) == in_place
    assert in_place or torch.equal(stream, before)
    assert all(torch.equal(output, old) for (_, output, _), old in zip(some, outputs, strict=True))


@pytest.mark.parametrize(("bound", "stacks"), [(2**27, True), (0, False)])
def test_a_device_adds_many_small_terms_in_few_kernels(
    bound: int, stacks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def noted(stream: Tensor, *rest: Any) -> Tensor:
        seen.append(rest)
        return add_stacked(stream, *rest)

    monkeypatch.setattr(chain, "add_stacked", noted)
    monkeypatch.setattr(chain, "STACKED", bound)
    with torch.device("meta"):
        many = terms(2, [1.0] * 12, [True] * 12)
        few, stream = terms(2, [1.0, 2.0], [True, True]), torch.empty(2, 5, 8)
    add_terms(stream, few, in_place=True)
    assert not seen
    assert add_terms(stream, many, in_place=True) is stream
    assert bool(seen) == stacks
