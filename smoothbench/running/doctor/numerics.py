"""Checks of a device's arithmetic: float32 is float32, and half precision as exact as it can be."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from smoothbench.running.doctor.finding import Check, Finding, judged

EXACT = 1e-5  # relative error of float32 sums of some hundred products; TF32's is about 3e-4
HALF = {torch.bfloat16: 2e-2, torch.float16: 3e-3}  # of inputs rounded to 8 and 11 bits


def checks(device: torch.device) -> list[Check]:
    """The checks of this device's arithmetic against float64 on the CPU."""
    return [
        Check("float32 products", lambda: _float32(device, "products", torch.matmul, _matrices())),
        Check("float32 convolutions", lambda: _float32(device, "convolutions", F.conv2d, _maps())),
        Check("half precision", lambda: _half(device)),
    ]


def relative_error(value: Tensor, expected: Tensor) -> float:
    """The largest difference of two tensors, over the largest value of the expected one."""
    value, expected = value.detach().cpu().double(), expected.detach().cpu().double()
    return float((value - expected).abs().max() / expected.abs().max().clamp(min=1e-30))


def _matrices() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(256, 256, generator=generator), torch.randn(256, 256, generator=generator)


def _maps() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 64, 32, 32, generator=generator), torch.randn(64, 64, 3, 3, generator=generator)


@torch.no_grad()
def _float32(
    device: torch.device, kind: str, operator: Callable[..., Tensor], inputs: tuple[Tensor, Tensor]
) -> Iterator[Finding]:
    there = operator(*(tensor.to(device) for tensor in inputs))
    error = relative_error(there, operator(*(tensor.double() for tensor in inputs)))
    yield judged(
        error < EXACT,
        f"float32 {kind}",
        f"relative error {error:.0e}, without TF32",
        "something sets TF32 for all of torch (NVIDIA_TF32_OVERRIDE, a container): unset it",
    )


@torch.no_grad()
def _half(device: torch.device) -> Iterator[Finding]:
    exact = torch.matmul(*(matrix.double() for matrix in _matrices()))
    for dtype, tolerance in HALF.items():
        error = relative_error(torch.matmul(*(matrix.to(device, dtype) for matrix in _matrices())), exact)
        name = str(dtype).removeprefix("torch.")
        yield judged(
            error < tolerance,
            f"{name} products",
            f"relative error {error:.0e} (at most {tolerance:.0e})",
            f"take another dtype than {name}",
        )
