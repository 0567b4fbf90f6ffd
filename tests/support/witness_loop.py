"""A sampling loop around tiny transformers of diffusers, in which caches of other libraries and ours are compared."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.caching import CalibrationBatch, Trajectory, find_sites
from smoothbench.caching.mac_counter import site_costs
from tests.support.tiny_denoisers import TINY

EVALS = 12
LEVELS = tuple(1 - e / EVALS for e in range(EVALS))  # of noise
FORWARDS = ("cond", "uncond")


@dataclass
class WitnessLoop:
    """Samples from a tiny denoiser: each evaluation runs a forward with the prompt, and, if asked, one without."""

    name: str
    forwards: int = 1
    denoiser: nn.Module = field(init=False)
    e: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.denoiser = TINY[self.name].build(self.name)

    @torch.no_grad()
    def run(
        self,
        around: Callable[[str], AbstractContextManager[Any]] = lambda forward: nullcontext(),
        before: Callable[[int, float], object] = lambda e, t: None,
        evals: int = EVALS,
    ) -> Tensor:
        """Sample; each forward runs in the context that `around` gives for its name."""
        x = TINY[self.name].at(0.0)["hidden_states"]
        for self.e, level in enumerate(LEVELS[:evals]):
            arguments = TINY[self.name].at(level)
            before(self.e, float(arguments["timestep"].flatten()[0]))
            total = torch.zeros_like(x)
            for forward in FORWARDS[: self.forwards]:
                if forward == "uncond":
                    arguments["encoder_hidden_states"] = -arguments["encoder_hidden_states"]
                with around(forward):
                    total += self.denoiser(**{**arguments, "hidden_states": x}, return_dict=False)[0]
            x = x - 0.1 * total / self.forwards
        return x

    @contextmanager
    def computed(self, path: str) -> Iterator[list[int]]:
        """The evaluations at which the first linear layer of the module at `path` runs: no cache stands around it."""
        module = self.denoiser.get_submodule(path)
        layer = next(part for part in module.modules() if isinstance(part, nn.Linear))
        evaluations: list[int] = []
        handle = layer.register_forward_pre_hook(lambda *_: evaluations.append(self.e))
        try:
            yield evaluations
        finally:
            handle.remove()

    def trajectory(self, level: str = "branch") -> Trajectory:
        """What a static method plans on."""
        sites, rest = site_costs(
            self.denoiser, find_sites(self.denoiser, level), lambda: self.run(evals=1), samples=2
        )
        scale = float(TINY[self.name].at(1.0)["timestep"].flatten()[0])
        return Trajectory(sites, tuple(scale * level for level in LEVELS), rest.total, rest.linear)

    def batch(self, trajectory: Trajectory) -> CalibrationBatch:
        """The same loop as a calibration batch."""
        return CalibrationBatch(self.denoiser, lambda announcer: self.run(before=announcer.step), trajectory)


def evaluations(realised: Sequence[Sequence[bool]], site: int = -1) -> list[int]:
    """The evaluations at which a site was computed."""
    return [e for e, bits in enumerate(realised) if bits[site]]


def close(x: Tensor, expected: Tensor, bound: float = 1e-5) -> bool:
    """Whether two samples are equal within rounding."""
    return bool((x - expected).abs().max() <= bound * expected.abs().max())
