"""Settings of knobs that are found by runs of the calibration batch: from the results folder, or searched now."""

import json
import logging
from pathlib import Path
from typing import Any

from smoothbench.caching.knobs import CLOSE
from smoothbench.planning.budget_search import BudgetSearch, SearchedSetting
from smoothbench.protocols import Model
from smoothbench.sampling.on_batch import OnBatch, calibration_batch, in_smaller_batches
from smoothbench.sampling.out_of_memory import first_that_fits
from smoothbench.storage.files import read_json
from smoothbench.storage.identity import identity

log = logging.getLogger(__name__)


class Searches(OnBatch[BudgetSearch, SearchedSetting]):
    """Settings by what they were searched with: read from the results folder, or searched now.

    `version` rises when the same search gives other settings than before.
    """

    version = 1

    def file(self, job: BudgetSearch) -> str:
        """Return where a found setting lies in the results folder."""
        on = {"calibration": job.spec.calibration, **self.sites.named(job.trajectory.sites)}
        target = {"at": job.at, "batch_size": job.batch_size, "close": CLOSE, "version": self.version}
        return f"settings/{identity({**job.parts, **on, **target})}.json"

    def read(self, path: Path, job: BudgetSearch) -> SearchedSetting | None:
        """Read a setting; None where the file is missing or damaged."""
        data: Any = read_json(path)
        try:
            setting, share, spent = (data[key] for key in ("setting", "share", "spent"))
            numbers = [share, *([] if setting is None else [setting]), *spent.values()]
        except (TypeError, KeyError, AttributeError):
            return None
        return SearchedSetting(setting, share, spent) if all(map(_is_number, numbers)) else None

    def run(self, job: BudgetSearch) -> SearchedSetting:
        """Search on the calibration batch."""
        return search_on_batch(self.model, job)

    def to_bytes(self, result: SearchedSetting) -> bytes:
        """Return the content of a setting's file."""
        return (json.dumps(vars(result), indent=1, sort_keys=True) + "\n").encode()


def search_on_batch(model: Model, search: BudgetSearch) -> SearchedSetting:
    """Search for a setting on the calibration's own seeds, and log what that cost.

    A method that decides at run time runs in batches of the size that its samples are drawn in, which are never cut:
    its decisions are about the whole batch. Raises MemoryError where such a batch does not fit, or, for a method that
    plans, not even single samples.
    """
    calibration, name, knob = search.spec.calibration, search.spec.name, search.method.knob
    count = calibration["num_samples"]

    def run(size: int) -> SearchedSetting:
        log.info("%s: searching %s at %g of the MACs on %d samples", name, knob, search.at, count)
        batch = calibration_batch(
            model, search.solver, calibration, search.trajectory, search.predictor, size
        )
        result, spent = search.on(batch), batch.spent
        chosen = f"the cheapest {knob}" if result.setting is None else f"{knob}={result.setting:g}"
        log.info(
            "%s: %s costs %.4f of the MACs: %d runs of the calibration batch, %d evaluations of a sample, %.3g "
            "TMACs",
            *(name, chosen, result.share, spent.runs, spent.evaluations, spent.macs / 1e12),
        )
        return result

    if search.batch_size is None:
        return in_smaller_batches(model, count, run)
    size = min(count, search.batch_size)
    return first_that_fits(
        size,
        run,
        smaller=lambda size: None,
        refused=lambda size, reason: None,
        nothing_fits=f"a batch of {size} does not fit: choose a smaller batch_size",
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
