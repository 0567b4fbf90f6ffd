"""Error curves of an experiment's model: from the results folder, or measured now."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from smoothbench.caching import ErrorCurves, Site, calibrate, grid
from smoothbench.caching.announce import Announcer
from smoothbench.config.spec import Spec
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.protocols import BLOCK, Config, EmbedsPrompts, Model, Solver
from smoothbench.sampling.loop import latents
from smoothbench.sampling.out_of_memory import first_that_fits
from smoothbench.sampling.output_memory import Split, free_bytes, output_bytes_of, split
from smoothbench.self_sampling import samples_at_once
from smoothbench.storage.files import write_atomic
from smoothbench.storage.identity import describe, describe_model, identity
from smoothbench.storage.results_folder import Store

log = logging.getLogger(__name__)

SeedsAndConditions = tuple[Sequence[int], Tensor | None]  # None: the seeds' own labels or prompts


class Curves:
    """Error curves by the model, solver and calibration that they were measured with: read, or measured now.

    `version` rises when the same calibration gives other curves than before. With `force` nothing is read that this
    process did not measure itself.
    """

    version = 1

    def __init__(self, sites: ChosenSites, store: Store, force: bool) -> None:
        self.model, self.sites, self.store, self.force = sites.model, sites, store, force
        self._curves: dict[str, ErrorCurves] = {}

    def known(self, solver: Solver, spec: Spec, sites: Sequence[Site]) -> tuple[ErrorCurves, str] | None:
        """A point's error curves and their file where they were measured before; the model does not run."""
        file = self._file(solver, spec, sites)
        if file not in self._curves:
            curves = None if self.force else _stored(self.store.folder / file, solver)
            if curves is None:
                return None
            self._curves[file] = curves
        return self._curves[file], file

    def measured(self, solver: Solver, spec: Spec, sites: Sequence[Site]) -> tuple[ErrorCurves, str]:
        """A point's error curves and their file; the first of several processes that needs them measures them."""
        if (known := self.known(solver, spec, sites)) is not None:
            return known
        with self.store.explained(), self.store.lock("calibration"):
            if (known := self.known(solver, spec, sites)) is not None:  # by now, by another process
                return known
            file = self._file(solver, spec, sites)
            curves = measure_curves(self.model, sites, solver, spec.calibration)
            write_atomic(self.store.folder / file, curves.to_bytes())
        self._curves[file] = curves
        return curves, file

    def _file(self, solver: Solver, spec: Spec, sites: Sequence[Site]) -> str:
        described = describe_model(self.model), describe(solver, spec.solver)
        return curves_file(*described, spec.calibration, self.sites.named(sites))


def measure_curves(model: Model, sites: Sequence[Site], solver: Solver, calibration: Config) -> ErrorCurves:
    """Run the uncached model on the calibration's own seeds, and measure how much each site's output changes.

    The samples run in as few parts as the free memory allows, which is logged before the first one starts; where it
    does not suffice after all, in smaller ones. Raises MemoryError where not even single samples and sites fit.
    """
    outputs = output_bytes_of(model, sites)
    embed_prompts(model, calibration_batches(model, calibration, calibration["num_samples"]))
    # what is free is known with its weights in place, and with no text encoder still to come
    _ = model.denoiser
    free, least, lags = free_bytes(model.device), model.min_batch_size, calibration["k_max"]
    first = split(samples_at_once(model, calibration["num_samples"]), outputs, lags, free, least)

    def run(plan: Split) -> ErrorCurves:
        log.info(
            "calibrating: %d samples, %d evaluations; %d at a time, passes: %d, keeping %.3g GB%s",
            *(
                calibration["num_samples"],
                len(solver.coordinates),
                plan.samples,
                plan.passes,
                plan.bytes / 1e9,
            ),
            "" if free is None else f" of {free / 1e9:.3g} GB free",
        )
        return _in_parts(model, sites, solver, calibration, plan)

    return first_that_fits(
        first,
        run,
        smaller=lambda plan: plan.smaller(outputs, lags, least),
        refused=lambda plan, reason: log.warning("out of memory (%s): calibrating in smaller parts", reason),
        nothing_fits="not even a calibration of single samples and sites fits into memory",
    )


def _in_parts(
    model: Model, sites: Sequence[Site], solver: Solver, calibration: Config, plan: Split
) -> ErrorCurves:
    """Curves of all the calibration's samples, so many at a time as the plan says."""
    batches = calibration_batches(model, calibration, plan.samples)
    embed_prompts(model, batches)

    def run(announcer: Announcer) -> None:
        for seeds, labels_or_prompts in batches:
            latents(model, solver, seeds, announcer.step, labels_or_prompts)

    return calibrate(
        model.denoiser,
        run,
        k_max=calibration["k_max"],
        rows_per_sample=model.guidance_rows // model.forwards,
        passes=plan.passes,
        sites=sites,
    )


def embed_prompts(model: Model, batches: Sequence[SeedsAndConditions]) -> None:
    """Prepare a model for calibration batches: their prompts are encoded together, before any output is kept."""
    of_seeds = [seeds for seeds, labels_or_prompts in batches if labels_or_prompts is None]
    if of_seeds and isinstance(model, EmbedsPrompts):
        model.embed(of_seeds)


def calibration_seeds(calibration: Config) -> range:
    """Return the seeds of a calibration's samples: those of its draw, in a seed block of its own."""
    count = calibration["num_samples"]
    first = calibration["seed"] * BLOCK + calibration["draw"] * count
    return range(first, first + count)


def calibration_batches(model: Model, calibration: Config, size: int) -> list[SeedsAndConditions]:
    """Cut the calibration's samples into batches: their seeds, and the labels or prompts in place of the seeds' own."""
    seeds = calibration_seeds(calibration)
    count = len(seeds)
    labels_or_prompts = model.unconditional(count) if calibration["unconditional"] else None
    cuts = [range(i, min(i + size, count)) for i in range(0, count, size)]
    if len(cuts) > 1 and len(cuts[-1]) < model.min_batch_size:
        cuts[-2:] = [range(cuts[-2].start, count)]
    return [
        (
            seeds[cut.start : cut.stop],
            None if labels_or_prompts is None else labels_or_prompts[cut.start : cut.stop],
        )
        for cut in cuts
    ]


def curves_file(
    model: Config,
    solver: Config,
    calibration: Config,
    sites: Mapping[str, Sequence[str]] | None = None,
    version: int = Curves.version,
) -> str:
    """Return where curves lie in a results folder, by the descriptions of model and solver, and the calibration.

    Args: sites, as `ChosenSites.named` gives them.
    """
    on = {key: value for key, value in calibration.items() if key != "unconditional" or value}
    known = {"model": model, "solver": solver, "calibration": on, "version": version, **(sites or {})}
    return f"curves/{identity(known)}.npz"


def _stored(path: Path, solver: Solver) -> ErrorCurves | None:
    """Curves from a file; None where it is missing, damaged or of another time grid: they are measured again."""
    try:
        curves = ErrorCurves.load(path)
    except ValueError:
        return None
    return curves if grid.same(solver.coordinates, curves.trajectory.coordinates) else None
