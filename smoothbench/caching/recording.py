"""Recordings: what probes gave at every evaluation of an uncached calibration batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from smoothbench.caching.evaluation_clock import Tick
from smoothbench.caching.outputs import take_apart
from smoothbench.caching.probes import Probe


@dataclass(frozen=True)
class Recording:
    """What probes gave at every evaluation of an uncached calibration batch, on the CPU.

    `values[probe][e]` holds the tensors of one evaluation, [samples, rows, ...]: one for an input, or as many as the
    output has. `rows` counts the guidance rows of a sample. `coordinates` are the timesteps of the evaluations. Where
    samples or rows differ in their number of tokens, as prompts of several lengths do, zeros precede the shorter ones.
    """

    values: Mapping[Probe, Sequence[Sequence[Tensor]]]
    coordinates: tuple[float, ...]

    def tensor(self, probe: Probe, leaf: int = 0) -> Tensor:
        """Return one tensor of a probe at all evaluations, [evaluation, sample, row, ...]."""
        return torch.stack([leaves[leaf] for leaves in self.values[probe]])

    def gram(self, probe: Probe) -> Tensor:
        """Return the inner products of a probe's values at two evaluations, float64 [sample, evaluation, evaluation].

        Every linear prediction of one evaluation from others, and its squared error, follow from them.
        """
        total: Tensor | float = 0.0
        for leaf in range(len(self.values[probe][0])):
            flat = self.tensor(probe, leaf).transpose(0, 1).flatten(2).double()
            total = total + flat @ flat.transpose(1, 2)
        assert isinstance(total, Tensor)
        return total


class RecordingRuns:
    """Collects what probes give while the calibration batch is sampled, in one or several runs, one after another.

    `room` is how many bytes it may take, None for any number; of `every` evaluations only the first is recorded.
    """

    def __init__(
        self, probes: Sequence[Probe], rows_per_sample: int, room: int | None = None, every: int = 1
    ) -> None:
        self._probes, self._rows_per_sample, self._every = probes, rows_per_sample, every
        self._room, self._bytes = room, 0
        self._runs: list[dict[tuple[Probe, int], list[list[Tensor]]]] = []  # leaves of each forward
        self._coordinates: list[float] = []
        self._tick: Tick | None = None
        self._batch = 0

    def begin(self, tick: Tick, batch: int) -> None:
        """Note that a forward of `batch` rows begins; ValueError where these are no whole samples."""
        if batch % self._rows_per_sample:
            raise ValueError(
                f"a batch of {batch} rows is no multiple of {self._rows_per_sample} rows a sample"
            )
        if tick.starts_run:
            self._runs.append({})
            self._coordinates = []
        if tick.starts_evaluation and tick.e % self._every == 0:
            self._coordinates.append(float(tick.e) if tick.coordinate is None else tick.coordinate)
        self._tick, self._batch = tick, batch

    def add(self, probe: Probe, value: object) -> None:
        """Add what a probe gave in the forward under way; ValueError where there is no room for it."""
        assert self._tick is not None
        if self._tick.e % self._every:
            return
        leaves, _ = take_apart(value, probe.site)
        self._bytes += sum(leaf.nbytes for leaf in leaves)
        if self._room is not None and self._bytes > self._room:
            raise ValueError(
                f"recording {len(self._probes)} probes takes more than {self._room / 1e9:.3g} GB, by evaluation "
                f"{self._tick.e}: record fewer at a time, or calibrate on fewer samples (calibration.num_samples)"
            )
        by_sample = [self._by_sample(leaf.detach()).clone().cpu() for leaf in leaves]
        self._runs[-1].setdefault((probe, self._tick.e // self._every), []).append(by_sample)

    def _by_sample(self, leaf: Tensor) -> Tensor:
        """Return a tensor [rows of the batch, ...] as [sample, row, ...]: rows r and r + samples are one sample's."""
        if len(leaf) != self._batch:  # some modules fold frames or tokens into the batch
            leaf = leaf.reshape(self._batch, -1)
        samples = self._batch // self._rows_per_sample
        return leaf.reshape(self._rows_per_sample, samples, *leaf.shape[1:]).transpose(0, 1)

    def result(self) -> Recording:
        """Return the recording of all runs together; ValueError where there is none, or a probe was not reached."""
        if not self._runs:
            raise ValueError("nothing was recorded: the run calls another module than the denoiser")
        values = {
            probe: [self._joined(probe, e) for e in range(len(self._coordinates))] for probe in self._probes
        }
        return Recording(values, tuple(self._coordinates))

    def _joined(self, probe: Probe, e: int) -> list[Tensor]:
        """The leaves of a probe at one evaluation: forwards along rows, runs along samples."""
        runs = []
        for run in self._runs:
            if (probe, e) not in run:
                raise ValueError(f"{probe} was not reached at evaluation {e}: it cannot be recorded")
            forwards = run[probe, e]
            runs.append([_padded(leaves, 1) for leaves in zip(*forwards, strict=True)])
        return [_padded(leaves, 0) for leaves in zip(*runs, strict=True)]


def _padded(leaves: Sequence[Tensor], dim: int) -> Tensor:
    """Join tensors along a dimension; where they differ in a later one, zeros precede what is shorter there.

    Before, because where text and picture are one stream the picture is last, and some look at it alone.
    """
    longest = [max(sizes) for sizes in zip(*(leaf.shape[2:] for leaf in leaves), strict=True)]
    return torch.cat([_preceded(leaf, longest) for leaf in leaves], dim)


def _preceded(leaf: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return a tensor [samples, rows, ...] whose other dimensions have these sizes, zeros first."""
    if list(leaf.shape[2:]) == sizes:
        return leaf
    missing = [size - now for size, now in zip(sizes, leaf.shape[2:], strict=True)]
    return pad(leaf, [amount for more in reversed(missing) for amount in (more, 0)])
