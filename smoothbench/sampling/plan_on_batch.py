"""Plans that are made on the calibration batch: from the results folder, or made now, which takes runs of the model."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smoothbench.caching import CalibrationBatch, Schedule, Site, WeightedSum
from smoothbench.caching.announce import Announcer
from smoothbench.config.spec import Spec
from smoothbench.planning.calibrated import BatchPlan, BatchPlanning, Curves
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.protocols import Model, Solver
from smoothbench.sampling import calibrate_point
from smoothbench.sampling.calibrate_point import calibration_batches
from smoothbench.sampling.loop import latents
from smoothbench.sampling.out_of_memory import first_that_fits, half
from smoothbench.sampling.output_memory import SHARE, free_bytes
from smoothbench.storage.files import read_json, write_atomic
from smoothbench.storage.identity import identity
from smoothbench.storage.results_folder import Store

log = logging.getLogger(__name__)


class Plans:
    """Plans by what they were made with: read from the results folder, or made now.

    `version` rises when the same planning gives other plans than before. With `force` nothing is read that this
    process did not make itself.
    """

    version = 1

    def __init__(self, sites: ChosenSites, store: Store, force: bool) -> None:
        self.model, self.sites, self.store, self.force = sites.model, sites, store, force
        self._made: dict[str, tuple[BatchPlan, str]] = {}

    def known(self, planning: BatchPlanning) -> tuple[BatchPlan, str, str] | None:
        """A plan, its digest and its file, where it was made before; the model does not run."""
        file = self._file(planning)
        if file not in self._made:
            stored = None if self.force else _stored(self.store.folder / file, planning)
            if stored is None:
                return None
            self._made[file] = stored
        return *self._made[file], file

    def made(self, planning: BatchPlanning) -> tuple[BatchPlan, str, str]:
        """A plan, its digest and its file; the first of several processes that needs it makes it."""
        if (known := self.known(planning)) is not None:
            return known
        with self.store.explained(), self.store.lock("calibration"):
            if (known := self.known(planning)) is not None:  # by now, by another process
                return known
            file, plan = self._file(planning), plan_on_batch(self.model, planning)
            data = _to_bytes(plan)
            write_atomic(self.store.folder / file, data)
        self._made[file] = plan, hashlib.sha256(data).hexdigest()
        return *self._made[file], file

    def _file(self, planning: BatchPlanning) -> str:
        on = {"calibration": planning.spec.calibration, **self.sites.named(planning.trajectory.sites)}
        return f"plans/{identity({**planning.parts, **on, 'version': self.version})}.json"


def plan_on_batch(model: Model, planning: BatchPlanning) -> BatchPlan:
    """Plan on the calibration's own seeds, and log what that cost.

    Where memory does not suffice, the plan is made anew with the batch cut into smaller ones. Raises MemoryError where
    not even single samples fit.
    """
    calibration, name = planning.spec.calibration, planning.spec.name
    free = free_bytes(torch.device("cpu"))  # where recordings lie
    room = None if free is None else int(SHARE * free)

    def run(size: int) -> BatchPlan:
        log.info("%s: planning on %d samples, %d at a time", name, calibration["num_samples"], size)
        batch = CalibrationBatch(
            model.denoiser,
            _Sampling(model, planning.solver, calibration, size),
            planning.trajectory,
            planning.predictor,
            model.guidance_rows // model.forwards,
            room,
        )
        plan, spent = planning.plan(batch), batch.spent
        log.info(
            "%s: planned by %d runs of the calibration batch (%d rollouts): %d evaluations of a sample, %.3g TMACs",
            *(name, spent.runs, spent.rollouts, spent.evaluations, spent.macs / 1e12),
        )
        return plan

    return first_that_fits(
        calibration["num_samples"],
        run,
        smaller=lambda size: half(size) if size > model.min_batch_size else None,
        refused=lambda size, reason: log.warning("out of memory (%s): planning on smaller batches", reason),
        nothing_fits="not even a planning on single samples fits into memory",
    )


class _Sampling:
    """Samples the calibration batch, so many samples at a time."""

    def __init__(self, model: Model, solver: Solver, calibration: Mapping[str, Any], size: int) -> None:
        self._model, self._solver = model, solver
        self._batches = calibration_batches(model, dict(calibration), size)

    def __call__(self, announcer: Announcer) -> Tensor:
        return torch.cat(
            [
                latents(self._model, self._solver, seeds, announcer.step, labels_or_prompts)
                for seeds, labels_or_prompts in self._batches
            ]
        )


class Measured:
    """A `Calibrated` that has what lies in the results folder; with `runs` the model runs for what does not."""

    def __init__(self, curves: "calibrate_point.Curves", plans: Plans, runs: bool) -> None:
        self._curves, self._plans, self._runs = curves, plans, runs

    def curves(self, solver: Solver, spec: Spec, sites: Sequence[Site]) -> Curves | None:
        """A point's error curves and their file."""
        return (self._curves.measured if self._runs else self._curves.known)(solver, spec, sites)

    def plan(self, planning: BatchPlanning) -> tuple[BatchPlan, str, str] | None:
        """What was planned on the calibration batch, the digest of it, and its file."""
        return (self._plans.made if self._runs else self._plans.known)(planning)


def _to_bytes(plan: BatchPlan) -> bytes:
    schedule = plan.schedule
    data = {
        "sites": schedule.sites,
        "kinds": schedule.kinds,
        "bits": schedule.bit_strings(),
        "meta": schedule.meta,
        "weights": plan.weights
        and {site: [list(row) for row in t] for site, t in plan.weights.table.items()},
    }
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def _stored(path: Path, planning: BatchPlanning) -> tuple[BatchPlan, str] | None:
    """A plan from a file, and its digest; None where it is missing, damaged or for other sites: it is made again."""
    data: Any = read_json(path)
    try:
        bits = tuple(
            tuple({"1": True, "0": False}[bit] for bit in of_evaluation) for of_evaluation in data["bits"]
        )
        schedule = Schedule(tuple(data["sites"]), tuple(data["kinds"]), bits, data["meta"])
        schedule.check_fits(planning.trajectory.coordinates)
        timesteps = planning.trajectory.coordinates
        weights = None if data["weights"] is None else WeightedSum(data["weights"], timesteps)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if schedule.sites != tuple(site.name for site in planning.trajectory.sites):
        return None
    return BatchPlan(schedule, weights), hashlib.sha256(path.read_bytes()).hexdigest()
