"""stage=calibrate: error curves or a schedule to a file of the user's."""

import json
from pathlib import Path

from smoothbench.build import build_model, device_of
from smoothbench.caching import Schedule
from smoothbench.errors import UsageError
from smoothbench.points import Planner
from smoothbench.store import Store, write_atomic
from smoothbench.types import Settings


def save_plan(settings: Settings) -> Path:
    """Write the error curves (*.npz), or the schedule of the asked policy (*.json)."""
    target = Path(settings.out or "").absolute()
    if target.suffix not in (".npz", ".json"):
        raise UsageError(
            f"stage=calibrate needs out=FILE.npz (error curves) or out=FILE.json (schedule), not {target}"
        )
    device = device_of(settings.device)
    store = Store(Path(settings.results_dir).absolute() / "runs" / settings.experiment)
    store.check()
    with store.enter():
        data = _plan(settings, Planner(settings, build_model(settings.model, device), store), target.suffix)
        try:
            write_atomic(target, data)
        except OSError as error:
            raise UsageError(f"out={target}: cannot be written ({error.strerror})") from None
    return target


def _plan(settings: Settings, planner: Planner, suffix: str) -> bytes:
    point = planner.point(settings.specs[-1])
    if suffix == ".npz":
        return planner.curves(point.solver, point.spec)[0].to_bytes()
    if not isinstance(point.policy, Schedule):
        raise UsageError(
            point.failure or f"{point.spec.label} decides at run time: it has no schedule to save"
        )
    return (json.dumps(point.policy.to_json()) + "\n").encode()
