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
    planner = Planner(settings, build_model(settings.model, device), store)
    point = planner.point(settings.specs[-1])
    if target.suffix == ".npz":
        data = planner.curves(point.solver, point.spec)[0].to_bytes()
    elif isinstance(point.policy, Schedule):
        data = (json.dumps(point.policy.to_json()) + "\n").encode()
    else:
        raise UsageError(
            point.failure or f"{point.spec.label} decides at run time: it has no schedule to save"
        )
    try:
        write_atomic(target, data)
    except OSError as error:
        raise UsageError(f"out={target}: cannot be written ({error.strerror})") from None
    return target
