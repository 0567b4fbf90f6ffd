"""The base classes of all models: classifier-free guidance, and weights that are loaded when they are used."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor, nn

from smoothbench.models.weights.locate import Files
from smoothbench.models.weights.read import cast, lasting, randomise
from smoothbench.numerics import matmul_precision, tf32_matmul

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
REFERENCE: Final = "reference"  # a model's numerics: as its original implementation computes
RANDOM_FOR_COST = "model.weights=random: random weights are for stage=cost alone; samples need published"


class Guided(ABC):
    """A model with classifier-free guidance (Ho and Salimans 2022); a guidance of 1 runs the conditional rows alone.

    Raises ValueError for a guidance that is no number.
    """

    forwards = 1
    unavailable_reason: str | None = None
    min_batch_size = 1

    denoiser: nn.Module  # with its weights, on the device; subclasses say where these come from

    def __init__(
        self,
        name: str,
        config: dict[str, Any],
        shape: tuple[int, ...],
        guidance: float,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.name, self.config = name, config
        self.sample_shape, self.guidance = shape, _number(guidance)
        self.device, self.dtype = device, dtype

    @abstractmethod
    def empty(self) -> nn.Module:
        """Build the denoiser's architecture on torch's current default device."""

    def guide(self, cond: Tensor, uncond: Tensor) -> Tensor:
        """Combine two predictions by classifier-free guidance: uncond + guidance * (cond - uncond)."""
        return torch.lerp(uncond, cond, self.guidance)

    @property
    def guidance_rows(self) -> int:
        """Rows of one sample in an evaluation: 2 with guidance (conditional, unconditional), else 1."""
        return 1 if self.guidance == 1 else 2

    def _identity(self, weights_sha256: str) -> dict[str, Any]:
        """Return everything that decides the samples apart from solver and schedule, for the ids of results."""
        return {
            "name": self.name,
            "weights_sha256": weights_sha256,
            "architecture": self.config,
            "dtype": str(self.dtype).removeprefix("torch."),
            "guidance": self.guidance,
            "numerics": {"device": self.device.type, "matmul": matmul_precision(), **self._tf32()},
        }

    def _tf32(self) -> dict[str, bool]:
        """Whether TF32 is allowed, which in a run holds for convolutions and products alike; empty on a CPU.

        On a GPU it is recorded even if it is off: samples without the record were drawn with cuDNN's default.
        """
        allowed = tf32_matmul()
        return {"tf32": allowed} if allowed or self.device.type == "cuda" else {}


class Lazy(Guided):
    """A model whose weights are loaded, and hashed, at their first use.

    `files` are None where they are not here: then `unavailable_reason` says so, and latencies are measured with
    random weights. Raises ValueError for an unknown dtype.
    """

    def __init__(self, files: Files | None, unavailable_reason: str | None, dtype: str, **more: Any) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"model.dtype must be one of {', '.join(DTYPES)}, not {dtype}")
        super().__init__(dtype=DTYPES[dtype], **more)
        self.files, self.unavailable_reason = files, unavailable_reason

    @abstractmethod
    def load(self, files: Files) -> nn.Module:
        """Build the denoiser with the weights of these files, on the device."""

    def after_load(self, denoiser: nn.Module) -> None:
        """Set what no weights file holds (fixed positions, numerics); called once, after the weights are loaded."""

    @cached_property
    @lasting
    def denoiser(self) -> nn.Module:  # type: ignore[override]  # mypy takes it for read-only
        """The denoiser on the device, loaded at first use; without weights files it has random weights."""
        if self.files is None:
            denoiser = self.allocated()
            randomise(denoiser)
        else:
            denoiser = self.load(self.files)
        self.after_load(denoiser)
        return denoiser

    def allocated(self) -> nn.Module:
        """Build the architecture on the device, in the dtype, without initialising weights, which takes minutes."""
        with torch.device("meta"):
            denoiser = cast(self.empty(), self.dtype)
        return denoiser.to_empty(device=self.device)


def are_random(weights: str) -> bool:
    """Return whether `model.weights` is `random`; ValueError where it is neither `random` nor `published`."""
    if weights not in ("published", "random"):
        raise ValueError(f"model.weights must be published or random, not {weights}")
    return weights == "random"


def check_numerics(numerics: str, other: str) -> None:
    """Raise ValueError for a `model.numerics` that is neither `reference` nor the model's other one."""
    if numerics not in (REFERENCE, other):
        raise ValueError(f"model.numerics must be {REFERENCE} or {other}, not {numerics}")


def sha256(files: Files | None) -> str:
    """Return the sha256 of weights files, or `random` where there are none."""
    return files.sha256() if files else "random"


def component_hashes(
    components: Mapping[str, Files | None], hashed_files: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Hash components, for a model's identity: for each one in `hashed_files` its weights and those files.

    A component that is not here, so that its weights are random, has the hash `random`.
    """
    return {
        f"{component}_sha256": files.digest(*names) if (files := components[component]) else "random"
        for component, names in hashed_files.items()
    }


def _number(guidance: float) -> float:
    try:
        return float(guidance)
    except (TypeError, ValueError):
        raise ValueError(f"model.guidance must be a number (1: none), not {guidance}") from None
