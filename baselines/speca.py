"""SpeCa (arXiv 2509.11628): forecast the blocks, and check the forecast by running the last block for real."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines.checks import check_number, check_whole, known_evals, refuse_unet
from smoothbench.caching import Evaluation, Probe, Range, Settings, Site, Trajectory, split_spans


@dataclass
class _Forecasts:
    """The forecasts since the last computed evaluation: their number, the error at the last check, what entered."""

    count: int = 0
    error: float = 0.0
    checks: bool = False
    entered: Tensor = field(default_factory=lambda: torch.empty(0))


@dataclass
class SpeCa:
    """SpeCa forecasts all blocks until a check by the last block, run for real, finds too large an error.

    After `min_forecasts` forecasts in a row each is checked: the last block runs on the forecast stream, and what it
    gives, y, is compared with its forecast and discarded; the error is the mean of |forecast - y| / |y| over all
    numbers of the main stream. Evaluation e of N is computed where the check before it found an error above
    max(`floor`, `threshold` * `decay`^((e + 1) / N)), after `max_forecasts` forecasts, and in the warm-up. That is the
    released code (Cache4Diffusion, speca-dit), with its defaults; of the paper the abstract alone was at hand. The code
    forecasts every branch, here what the blocks add is forecast; and it forecasts after every computed evaluation,
    even in the warm-up. Raises ValueError for a parameter out of range, and for a U-Net.
    """

    threshold: float = 0.3
    decay: float = 0.05
    floor: float = 0.01
    min_forecasts: int = 3
    max_forecasts: int = 8
    warmup_steps: int = 3
    forecasts: dict[int | str, _Forecasts] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    name = "speca"
    version = 1
    knob: ClassVar[str] = "threshold"

    def __post_init__(self) -> None:
        for key in ("threshold", "decay", "floor"):
            check_number(f"SpeCa's {key}", getattr(self, key))
        for key in ("min_forecasts", "max_forecasts", "warmup_steps"):
            check_whole(f"SpeCa's {key}", getattr(self, key), 0)
        if not 0 < self.decay <= 1:
            raise ValueError(f"SpeCa's decay must be above 0 and at most 1, not {self.decay!r}")

    def settings(self, trajectory: Trajectory) -> Settings:
        """Return thresholds from that at which `floor` alone allows errors to one that no error exceeds."""
        return Range(0.0, 100.0)

    def choose_sites(self, denoiser: nn.Module) -> tuple[Site, ...]:
        """Return all blocks but the last, and the last; ValueError for fewer than two blocks, and for a U-Net."""
        refuse_unet("SpeCa", denoiser)
        return split_spans(denoiser, last=1)

    def choose_probes(self, denoiser: nn.Module) -> Sequence[Probe]:
        """Look at what enters the last block."""
        return [Probe(self.choose_sites(denoiser)[-1].name, "input")]

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        """Compute everything or nothing, or the last block for a check."""
        if evaluation.starts_run:
            self.forecasts.clear()
        done = self.forecasts.get(evaluation.forward_index, _Forecasts())
        failed = done.checks and done.error > self.allowed_error(evaluation)
        in_warmup = evaluation.is_forced or evaluation.e < self.warmup_steps
        full = in_warmup or done.count >= self.max_forecasts or failed
        now = _Forecasts() if full else _Forecasts(done.count + 1, checks=done.count >= self.min_forecasts)
        self.forecasts[evaluation.forward_index] = now
        return self._bits(evaluation)

    def decide_after(self, probe: Probe, evaluation: Evaluation, value: Any) -> Sequence[bool]:
        """Note what enters the last block; nothing changes."""
        self.forecasts[evaluation.forward_index].entered = value
        return self._bits(evaluation)

    def _bits(self, evaluation: Evaluation) -> list[bool]:
        now = self.forecasts[evaluation.forward_index]
        return [*[not now.count] * (len(evaluation.sites) - 1), now.checks or not now.count]

    def observe(
        self, site: Site, evaluation: Evaluation, predicted: Callable[[], Any], computed: Any
    ) -> bool | None:
        """Measure the error of the forecast in a check, and discard what was computed for it."""
        now = self.forecasts[evaluation.forward_index]
        if not now.checks:
            return None
        stream = now.entered + computed[0]
        now.error = float(((predicted()[0] - computed[0]).abs() / (stream.abs() + 1e-10)).mean())
        return False

    def allowed_error(self, evaluation: Evaluation) -> float:
        """Return the largest error that a check may find; ValueError where the number of evaluations is unknown."""
        evals = known_evals("SpeCa", evaluation)
        return max(self.floor, self.threshold * self.decay ** ((evaluation.e + 1) / evals))
