"""Record the outputs of a run's last evaluations, and the sums of their changes, for a calibration."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from smoothbench.caching.evaluation_clock import Tick
from smoothbench.caching.grid import evaluation_numbers
from smoothbench.caching.outputs import take_apart
from smoothbench.caching.sites import Site

SamplesOf = Callable[[int], int]  # from the number of rows of a batch to its number of samples


class Sums(NamedTuple):
    """The sums of one run, float64, and its timesteps.

    `change` [sample, site, e, lag - 1] are L1 norms of changes, `norm` [sample, site, e] those of outputs.
    """

    change: Tensor
    norm: Tensor
    coordinates: tuple[float, ...]


class Recorder:
    """Records the sums of one sampling run after another, over the sites of one group.

    It keeps outputs of up to `k_max` evaluations, on the device `store` if one is given. An interrupted run leaves no
    sums.
    """

    def __init__(
        self, sites: Sequence[Site], group: range, k_max: int, samples_of: SamplesOf, store: str | None
    ) -> None:
        self.sites, self.group, self.k_max = sites, group, k_max
        self.finished: list[Sums] = []
        self._samples_of, self._store = samples_of, store
        self._forward_index: int | str = 0
        self._batch = 0
        self.drop()

    def drop(self) -> None:
        """Forget the run under way."""
        self._change: list[Tensor] = []  # [sample, site, lag - 1] for each evaluation
        self._norm: list[Tensor] = []
        self._coordinates: list[float] = []
        self._outputs: dict[
            tuple[int | str, int], list[list[Tensor]]
        ] = {}  # by forward and site, the newest first

    def begin(self, tick: Tick, batch: int) -> None:
        """Note that a forward of `batch` rows begins."""
        if tick.starts_run:
            self.finish()
        self._forward_index, self._batch = tick.forward_index, batch
        if tick.e == len(self._change):
            shape = (self._samples_of(batch), len(self.group))
            self._change.append(torch.full((*shape, self.k_max), torch.nan, dtype=torch.float64))
            self._norm.append(torch.zeros(shape, dtype=torch.float64))
            self._coordinates.append(float(tick.e) if tick.coordinate is None else tick.coordinate)

    def add(self, i: int, output: Any) -> None:
        """Add a computed output of site `i` to the sums, all its tensors together, and keep it."""
        if i not in self.group:
            return
        leaves, _ = take_apart(output, self.sites[i].name)
        stored, column = (
            [leaf.detach().to(self._store or leaf.device) for leaf in leaves],
            i - self.group.start,
        )
        earlier = self._outputs.get((self._forward_index, i), [])
        self._norm[-1][:, column] += self._l1(stored)
        for lag, older in enumerate(earlier):
            sums = self._change[-1][:, column, lag]
            differences = [new.float() - old.float() for new, old in zip(stored, older, strict=True)]
            sums.copy_(sums.nan_to_num(0.0) + self._l1(differences))
        self._outputs[self._forward_index, i] = [stored, *earlier[: self.k_max - 1]]

    def finish(self) -> None:
        """Close the run under way, if there is one; ValueError, naming the site, where an output was not finite."""
        if self._change:
            change, norm = torch.stack(self._change, 2), torch.stack(self._norm, 2)
            self._check_finite(norm)
            evals, coordinates = len(self._coordinates), tuple(self._coordinates)
            if evals > 1 and len(set(coordinates)) == 1:  # a timestep that never changes tells nothing
                coordinates = evaluation_numbers(evals)
            self.finished.append(Sums(change, norm, coordinates))
        self.drop()

    def _check_finite(self, norm: Tensor) -> None:
        # the first evaluation first: others follow from it
        wrong = (~norm.isfinite()).permute(2, 1, 0).nonzero()
        if len(wrong):
            e, column, sample = wrong[0].tolist()
            raise ValueError(
                f"{self.sites[self.group.start + column].name} gave values that are not finite at evaluation {e} of "
                f"sample {sample}: nothing can be planned on this calibration (is the dtype too narrow?)"
            )

    def _l1(self, leaves: Sequence[Tensor]) -> Tensor:
        """Compute the L1 norm of each sample, float64 [sample], over all rows of an output, even beyond the batch's."""
        total = torch.zeros(self._samples_of(self._batch), dtype=torch.float64)
        for leaf in leaves:
            norms = leaf.float().reshape(self._batch, -1).abs().sum(1)
            total += norms.view(-1, self._samples_of(self._batch)).sum(0).double().cpu()
        return total
