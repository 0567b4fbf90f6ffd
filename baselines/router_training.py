"""Training of Learning-to-Cache's routers (Ma et al. 2024, arXiv 2406.01733, section 3.3)."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from baselines.router_files import to_bytes
from smoothbench.caching import Site
from smoothbench.caching.hooks import Forward, Wrap, intercepted
from smoothbench.caching.policy import Teacher

LastOutputs = list[Tensor]  # by site, the output that stands for the last computed one
LARGEST = 5.0  # of a logit, as in the released code


@dataclass(frozen=True)
class RouterTraining:
    """Train the logits of a router for the evaluations between full ones, every `interval`-th being full.

    Minimised for a window of evaluations: the mean squared difference of the denoiser's outputs with
    everything computed and with `w * computed + (1 - w) * last`, w = sigmoid(logit), plus `penalty`
    times the sum of all w. Only logits learn: AdamW without weight decay, clamped to [-5, 5]. With
    interval = 2 it is the published objective; with more, the mixture itself is mixed on through the window.
    `steps` are those of the optimiser for each window of the trajectory, drawn at random. Raises
    ValueError for settings out of range.
    """

    penalty: float = 1e-5
    interval: int = 2
    steps: int = 250
    lr: float = 0.05
    seed: int = 0
    name = "router"
    version = 1

    def __post_init__(self) -> None:
        if self.interval < 2 or self.steps < 1 or self.penalty < 0 or self.lr <= 0:
            raise ValueError(
                f"a router's training needs interval >= 2, steps >= 1, penalty >= 0 and lr > 0, not {self}"
            )

    @torch.enable_grad()
    def fit(self, teacher: Teacher, checkpoint: str, every: int = 100) -> bytes:
        """Train a router and return it as the bytes of a file.

        Training goes on from `checkpoint`, which is written once in `every` steps. Raises ValueError if it is damaged.
        """
        state = _State(self, teacher, checkpoint)
        total = self.steps * len(state.starts)
        bar = tqdm(total=total, initial=state.step, desc="training", unit="step", disable=None)
        while state.step < total:
            shown = state.update()
            bar.update()
            if state.step % every == 0 or state.step == total:
                state.save()
                bar.set_postfix(shown)
        bar.close()
        return to_bytes(state.logits(), teacher.trajectory, {"training": asdict(self), **teacher.provenance})


class _State:
    """Logits, optimiser and step: all that a resumed training needs, as a batch depends on the step alone."""

    def __init__(self, training: RouterTraining, teacher: Teacher, checkpoint: str) -> None:
        self.training, self.teacher, self.checkpoint, self.step = training, teacher, checkpoint, 0
        generator = torch.Generator().manual_seed(training.seed)
        width, evals = len(teacher.trajectory.sites), teacher.trajectory.evals
        # a tensor for each evaluation: Adam must not move those that a step does not see
        rows = [nn.Parameter(torch.randn(width, generator=generator)) for _ in range(evals)]
        device = next(teacher.denoiser.parameters()).device
        self.rows = nn.ParameterList(rows).to(device)
        self.optimizer = torch.optim.AdamW(self.rows.parameters(), lr=training.lr, weight_decay=0.0)
        self.starts = [e for e in range(0, evals, training.interval) if e + 1 < evals]
        if os.path.exists(checkpoint):
            self._load()

    def _load(self) -> None:
        """Go on from the checkpoint, whichever device wrote it; a damaged one is as good as none."""
        try:
            saved = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            self.rows.load_state_dict(saved["rows"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step = saved["step"]
        except (OSError, MemoryError, torch.OutOfMemoryError):  # of this machine, not of the file
            raise
        except Exception:  # what torch makes of damaged bytes is no closed list
            os.remove(self.checkpoint)
            raise ValueError(
                f"checkpoint {self.checkpoint} was damaged and is removed: the same command starts the training anew"
            ) from None

    def update(self) -> dict[str, str]:
        """One step on one window; its losses, to be shown."""
        generator = torch.Generator().manual_seed(self.training.seed * 10**9 + self.step + 1)
        start = self.starts[int(torch.randint(len(self.starts), (1,), generator=generator))]
        length = min(self.training.interval, len(self.rows) - start)
        forwards = self.teacher.window(start, length, generator)
        scores = [torch.sigmoid(self.rows[start + j]) for j in range(1, length)]
        error = distillation(self.teacher.denoiser, self.teacher.trajectory.sites, forwards, scores)
        size = torch.stack(scores).sum()
        self.optimizer.zero_grad(set_to_none=True)
        (error + self.training.penalty * size).backward()
        self.optimizer.step()
        with torch.no_grad():
            for row in self.rows:
                row.clamp_(-LARGEST, LARGEST)
        self.step += 1
        return {"error": f"{error.item():.2e}", "computed": f"{self._share():.0%}"}

    def logits(self) -> Tensor:
        """[evaluation, site]; NaN where evaluations are full."""
        logits = torch.full((len(self.rows), len(self.rows[0])), torch.nan)
        for e, row in enumerate(self.rows):
            if e % self.training.interval:
                logits[e] = row.detach().cpu()
        return logits

    def save(self) -> None:
        """Write the checkpoint, so that a kill loses no more than the steps since the last time."""
        parts = {"rows": self.rows.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step}
        state = io.BytesIO()
        torch.save(parts, state)
        self.teacher.save_checkpoint(self.checkpoint, state.getvalue())

    def _share(self) -> float:
        """Mean score of what is routed."""
        logits = self.logits()
        return float(torch.sigmoid(logits[~logits.isnan()]).mean())


def distillation(
    denoiser: nn.Module,
    sites: Sequence[Site],
    forwards: Sequence[Callable[[], Tensor]],
    scores: Sequence[Tensor],
) -> Tensor:
    """Return the mean squared error of the mixed outputs, summed over a window whose first evaluation is full.

    `forwards` are those of the window, `scores` [site] those of all evaluations but the first.
    """
    last: LastOutputs = [torch.empty(0)] * len(sites)
    with torch.no_grad(), _mixing(denoiser, sites, last, None):
        forwards[0]()
    error = torch.zeros((), device=scores[0].device)
    for forward, weights in zip(forwards[1:], scores, strict=True):
        with torch.no_grad():
            teacher = forward()
        with _mixing(denoiser, sites, last, weights):
            student = forward()
        error = error + (teacher - student).float().square().mean()
    return error


@contextmanager
def _mixing(
    denoiser: nn.Module, sites: Sequence[Site], last: LastOutputs, weights: Tensor | None
) -> Iterator[None]:
    """Make every branch return its output mixed with the last one, which it keeps; without weights, the output."""

    def wrap(i: int) -> Wrap:
        def around(original: Forward) -> Forward:
            def forward(*args: Any, **kwargs: Any) -> Tensor:
                output: Tensor = original(*args, **kwargs)
                last[i] = output if weights is None else torch.lerp(last[i], output, weights[i].to(output))
                return last[i]

            return forward

        return around

    wraps = [(denoiser.get_submodule(site.path), wrap(i)) for i, site in enumerate(sites)]
    with intercepted(denoiser, wraps):
        yield
