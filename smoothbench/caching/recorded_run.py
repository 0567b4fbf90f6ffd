"""The recorded run of the calibration batch as a solver sees it: states, and what the denoiser made of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smoothbench.caching.batch_runs import BatchRuns
from smoothbench.caching.probes import INPUT, OUTPUT, Probe
from smoothbench.caching.recording import Recording
from smoothbench.caching.sites import DENOISER

PROBES = (Probe(DENOISER, INPUT), Probe(DENOISER, OUTPUT))


@dataclass(frozen=True)
class RecordedRun:
    """Holds the states and the outputs of one run of the calibration batch.

    `states[e]` [samples, ...] is what the denoiser got at evaluation e; the last of them is the finished sample, unless
    it has another shape. `outputs[e]` [samples, rows, ...] is what the denoiser gave, guidance rows in the second
    place, in the shape of the states. Raises ValueError, naming the evaluation, for values that are not finite.
    """

    states: Sequence[Tensor]
    outputs: Sequence[Tensor]

    def __post_init__(self) -> None:
        for what, tensors in (("state", self.states), ("output", self.outputs)):
            for e, tensor in enumerate(tensors):
                if not tensor.isfinite().all():
                    raise ValueError(
                        f"the {what} at evaluation {e} of the recorded run is not finite: nothing can be fitted to it; "
                        "calibrate in float32, or on other samples"
                    )

    @property
    def evals(self) -> int:
        """The number of evaluations."""
        return len(self.outputs)

    @property
    def samples(self) -> int:
        """The number of samples; guidance rows that began at noise of their own count as samples."""
        return len(self.outputs[0])

    def pieces(self, size: int) -> Iterator["RecordedRun"]:
        """Yield the run in pieces of one sample and at most `size` values of a state, flattened."""
        for i in range(self.samples):
            states = [x[i : i + 1].flatten(1).split(size, 1) for x in self.states]
            outputs = [x[i : i + 1].flatten(2).split(size, 2) for x in self.outputs]
            for piece in range(len(states[0])):
                yield RecordedRun([x[piece] for x in states], [x[piece] for x in outputs])


def recorded_run(batch: BatchRuns) -> RecordedRun:
    """Return the states and outputs of the batch's uncached run; what was recorded before is not run again."""
    return run_of(batch.record(PROBES), batch.uncached)


def run_of(recording: Recording, final: Tensor) -> RecordedRun:
    """Return the states and outputs of a recording, and its finished samples [samples, ...] as the last state.

    What inputs, outputs and finished samples do not have in common is left out: channels of a predicted variance or of
    a condition. Rows whose inputs differ are samples by themselves. Raises ValueError for outputs of another rank than
    the inputs.
    """
    given, made = ([leaves[0] for leaves in recording.values[probe]] for probe in PROBES)
    common = _common(given[0].shape[2:], made[0].shape[2:], final.shape[1:])
    inputs, outputs = [x[common] for x in given], [x[common] for x in made]
    if all(torch.equal(x, x[:, :1].expand_as(x)) for x in inputs):
        states = [x[:, 0] for x in inputs]
    else:
        states, outputs = [x.flatten(0, 1) for x in inputs], [x.flatten(0, 1)[:, None] for x in outputs]
        rows = inputs[0].shape[1]
        if len(final) == len(states[0]):
            final = final.unflatten(0, (rows, -1)).transpose(0, 1).flatten(0, 1)
    if final.numel() == states[0].numel():
        states.append(final.detach().cpu().reshape(states[0].shape))
    return RecordedRun(states, outputs)


def _common(given: Sequence[int], made: Sequence[int], final: Sequence[int]) -> tuple[slice, ...]:
    """The part of a tensor [samples, rows, ...] that inputs, outputs and finished samples have in common."""
    if len(given) != len(made):
        raise ValueError(
            f"the denoiser makes outputs {list(made)} of inputs {list(given)}: no solver adds these up"
        )
    limits = final if len(final) == len(given) else given
    axes = (slice(min(sizes)) for sizes in zip(given, made, limits, strict=True))
    return (slice(None), slice(None), *axes)
