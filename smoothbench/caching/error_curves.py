"""Error curves: how fast the output of each site changes along an uncached trajectory, stored as sums."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smoothbench.caching.sites import BRANCH, Site
from smoothbench.caching.trajectory import Trajectory


@dataclass(frozen=True)
class ErrorCurves:
    """Error curves as sums of L1 norms, from which every relative change follows (SmoothCache, section 3.1).

    `l1_diff[sample, site, e, lag - 1]` is the L1 norm of the output's change between evaluations
    e - lag and e (NaN where e < lag), `l1[sample, site, e]` that of the output itself; float64. A relative
    change is 0 where nothing changes, also where the output is 0. `denoiser` is the `fingerprint` of the denoiser that
    was measured, None where nobody knows it any more. The paper is arXiv 2411.10510.
    """

    trajectory: Trajectory
    l1_diff: Tensor
    l1: Tensor
    denoiser: str | None = None

    @property
    def k_max(self) -> int:
        """The longest lag."""
        return self.l1_diff.shape[3]

    def per_sample(self) -> Tensor:
        """Relative changes [sample, site, e, lag - 1], each sample by itself."""
        return _relative(self.l1_diff, self.l1)

    def whole_batch(self) -> Tensor:
        """Relative changes [site, e, lag - 1], the published form: one ratio over all samples."""
        return _relative(self.l1_diff.sum(0), self.l1.sum(0))

    def by_kind(self, kind: str) -> Tensor:
        """Relative changes in the published form, averaged over the sites of a kind, [e, lag - 1]."""
        indices = [i for i, site in enumerate(self.trajectory.sites) if site.kind == kind]
        return self.whole_batch()[indices].mean(0)

    def between_sample_cv(self) -> float | None:
        """Return the coefficient of variation of the lag-1 error between samples; None for fewer than 2 samples.

        The mean, over kinds and over evaluations from the second to the last but one, of the coefficient of
        variation over samples (standard deviation, ddof 1, by mean) of the per-sample lag-1 relative change,
        averaged over the sites of the kind.
        """
        kinds = [site.kind for site in self.trajectory.sites]
        if len(self.l1) < 2 or self.trajectory.evals < 3:
            return None
        lag1 = self.per_sample()[:, :, 1:-1, 0]
        indices = [[i for i, other in enumerate(kinds) if other == kind] for kind in dict.fromkeys(kinds)]
        changes = torch.stack([lag1[:, of_kind].mean(1) for of_kind in indices])  # [kind, sample, evaluation]
        variation = torch.where(changes.std(1) == 0, 0.0, changes.std(1) / changes.mean(1))
        return float(variation.mean()) if variation.isfinite().all() else None

    def zero_outputs(self) -> list[str]:
        """Return the names of sites whose output is 0 for all samples at some evaluation.

        A change from there has no relative size: it counts as infinite, and its kind is computed.
        """
        zero = (self.l1.sum(0) == 0).any(1)
        return [
            site.name for site, is_zero in zip(self.trajectory.sites, zero.tolist(), strict=True) if is_zero
        ]

    def save(self, path: str | Path) -> None:
        """Write the curves to an npz file, without pickled objects."""
        Path(path).write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The npz file as bytes, the same for the same curves; ValueError for curves that could not be loaded again."""
        import numpy as np

        self._check()
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
            **_names(self.denoiser),
            **_levels(sites),
        )
        return buffer.getvalue()

    @classmethod
    def load(cls, path: str | Path) -> "ErrorCurves":
        """Read a file that `save` wrote; ValueError, naming the file, where it is something else."""
        import numpy as np

        try:
            with np.load(path, allow_pickle=False) as data:
                *costs, rest = data["costs"].tolist()
                pairs = zip(data["sites"].tolist(), costs, strict=True)
                sites = tuple(Site(n, k, p, m or None, *cost) for (n, k, p, m), cost in pairs)
                if "levels" in data:
                    places = zip(sites, data["levels"].tolist(), strict=True)
                    sites = tuple(_placed(s, level, tuple(paths.split())) for s, (level, paths) in places)
                trajectory = Trajectory(sites, tuple(data["coordinates"].tolist()), *rest)
                sums = torch.from_numpy(data["l1_diff"]), torch.from_numpy(data["l1"])
                curves = cls(trajectory, *sums, str(data["denoiser"]) if "denoiser" in data else None)
                curves._check()
                return curves
        except Exception as error:  # damaged bytes make numpy and zipfile raise exceptions of many kinds
            raise ValueError(f"{path} holds no error curves ({' '.join(str(error).split())})") from error

    def _check(self) -> None:
        """Raise ValueError where the arrays do not fit together or hold values that no calibration measures."""
        shape = (len(self.trajectory.sites), self.trajectory.evals)
        costs = [s.macs for s in self.trajectory.sites] + [self.trajectory.rest_macs]
        if not all(isinstance(macs, int) and macs >= 0 for macs in costs):
            raise ValueError("its costs are not whole numbers from 0")
        if self.l1.shape[1:] != shape or self.l1_diff.shape[:3] != self.l1.shape or 0 in self.l1_diff.shape:
            raise ValueError(f"{list(self.l1_diff.shape)} changes of {list(self.l1.shape)} norms at {shape}")
        if self.l1.dtype != torch.float64 or self.l1_diff.dtype != torch.float64:
            raise ValueError("its sums are not float64")
        lag = torch.arange(1, self.k_max + 1)
        changes = self.l1_diff[:, :, torch.arange(shape[1])[:, None] >= lag]
        if not all(sums.isfinite().all() and (sums >= 0).all() for sums in (self.l1, changes)):
            raise ValueError("its sums are not finite or below 0")

    def digest(self) -> str:
        """Return the sha256 of the sums, which identifies the calibration in a schedule's metadata."""
        return hashlib.sha256(self.l1_diff.numpy().tobytes() + self.l1.numpy().tobytes()).hexdigest()


def _names(denoiser: str | None) -> dict[str, Any]:
    """The fingerprint of the denoiser, for an npz file; nothing where there is none."""
    import numpy as np

    return {} if denoiser is None else {"denoiser": np.array(denoiser)}


def _levels(sites: Sequence[Site]) -> dict[str, Any]:
    """The levels of sites, blocks of spans and feeders of branches, for an npz file; nothing for plain branches."""
    if all(site.level == BRANCH and not site.feeders for site in sites):
        return {}
    import numpy as np

    return {"levels": np.array([(site.level, " ".join(site.blocks or site.feeders)) for site in sites])}


def _placed(site: Site, level: str, paths: tuple[str, ...]) -> Site:
    """A site at its level, with the blocks of a span or the feeders of a branch."""
    if level == BRANCH:
        return replace(site, feeders=paths)
    return replace(site, level=level, blocks=paths)


def _relative(change: Tensor, norm: Tensor) -> Tensor:
    """Changes [..., lag - 1] by norms [...]: 0 where nothing changes, infinite where the norm is 0."""
    return torch.where(change == 0, 0.0, change / norm[..., None])
