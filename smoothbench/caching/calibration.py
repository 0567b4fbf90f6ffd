"""Calibration: how fast each site's output changes along an uncached trajectory."""

import hashlib
import io
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.caching.clock import Clock, first_tensor
from smoothbench.caching.cost import SiteCosts
from smoothbench.caching.intercept import Forward, Wrap, intercepted
from smoothbench.caching.policy import Trajectory
from smoothbench.caching.sites import Site, find_sites


@dataclass(frozen=True)
class ErrorCurves:
    """Sums from which every relative L1 change follows (SmoothCache, arXiv 2411.10510, section 3.1).

    `l1_diff[sample, site, e, lag - 1]` is the L1 norm of the output's change between evaluations
    e - lag and e (NaN where e < lag), `l1[sample, site, e]` that of the output itself; float64.
    """

    trajectory: Trajectory
    l1_diff: Tensor
    l1: Tensor

    @property
    def k_max(self) -> int:
        """The longest lag."""
        return self.l1_diff.shape[3]

    def per_sample(self) -> Tensor:
        """Relative changes [sample, site, e, lag - 1], each sample by itself."""
        return self.l1_diff / self.l1[..., None]

    def whole_batch(self) -> Tensor:
        """Relative changes [site, e, lag - 1], the published form: one ratio over all samples."""
        return self.l1_diff.sum(0) / self.l1.sum(0)[..., None]

    def by_kind(self, kind: str) -> Tensor:
        """The published form averaged over the sites of a kind, [e, lag - 1]."""
        rows = [i for i, site in enumerate(self.trajectory.sites) if site.kind == kind]
        return self.whole_batch()[rows].mean(0)

    def spread(self) -> float | None:
        """How much the curves differ between samples, without a unit; None for fewer than 2 of them.

        The mean, over kinds and over evaluations from the second to the last but one, of the coefficient of
        variation over samples (standard deviation, ddof 1, by mean) of the per-sample lag-1 relative change,
        averaged over the sites of the kind.
        """
        kinds = [site.kind for site in self.trajectory.sites]
        if len(self.l1) < 2 or self.trajectory.evals < 3:
            return None
        lag1 = self.per_sample()[:, :, 1:-1, 0]
        rows = [[i for i, own in enumerate(kinds) if own == kind] for kind in dict.fromkeys(kinds)]
        changes = torch.stack([lag1[:, of_kind].mean(1) for of_kind in rows])  # [kind, sample, evaluation]
        return float((changes.std(1) / changes.mean(1)).mean())

    def save(self, path: str | Path) -> None:
        """Write an npz without pickled objects."""
        Path(path).write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The npz as bytes; the same curves give the same bytes."""
        import numpy as np

        sites, buffer = self.trajectory.sites, io.BytesIO()
        costs = [(s.macs, s.macs_linear) for s in sites]
        costs.append((self.trajectory.rest_macs, self.trajectory.rest_macs_linear))
        np.savez(
            buffer,
            l1_diff=self.l1_diff.numpy(),
            l1=self.l1.numpy(),
            sites=np.array([(s.name, s.kind, s.path, s.norm or "") for s in sites]),
            costs=np.array(costs, dtype=np.int64),
            coordinates=np.array(self.trajectory.coordinates),
        )
        return buffer.getvalue()

    @classmethod
    def load(cls, path: str | Path) -> "ErrorCurves":
        """Read what `save` wrote; ValueError, naming the file, where it is something else."""
        import numpy as np

        try:
            with np.load(path, allow_pickle=False) as data:
                *costs, rest = data["costs"].tolist()
                rows = zip(data["sites"].tolist(), costs, strict=True)
                sites = tuple(Site(n, k, p, m or None, *cost) for (n, k, p, m), cost in rows)
                trajectory = Trajectory(sites, tuple(data["coordinates"].tolist()), *rest)
                curves = cls(trajectory, torch.from_numpy(data["l1_diff"]), torch.from_numpy(data["l1"]))
                curves._check()
                return curves
        except Exception as error:  # what numpy and zipfile make of damaged bytes is no closed list
            raise ValueError(f"{path} holds no error curves ({' '.join(str(error).split())})") from error

    def _check(self) -> None:
        """ValueError where the arrays do not belong together or hold what no calibration measures."""
        shape = (len(self.trajectory.sites), self.trajectory.evals)
        costs = [s.macs for s in self.trajectory.sites] + [self.trajectory.rest_macs]
        if not all(isinstance(macs, int) and macs >= 0 for macs in costs):
            raise ValueError("its costs are not whole numbers from 0")
        if self.l1.shape[1:] != shape or self.l1_diff.shape[:3] != self.l1.shape or 0 in self.l1_diff.shape:
            raise ValueError(f"{list(self.l1_diff.shape)} changes of {list(self.l1.shape)} norms at {shape}")
        if self.l1.dtype != torch.float64 or self.l1_diff.dtype != torch.float64:
            raise ValueError("its sums are not float64")
        lag = torch.arange(1, self.k_max + 1)
        known = self.l1_diff[:, :, torch.arange(shape[1])[:, None] >= lag]
        if not all(sums.isfinite().all() and (sums >= 0).all() for sums in (self.l1, known)):
            raise ValueError("its sums are not finite or below 0")

    def digest(self) -> str:
        """sha256 of the sums, which names the calibration in a schedule's metadata."""
        return hashlib.sha256(self.l1_diff.numpy().tobytes() + self.l1.numpy().tobytes()).hexdigest()


