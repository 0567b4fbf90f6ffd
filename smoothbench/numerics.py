"""TF32, in which NVIDIA's units may round float32: set once a run, and read whatever switches torch has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def set_tf32(allowed: bool) -> None:
    """For products of matrices and for cuDNN's convolutions alike, whatever was set before.

    By torch's older switches, which set the newer ones too: after the newer ones alone, whoever reads the older
    ones gets an error.
    """
    backends: Any = torch.backends
    for switches in (backends, backends.cudnn, backends.mkldnn):
        if hasattr(switches, "fp32_precision"):  # torch 2.9 on; it would come before the older switches
            switches.fp32_precision = "none"
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    backends.cudnn.allow_tf32 = allowed


def tf32_matmul() -> bool:
    """Whether products of float32 matrices may be rounded to TF32."""
    matmul: Any = torch.backends.cuda.matmul
    return bool(matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32)


def tf32_cudnn() -> bool:
    """Whether cuDNN's convolutions of float32 may be rounded to TF32."""
    cudnn: Any = torch.backends.cudnn
    return bool(cudnn.conv.fp32_precision == "tf32" if hasattr(cudnn, "conv") else cudnn.allow_tf32)


def matmul_precision() -> str:
    """As `torch.get_float32_matmul_precision` says it, which may raise where both kinds of switches were used."""
    return "high" if tf32_matmul() else "highest"


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Within it cuDNN's convolutions are float32 and the same at every call, whatever holds outside."""
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
