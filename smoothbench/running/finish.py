"""The last stages, once all points are done: pooling over seeds, and latency, by the last process at work."""

import logging
from collections.abc import Sequence

from smoothbench.costs.latency_conditions import measure_conditions
from smoothbench.errors import UsageError
from smoothbench.planning.point import Point
from smoothbench.running.pool_seed_blocks import pool
from smoothbench.running.workbench import Workbench
from smoothbench.scoring.off_device import off_device
from smoothbench.storage.identity import identity
from smoothbench.storage.locks import Presence

log = logging.getLogger(__name__)


def same_work(bench: Workbench) -> Presence:
    """Return the processes in the folder that run the same points and metrics, on whatever seeds."""
    cells = sorted({point.cell_id for point in bench.points})
    return bench.store.sharing(identity([cells, bench.settings.metrics]))


def finish(points: Sequence[Point], bench: Workbench, working: Presence, sharing: Presence) -> None:
    """Pool the points, then measure latency; each only where no other process is still to do so.

    Pooling is for the last of those that share the points (`sharing`), since each of them would merge again what the
    others add; latency for the last of all at work in the folder (`working`), as it is time beside nobody else's.
    """
    settings, model, store = bench.settings, bench.model, bench.store
    alone = sharing.last()
    sharing.leave()
    if settings.draws_samples:
        if alone:
            pool(store, bench.scorer, points, settings.force)
        else:
            log.info("pooling: left to another process, which is at work on the same points")
    if not settings.times_latency(model.device.type):
        log.info(
            "latency: not measured (latency.rounds=%(rounds)d, latency.device=%(device)s)", settings.latency
        )
    elif working.last():
        # or peak memory would contain networks that stage=latency never loads
        with off_device(bench.scorer):
            measure_conditions(points, settings, model, store)
    elif alone:
        log.info(
            "latency: not measured, as another process is at work in %s: this run's points have no latency yet; "
            "afterwards the same command with stage=latency measures them",
            store.folder,
        )
    else:
        log.info(
            "latency: left to another process, which is at work on the same points in %s; where it measures none, "
            "the same command with stage=latency does",
            store.folder,
        )


def claim_folder(working: Presence) -> None:
    """Make sure, for stage=latency, that no other process is at work in the folder; UsageError if there is one."""
    if not working.last():
        raise UsageError(
            f"stage=latency: another process is at work in {working.folder}, beside which no latency is measured: "
            "the same command again once that has ended"
        )
