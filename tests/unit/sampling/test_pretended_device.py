"""The pretended CUDA device of the tests: what a GPU refuses is refused, and what makes the host wait is noted."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.support.pretended_cuda import CUDA, Ledger, pretended_cuda, synchronisations


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with pretended_cuda() as ledger:
        yield ledger


@pytest.fixture
def x(ledger: Ledger) -> Tensor:
    """On the device, [2, 3]."""
    return torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).to("cuda")


QUIET: dict[str, Callable[[Tensor], object]] = {
    "arithmetic with numbers": lambda x: (2 * x + 1) ** 2 / 3,
    "a scalar of the CPU": lambda x: x * torch.tensor(2.0),
    "a constant on the device": lambda x: x + torch.full((3,), 2.0, device=x.device),
    "views": lambda x: [x[0], x[:, 1:], x[None], *x.chunk(2), x.T, x.view(3, 2)],
    "products": lambda x: F.linear(x, x, x[:, 0]).softmax(-1),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "in place": lambda x: x.add_(1).mul_(x),
    "rows by numbers on the device": lambda x: x[torch.arange(2, device=x.device)],
    "where it is already": lambda x: x.to("cuda"),
}
WAITING: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "item": (lambda x: x.sum().item(), "value read"),
    "a comparison": (lambda x: bool((x > 0).all()), "value read"),
    "tolist": (lambda x: x.tolist(), "value read"),
    "float": (lambda x: float(x.sum()), "value read"),
    "nonzero": (lambda x: torch.ops.aten.nonzero(x), "value read"),
    "rows by a mask": (lambda x: x[x > 2], "value read"),
    "equal": (lambda x: torch.equal(x, x.clone()), "value read"),
    "to the CPU": (lambda x: x.cpu(), "copy to the host"),
    "into a tensor of the CPU": (lambda x: torch.zeros(2, 3).copy_(x), "copy to the host"),
    "from the CPU": (lambda x: torch.zeros(2).to(x.device), "copy to the device"),
    "a tensor of numbers": (lambda x: torch.tensor([1.0], device=x.device), "copy to the device"),
    "not pinned": (lambda x: torch.zeros(2).to(x.device, non_blocking=True), "copy to the device"),
    "rows by a list": (lambda x: x[[0, 1]], "copy to the device"),
    "synchronize": (lambda x: torch.cuda.synchronize(), "wait"),
}
REFUSED: dict[str, Callable[[Tensor], object]] = {
    "a sum": lambda x: x + torch.zeros(3),
    "a product": lambda x: F.linear(x, torch.zeros(3, 3)),
    "rows": lambda x: torch.cat([x, torch.zeros(1, 3)]),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], torch.zeros(1, 2, 3), x[None]),
    "a module left behind": lambda x: nn.Linear(3, 3)(x),
    "an index": lambda x: torch.zeros(3)[torch.arange(2, device=x.device)],
}


@pytest.mark.parametrize("inference", [True, False])
@pytest.mark.parametrize("name", QUIET)
def test_what_stays_on_the_device_makes_nobody_wait(
    name: str, inference: bool, x: Tensor, ledger: Ledger
) -> None:
    with ledger.since() as events, torch.inference_mode(inference), torch.no_grad():
        QUIET[name](x)
    assert not events


@pytest.mark.parametrize("name", WAITING)
def test_what_makes_the_host_wait_is_noted_with_its_line(name: str, x: Tensor, ledger: Ledger) -> None:
    call, kind = WAITING[name]
    with ledger.since() as events:
        call(x)
    lines = synchronisations(events)
    assert len(lines) == 1 and kind in lines[0]
    assert lines[0].startswith("tests/unit/sampling/test_pretended_device.py:")


@pytest.mark.parametrize("name", REFUSED)
def test_tensors_of_two_devices_are_refused(name: str, x: Tensor) -> None:
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"), torch.no_grad():
        REFUSED[name](x)


def test_numpy_is_refused(x: Tensor) -> None:
    with pytest.raises(TypeError, match="can't convert cuda:0 device type tensor to numpy"):
        x.numpy()


def test_pinned_memory_is_copied_without_waiting(x: Tensor, ledger: Ledger) -> None:
    with ledger.since() as events:
        there = torch.ones(2).pin_memory().to(CUDA, non_blocking=True)
    assert len(events) == 1 and not synchronisations(events)
    assert there.device == CUDA and there.tolist() == [1.0, 1.0]


def test_values_views_and_modules_are_those_of_the_cpu(x: Tensor, ledger: Ledger) -> None:
    x[:, 0] = 7.0
    x[0].add_(1)
    x[1, 1:] = torch.zeros(2, device=x.device)
    assert x.tolist() == [[8.0, 3.0, 4.0], [7.0, 0.0, 0.0]]
    x[x == 0] = 9.0
    x[torch.tensor([0], device=x.device)] = torch.ones(3, device=x.device)
    assert x.tolist() == [[1.0, 1.0, 1.0], [7.0, 9.0, 9.0]]
    module = nn.Linear(3, 3).requires_grad_(False)
    there = nn.Linear(3, 3, device="meta").requires_grad_(False).to_empty(device="cuda")
    there.load_state_dict(module.state_dict())
    assert there.weight.device == CUDA and (x.device, x.is_cuda, x.shape) == (CUDA, True, (2, 3))
    launches, weight = ledger.launches, module.weight
    torch.testing.assert_close(there(x).cpu(), module(x.cpu()))
    assert ledger.launches == launches + 1
    assert any(line.startswith("tests/unit/sampling/test_pretended_device.py:") for _, line in ledger.kernels)
    assert module.to("cuda").weight is weight and weight.device == CUDA and type(weight) is nn.Parameter
    assert module.cpu().weight is weight and weight.device.type == "cpu" and weight.numpy().shape == (3, 3)


def test_after_the_context_nothing_of_it_is_left() -> None:
    with pretended_cuda():
        there = torch.ones(2).to("cuda")
        assert torch.cuda.is_available()
    assert not torch.cuda.is_available() and torch.cuda.device_count() == 0
    with pytest.raises(RuntimeError, match="outside of pretended_cuda"):
        there.add(1)
