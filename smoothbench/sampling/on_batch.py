"""What runs of the calibration batch have given: from the results folder, or made now by the first that needs it."""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from smoothbench.caching import CalibrationBatch, Trajectory
from smoothbench.caching.announce import Announcer
from smoothbench.caching.known_rollouts import KnownRollouts
from smoothbench.caching.predictor import Predictor
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.protocols import Model, Solver
from smoothbench.sampling.calibrate_point import calibration_batches, embed_prompts
from smoothbench.sampling.loop import Snapshot, latents
from smoothbench.sampling.out_of_memory import first_that_fits, half
from smoothbench.sampling.output_memory import SHARE, free_bytes
from smoothbench.self_sampling import samples_at_once
from smoothbench.solvers.finer import finer
from smoothbench.storage.files import write_atomic
from smoothbench.storage.results_folder import Store

log = logging.getLogger(__name__)

SHARE_OF_STATES = 0.1  # of the memory that is free, for the states of the uncached run

Job = TypeVar("Job")
Result = TypeVar("Result")


class OnBatch(ABC, Generic[Job, Result]):
    """Results of jobs on the calibration batch, each in a file of the results folder.

    With `force` nothing is read that this process did not make itself.
    """

    def __init__(self, sites: ChosenSites, store: Store, force: bool) -> None:
        self.model, self.sites, self.store, self.force = sites.model, sites, store, force
        self._made: dict[str, tuple[Result, str]] = {}

    @abstractmethod
    def file(self, job: Job) -> str:
        """Return where the result of a job lies in the results folder, by all that it depends on."""

    @abstractmethod
    def read(self, path: Path, job: Job) -> Result | None:
        """Read a result; None where the file is missing, damaged or of another job."""

    @abstractmethod
    def run(self, job: Job) -> Result:
        """Run the model for a job."""

    @abstractmethod
    def to_bytes(self, result: Result) -> bytes:
        """Return the content of a result's file."""

    def known(self, job: Job) -> tuple[Result, str, str] | None:
        """Return a result, its digest and its file, where it was made before; the model does not run."""
        file = self.file(job)
        if file not in self._made:
            path = self.store.folder / file
            stored = None if self.force else self.read(path, job)
            if stored is None:
                return None
            self._made[file] = stored, hashlib.sha256(path.read_bytes()).hexdigest()
        return *self._made[file], file

    def made(self, job: Job) -> tuple[Result, str, str]:
        """Return a result, its digest and its file; the first of several processes that needs it makes it."""
        if (known := self.known(job)) is not None:
            return known
        with self.store.explained(), self.store.lock("calibration"):
            if (known := self.known(job)) is not None:  # by now, by another process
                return known
            file, result = self.file(job), self.run(job)
            data = self.to_bytes(result)
            write_atomic(self.store.folder / file, data)
        self._made[file] = result, hashlib.sha256(data).hexdigest()
        return *self._made[file], file


def calibration_batch(
    model: Model,
    solver: Solver,
    calibration: Mapping[str, Any],
    trajectory: Trajectory,
    predictor: Predictor,
    size: int,
    known: KnownRollouts | None = None,
) -> CalibrationBatch:
    """Return the calibration batch of a point, on the calibration's own seeds, sampled `size` at a time.

    Args: known, the rollouts of earlier plannings on the same samples.
    """
    embed_prompts(model, calibration_batches(model, dict(calibration), size))
    # its weights are in place, and no text encoder is still to come, when what is free is read
    denoiser = model.denoiser
    free = free_bytes(torch.device("cpu"))  # where recordings lie
    beside = free_bytes(model.device)  # where states lie
    states = None if beside is None else int(SHARE_OF_STATES * beside)
    return CalibrationBatch(
        denoiser,
        _Sampling(model, solver, calibration, size, states),
        trajectory,
        predictor,
        model.guidance_rows // model.forwards,
        None if free is None else int(SHARE * free),
        lambda substeps: _Sampling(model, finer(solver, substeps), calibration, size, 0),
        known,
    )


def in_smaller_batches(model: Model, samples: int, run: Callable[[int], Result]) -> Result:
    """Run a job with all samples in one batch, and where memory does not suffice with ever fewer at a time.

    Raises MemoryError where not even single samples fit.
    """
    return first_that_fits(
        samples_at_once(model, samples),
        run,
        smaller=lambda size: half(size) if size > model.min_batch_size else None,
        refused=lambda size, reason: log.warning("out of memory (%s): planning on smaller batches", reason),
        nothing_fits="not even a planning on single samples fits into memory",
    )


class _Sampling:
    """Samples the calibration batch, so many samples at a time; it can go on from where its first run passed.

    Args: room, the bytes that the states on the way may take.
    """

    def __init__(
        self, model: Model, solver: Solver, calibration: Mapping[str, Any], size: int, room: int | None
    ) -> None:
        self._model, self._solver, self._room = model, solver, room
        self._batches = calibration_batches(model, dict(calibration), size)
        self._passed: list[list[Snapshot]] = []

    def __call__(self, announcer: Announcer) -> Tensor:
        return torch.cat(
            [latents(self._model, self._solver, seeds, announcer.step, of) for seeds, of in self._batches]
        )

    def remember(self, announcer: Announcer) -> Tensor:
        """Sample the batch, and remember the states on the way for as long as there is room."""
        self._passed, parts = [], []
        for seeds, of in self._batches:
            passed: list[Snapshot] = []
            parts.append(
                latents(self._model, self._solver, seeds, announcer.step, of, passed=self._noting(passed))
            )
            self._passed.append(passed)
        return torch.cat(parts)

    @property
    def remembered(self) -> int:
        """The number of evaluations, from the first, from which the batch can go on."""
        return min(map(len, self._passed), default=0)

    def resume(self, announcer: Announcer, first: int) -> Tensor:
        """Sample the batch from evaluation `first` on, from the states that were remembered."""
        return torch.cat(
            [
                latents(self._model, self._solver, seeds, announcer.step, of, start=passed[first])
                for (seeds, of), passed in zip(self._batches, self._passed, strict=True)
            ]
        )

    def _noting(self, passed: list[Snapshot]) -> Callable[[Snapshot], None]:
        room = None if self._room is None else self._room // len(self._batches)
        taken = 0

        def note(snapshot: Snapshot) -> None:
            nonlocal taken
            taken += sum(leaf.nbytes for leaf in tree_leaves(snapshot.state) if isinstance(leaf, Tensor))
            if len(passed) == snapshot.e and (room is None or taken <= room):
                passed.append(snapshot)

        return note
