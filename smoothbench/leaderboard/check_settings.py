"""Check what a record says twice, and the files of curves beside it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from smoothbench.caching import ErrorCurves
from smoothbench.json_checks import explain
from smoothbench.leaderboard.difference import Difference, compare, compare_shared
from smoothbench.storage.record import Record

DESCRIBED = "the description that its ids follow from has"


def setting_differences(record: Record, folder: Path) -> Iterator[Difference]:
    """Yield the settings of a record that contradict what its ids follow from, or the curves that it was planned on."""
    described = record.described
    if described is None:
        return
    pairs = (("solver", described.solver), ("cache", described.policy))
    for group, part in pairs:
        node = record.config.get(group)
        if isinstance(node, Mapping) and part.parameters is not None:
            yield from compare_shared(f"config.{group}", node, part.parameters, DESCRIBED)
    model = record.config.get("model")
    if isinstance(model, Mapping):
        yield from compare_shared("config.model", model, record.model.to_json(), "its model has")
    if isinstance(record.predictor, Mapping) and described.predictor.parameters is not None:
        yield from compare_shared("predictor", record.predictor, described.predictor.parameters, DESCRIBED)
    if record.schedule is not None and described.policy.parameters is not None:
        meta, parameters = record.schedule.meta, described.policy.parameters
        yield from compare_shared("schedule.meta", meta, parameters, DESCRIBED)
    budget = record.budget
    if budget and budget.knob in (described.policy.parameters or {}):
        setting = (described.policy.parameters or {})[str(budget.knob)]
        yield from compare("budget.setting", budget.setting, setting, DESCRIBED)
    yield from _blocks(record)
    yield from _curves(record, folder)


def _blocks(record: Record) -> Iterator[Difference]:
    longest = max(stop - start for start, stop in record.seeds)
    if record.per_block < longest:
        yield Difference("per_block", record.per_block, longest, "one of its seed ranges has")


def _curves(record: Record, folder: Path) -> Iterator[Difference]:
    calibration = record.calibration
    if calibration is None or not calibration.holds_curves:
        return
    path = folder / calibration.file
    if not path.is_file():
        return  # a study is published without them
    try:
        curves = ErrorCurves.load(path)
    except ValueError as error:
        yield Difference("calibration.file", calibration.file, explain(error), "it cannot be read")
        return
    basis = f"{calibration.file} has"
    yield from compare("calibration.digest", calibration.digest, curves.digest(), basis)
    yield from compare("calibration.k_max", calibration.k_max, curves.k_max, basis)
    yield from compare("calibration.num_samples", calibration.num_samples, len(curves.l1), basis)
    if calibration.spread is not None:
        yield from compare("calibration.spread", calibration.spread, curves.between_sample_cv(), basis, 1e-6)
