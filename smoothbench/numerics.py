"""Set and read whether NVIDIA GPUs may round float32 to TF32, in every version of torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def set_tf32(allowed: bool) -> None:
    """Allow or forbid TF32 in matrix products and in cuDNN's convolutions, whatever was set before.

    It uses torch's older switches, which set the newer ones too; if the newer ones alone were set, code that reads the
    older ones would get an error.
    """
    backends: Any = torch.backends
    for switches in (backends, backends.cudnn, backends.mkldnn):
        if hasattr(
            switches, "fp32_precision"
        ):  # from torch 2.9 on; it takes precedence over the older switches
            switches.fp32_precision = "none"
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    backends.cudnn.allow_tf32 = allowed


def tf32_matmul() -> bool:
    """Return whether products of float32 matrices may be rounded to TF32."""
    matmul: Any = torch.backends.cuda.matmul
    return bool(matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32)


def tf32_cudnn() -> bool:
    """Return whether cuDNN's float32 convolutions may be rounded to TF32."""
    cudnn: Any = torch.backends.cudnn
    return bool(cudnn.conv.fp32_precision == "tf32" if hasattr(cudnn, "conv") else cudnn.allow_tf32)


def matmul_precision() -> str:
    """Return torch's name, `high` or `highest`, for the precision of float32 matrix products.

    `torch.get_float32_matmul_precision` itself raises where both older and newer switches were used.
    """
    return "high" if tf32_matmul() else "highest"


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Make cuDNN's convolutions float32 without TF32, and deterministic, within a context."""
    cudnn: Any = torch.backends.cudnn
    if not hasattr(cudnn, "conv"):
        with cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield
        return
    before = cudnn.deterministic, cudnn.benchmark, cudnn.conv.fp32_precision
    try:
        cudnn.deterministic, cudnn.benchmark, cudnn.conv.fp32_precision = True, False, "ieee"
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark, cudnn.conv.fp32_precision = before
