"""Error curves of an experiment's model: from the results folder, or measured now."""

import logging
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from smoothbench.caching import ErrorCurves, Site, calibrate, grid
from smoothbench.caching.announce import Announcer
from smoothbench.errors import one_line
from smoothbench.identity import describe, describe_model
from smoothbench.memory import out_of_memory
from smoothbench.output_memory import Split, free_bytes, output_bytes, split
from smoothbench.provenance import identity
from smoothbench.sampling import latents
from smoothbench.store import Store, write_atomic
from smoothbench.types import BLOCK, Config, Model, Solver, Spec

log = logging.getLogger(__name__)


class Calibrations:
    """Curves by what they were measured on: each is measured once, by one of several processes.

    `version` rises when the same calibration gives other curves than before.
    """

    version = 1

    def __init__(self, model: Model, sites: Sequence[Site], store: Store, force: bool) -> None:
        self.model, self.sites, self.store, self.force = model, sites, store, force
        self._curves: dict[str, ErrorCurves] = {}

    def curves(self, solver: Solver, spec: Spec) -> tuple[ErrorCurves, str]:
        """Error curves for a point, and their file."""
        file = curves_file(describe_model(self.model), describe(solver, spec.solver), spec.calibration)
        if file not in self._curves:
            with self.store.lock("calibration"):  # of several processes one measures
                path = self.store.folder / file
                curves = None if self.force else _stored(path, solver)
                if curves is None:
                    curves = self._measured(solver, spec.calibration)
                    write_atomic(path, curves.to_bytes())
                self._curves[file] = curves
        return self._curves[file], file

    def _measured(self, solver: Solver, asked: Config) -> ErrorCurves:
        """In as few parts as memory allows: said before it starts, and cut smaller where that was too hopeful."""
        skeleton: nn.Module
        skeleton, call = self.model.skeleton()
        outputs = output_bytes(skeleton, self.sites, call)
        _ = self.model.denoiser  # what is free is told with its weights in place
        free, least, lags = free_bytes(self.model.device), self.model.min_batch_size, asked["k_max"]
        plan: Split | None = split(asked["num_samples"], outputs, lags, free, least)
        while plan is not None:
            log.info(
                "calibrating: %d samples, %d evaluations; %d at a time, passes: %d, keeping %.3g GB%s",
                *(asked["num_samples"], len(solver.coordinates), plan.samples, plan.passes, plan.bytes / 1e9),
                "" if free is None else f" of {free / 1e9:.3g} GB free",
            )
            try:
                return self._in_parts(solver, asked, plan)
            except Exception as error:
                if not out_of_memory(error):
                    raise
                log.warning("out of memory (%s): calibrating in smaller parts", one_line(error)[:160])
            plan = plan.smaller(outputs, lags, least)
        raise MemoryError("not even a calibration of single samples and sites fits into memory")

    def _in_parts(self, solver: Solver, asked: Config, plan: Split) -> ErrorCurves:
        """On seeds of their own."""
        count = asked["num_samples"]
        first = asked["seed"] * BLOCK + asked["draw"] * count
        conditions = self.model.unconditional(count) if asked["unconditional"] else None
        parts = [range(i, min(i + plan.samples, count)) for i in range(0, count, plan.samples)]
        if len(parts) > 1 and len(parts[-1]) < self.model.min_batch_size:
            parts[-2:] = [range(parts[-2].start, count)]

        def run(announcer: Announcer) -> None:
            for part in parts:
                seeds = range(first + part.start, first + part.stop)
                given = None if conditions is None else conditions[part.start : part.stop]
                latents(self.model, solver, seeds, announcer.step, given)

        return calibrate(
            self.model.denoiser,
            run,
            k_max=asked["k_max"],
            rows_per_sample=self.model.guidance_rows // self.model.forwards,
            passes=plan.passes,
        )


def curves_file(model: Config, solver: Config, asked: Config, version: int = Calibrations.version) -> str:
    """Where curves lie in a results folder, by the model and the solver described, and the calibration asked for."""
    on = {key: value for key, value in asked.items() if key != "unconditional" or value}
    known = {"model": model, "solver": solver, "calibration": on, "version": version}
    return f"curves/{identity(known)}.npz"


def _stored(path: Path, solver: Solver) -> ErrorCurves | None:
    """Curves from a file; None where it is missing, damaged or of another time grid: they are measured again."""
    try:
        curves = ErrorCurves.load(path)
    except ValueError:
        return None
    return curves if grid.same(solver.coordinates, curves.trajectory.coordinates) else None
