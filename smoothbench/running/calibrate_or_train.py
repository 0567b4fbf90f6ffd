"""stage=calibrate and stage=train: error curves, a schedule or a trained router to a file of the user's."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from smoothbench.caching import Schedule
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.caching.saved_weights import SavedWeights
from smoothbench.config.instantiate import (
    build,
    build_model,
    build_policy,
    build_predictor,
    build_solver,
    ready,
    require_attributes,
)
from smoothbench.config.spec import Settings, Spec
from smoothbench.errors import UsageError
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.planning.made_for import MADE_FOR, made_for
from smoothbench.planning.plan import check_seed_blocks, fitting_solver, plan_point, trajectory_of
from smoothbench.protocols import Config, Model
from smoothbench.running.out_file import out_file, write_out
from smoothbench.running.tuned_file import file_bytes
from smoothbench.sampling.devices import started
from smoothbench.sampling.measured import Measured
from smoothbench.storage.files import sha256_of
from smoothbench.storage.identity import describe, describe_model, identity
from smoothbench.storage.results_folder import Store
from smoothbench.training.teacher_windows import teacher_windows


def save_plan(settings: Settings) -> Path:
    """Write error curves (*.npz), a schedule (*.json) or a trained router (*.safetensors) to the file `out`.

    Raises UsageError for another suffix, and for a file that cannot be written.
    """
    target = out_file(settings, {"calibrate": (".npz", ".json"), "train": (".safetensors",)}[settings.stage])
    device = started(settings.device, settings.tf32)
    store = Store(Path(settings.results_dir).absolute() / "runs" / settings.experiment)
    with store.enter():
        model = ready(build_model(settings.model, device), settings.stage, settings.specs[-1].solver)
        if settings.stage == "train":
            data = _trained(settings, model, store)
        else:
            data = _plan(settings, model, store, target.suffix)
        write_out(target, data)
    return target


def _plan(settings: Settings, model: Model, store: Store, suffix: str) -> bytes:
    """Return the bytes of error curves, or of the schedule that the last point's policy plans on them."""
    check_seed_blocks(settings, model)
    spec, sites = settings.specs[-1], ChosenSites(model)
    measured = Measured(sites, store, settings.force, runs=True)
    if suffix == ".npz":
        # a mistake in them is told before anything is measured
        policy = build_policy(spec.policy, spec.where)
        build_predictor(spec.predictor, spec.where)
        solver = fitting_solver(spec, model)
        try:
            trajectory = sites.trajectory(policy, solver.coordinates)
        except ValueError as error:
            raise UsageError(f"{spec.where}: {error}") from None
        return measured.measurements.measured(solver, spec, trajectory.sites)[0].to_bytes()
    point = plan_point(spec, model, sites, measured, settings.batch_size)
    if not isinstance(point.policy, Schedule):
        raise UsageError(
            point.unsupported
            or point.planning_error
            or f"{spec.label} decides at run time: it has no schedule to save"
        )
    schedule = point.policy
    if isinstance(point.predictor, SavedWeights):  # fitted to this schedule, and to nothing else
        meta = {**schedule.meta, MADE_FOR: made_for(point.described)}
        schedule = replace(schedule, meta=meta).with_predictor(point.predictor)
    return file_bytes(schedule)


def _trained(settings: Settings, model: Model, store: Store) -> bytes:
    """Train a policy by its `training` node and return the router's bytes; a stopped training is resumed."""
    spec = settings.specs[-1]
    if spec.training is None:
        raise UsageError(f"stage=train: {spec.label} learns nothing; cache=l2c does")
    training = require_attributes(build(spec.training, "cache.training"), "cache.training", "fit")
    check_seed_blocks(settings, model)
    solver, trajectory = trajectory_of(spec, model, measured_sites(*model.skeleton()))
    name = checkpoint_id(model, spec, training, settings.training)
    checkpoint = store.folder / "training" / f"{name}.pt"
    if settings.force:
        checkpoint.unlink(missing_ok=True)
    with store.lock(f"training-{checkpoint.stem}"):
        learned: bytes = training.fit(
            teacher_windows(model, solver, trajectory, settings.training), str(checkpoint)
        )
    return learned


def checkpoint_id(model: Model, spec: Spec, training: Any, settings: Config) -> str:
    """Name a checkpoint by all that decides what it holds, so that no training goes on from that of other code."""
    parameters = dict(settings)
    if (latents := parameters["latents"]) is not None and Path(latents).is_file():
        # what the file holds, not where it lies, makes the training data
        parameters["latents"] = sha256_of(latents)
    solver = describe(build_solver(spec.solver), spec.solver)
    return identity([describe_model(model), solver, describe(training, spec.training), parameters])