def calibrate(
    denoiser: nn.Module,
    run: Callable[[], Any],
    k_max: int = 3,
    samples: int | None = None,
    *,
    calls_per_eval: int = 1,
    offload: bool = False,
) -> ErrorCurves:
    """Measure error curves, and the sites' costs, while `run` samples once or several times.

    Row r of a batch belongs to sample r modulo `samples`; None means fused guidance (rows r and
    r + B/2 are one sample) where the batch is even. Outputs of different runs are never compared.
    `offload` keeps them on the CPU. Raises ValueError for runs of different lengths or no run.
    """
    if k_max < 1:
        raise ValueError(f"k_max must be at least 1, not {k_max}")
    recorder = _Recorder(find_sites(denoiser), k_max, samples, "cpu" if offload else None, calls_per_eval)
    clock = Clock(denoiser.forward, None, calls_per_eval)
    wraps: list[tuple[nn.Module, Wrap]] = [(denoiser, lambda original: _denoiser(recorder, clock, original))]
    for i, site in enumerate(recorder.sites):
        wraps.append((denoiser.get_submodule(site.path), _recording(recorder, i)))
    with intercepted(denoiser, wraps), torch.no_grad():
        run()
    return recorder.curves()


def _denoiser(recorder: "_Recorder", clock: Clock, original: Forward) -> Forward:
    def forward(*args: Any, **kwargs: Any) -> Any:
        tick = clock.enter(args, kwargs)
        recorder.begin(tick.starts, tick.e, tick.branch, tick.coordinate, len(first_tensor(args, kwargs)))
        return recorder.costs.forward(original, *args, **kwargs)

    return forward


def _recording(recorder: "_Recorder", i: int) -> Wrap:
    def wrap(original: Forward) -> Forward:
        def forward(*args: Any, **kwargs: Any) -> Any:
            output = recorder.costs.branch(recorder.sites[i], original, *args, **kwargs)
            recorder.observe(i, output)
            return output

        return forward

    return wrap


class _Recorder:
    """Sums of one run after another; a finished run becomes two tensors."""

    def __init__(
        self, sites: tuple[Site, ...], k_max: int, samples: int | None, store: str | None, forwards: int
    ) -> None:
        self.sites, self.k_max, self.samples, self.store = sites, k_max, samples, store
        self.costs = SiteCosts(sites, forwards)
        self._finished: list[tuple[Tensor, Tensor]] = []
        self._counted = 0  # rows of the batch whose cost was counted: the very first
        self._grid: tuple[float, ...] = ()
        self._diff: list[Tensor] = []  # of the run under way: [sample, site, lag - 1] for each evaluation
        self._norm: list[Tensor] = []
        self._coordinates: list[float] = []
        self._kept: dict[tuple[int | str, int], deque[Tensor]] = {}
        self._branch: int | str = 0
        self._batch = 0

    def begin(self, starts: bool, e: int, branch: int | str, coordinate: float | None, batch: int) -> None:
        if starts:
            self._finish()
        self._branch, self._batch = branch, batch
        self._counted = self._counted or batch
        if e == len(self._diff):
            shape = (self._count(batch), len(self.sites))
            self._diff.append(torch.full((*shape, self.k_max), torch.nan, dtype=torch.float64))
            self._norm.append(torch.zeros(shape, dtype=torch.float64))
            self._coordinates.append(float(e) if coordinate is None else coordinate)

    def observe(self, i: int, output: Tensor) -> None:
        if not isinstance(output, Tensor):
            raise ValueError(
                f"{self.sites[i].name} returns a {type(output).__name__}: only single tensors can be kept"
            )
        output = output.detach().to(self.store or output.device)
        kept = self._kept.setdefault((self._branch, i), deque(maxlen=self.k_max))
        self._norm[-1][:, i] += self._l1(output)
        for lag, earlier in enumerate(kept):
            sums = self._diff[-1][:, i, lag]
            sums.copy_(sums.nan_to_num(0.0) + self._l1(output.float() - earlier.float()))
        kept.appendleft(output)

    def curves(self) -> ErrorCurves:
        self._finish()
        if not self._finished:
            raise ValueError("calibration saw no forward of the denoiser: does run() call it?")
        lengths = {diff.shape[2] for diff, _ in self._finished}
        if len(lengths) > 1:
            raise ValueError(f"calibration runs had different numbers of evaluations: {sorted(lengths)}")
        diffs, norms = zip(*self._finished, strict=True)
        sites, rest = self.costs.result(self._count(self._counted))
        trajectory = Trajectory(sites, self._grid, rest.total, rest.linear)
        return ErrorCurves(trajectory, torch.cat(diffs), torch.cat(norms))

    def _l1(self, output: Tensor) -> Tensor:
        """L1 norm of each sample: rows of the batch come first, whatever else is folded into them."""
        rows = output.float().reshape(self._batch, -1).abs().sum(1)
        return rows.view(-1, self._count(self._batch)).sum(0).double().cpu()

    def _count(self, batch: int) -> int:
        samples = self.samples or (batch // 2 if batch % 2 == 0 else batch)
        if batch % samples:
            raise ValueError(f"a batch of {batch} rows is no multiple of samples={samples}")
        return samples

    def _finish(self) -> None:
        if self._diff:
            self._finished.append((torch.stack(self._diff, 2), torch.stack(self._norm, 2)))
            self._grid = tuple(self._coordinates)
        self._diff, self._norm, self._coordinates, self._kept = [], [], [], {}
