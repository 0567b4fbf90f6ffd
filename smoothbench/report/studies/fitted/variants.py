"""What variants of Fitted are worth on dit_nano: 50 steps of DDIM, guidance 2, 16 calibration samples.

    python -m smoothbench.report.studies.fitted.variants --target uncached      # about two minutes on one core
    python -m smoothbench.report.studies.fitted.variants --target fine

A variant differs from the method in one thing. PSNR in dB to the samples that it is fitted to, the uncached ones or
those of a run of 200 steps, with 95 % intervals, and the paired difference to the method. *Grain*: the mean absolute
Laplacian in grey levels, in the flat dark ground of the uncached samples, whose own is in the first row.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports baselines

# isort: split
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from smoothbench import command
from smoothbench.caching import CalibrationBatch, Fitted, Schedule, StateMatching
from smoothbench.caching.reference_run import FINE, UNCACHED
from smoothbench.caching.state_fit import StateFit
from smoothbench.report.studies.fitted import other_fits
from smoothbench.report.studies.fitted.bench import Bench, calibration_seeds, print_table, psnr, written

MANY, FEW = 16, 4
DARK, REACH = 6, 5  # grey levels of the ground at most, in a window of so many pixels
LAPLACIAN = [[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]
Variant = Callable[[CalibrationBatch, int, str], tuple[Schedule, Any]]


def by_settings(batch: CalibrationBatch, full: int, target: str, **settings: Any) -> tuple[Schedule, Any]:
    """Plan and fit by the method itself; `settings` of the predictor begin with `weights_`."""
    of_weights = {key.removeprefix("weights_"): value for key, value in settings.items() if "_" in key}
    of_plan = {key: value for key, value in settings.items() if "_" not in key}
    schedule = Fitted(full, target=target, **of_plan).plan_on(batch.trajectory, batch)
    return schedule, StateMatching(**of_weights).fit(schedule, batch)


def by_fit(
    batch: CalibrationBatch, full: int, target: str, kind: type[StateFit], depth: int = 3
) -> tuple[Schedule, Any]:
    """Plan by the method, and fit otherwise."""
    schedule = Fitted(full, target=target).plan_on(batch.trajectory, batch)
    return schedule, other_fits.fitted_by(kind, schedule, batch, target, depth)


def by_plan(
    batch: CalibrationBatch, full: int, target: str, planned: Callable[..., Schedule]
) -> tuple[Schedule, Any]:
    """Plan otherwise, and fit by the method."""
    schedule = planned(batch, full, target)
    return schedule, StateMatching(target=target).fit(schedule, batch)


SETTINGS: Mapping[str, Variant] = {
    **{f"depth {depth}": partial(by_settings, weights_depth=depth) for depth in (1, 2, 4, 6)},
    **{
        f"ridge of the weights {ridge:g}": partial(by_settings, weights_ridge=ridge) for ridge in (1e-8, 1e-4)
    },
    **{f"ridge of the plan {ridge:g}": partial(by_settings, ridge=ridge) for ridge in (1e-8, 1e-4)},
}
LAST: Mapping[str, Variant] = {f"last: {last}": partial(by_settings, last=last) for last in (1, 2)}
WITHOUT_STATE: Mapping[str, Variant] = {
    f"without the present state, depth {depth}": partial(by_fit, kind=other_fits.WithoutState, depth=depth)
    for depth in (3, 4)
}
BEHIND: Mapping[str, Variant] = {
    "least absolute errors": partial(by_fit, kind=other_fits.LeastAbsolute),
    "behind the last computed one: repeat": partial(by_fit, kind=other_fits.RepeatsTheLast),
    "behind the last computed one: sum of 1, no state": partial(by_fit, kind=other_fits.SumsToOne),
}
PLANS: Mapping[str, Variant] = {
    "plan: early errors dearer, 1 / (j + 1)": partial(by_plan, planned=other_fits.early_dearer),
    "plan: errors by the solver's gain": partial(by_plan, planned=other_fits.by_gain),
}
SWEEP: Mapping[str, Variant] = {"plan: second sweep": partial(by_plan, planned=other_fits.second_sweep)}
METHOD = "the method"
# by target, then by computed evaluations and calibration samples
STUDIES: Mapping[str, Mapping[tuple[int, int], Mapping[str, Variant]]] = {
    UNCACHED: {
        (18, MANY): WITHOUT_STATE,
        (11, MANY): {**SETTINGS, **WITHOUT_STATE, **PLANS, **LAST, **BEHIND},
        (8, MANY): {**PLANS, **LAST},
        (8, FEW): SWEEP,
        (6, MANY): LAST,
    },
    FINE: {(full, MANY): {**PLANS, **LAST, **BEHIND} for full in (11, 8)},
}


def rows(num_samples: int, target: str) -> Iterator[dict[str, str]]:
    """Yield a row for the uncached samples, and for each variant."""
    bench = Bench(num_samples)
    batches = {count: bench.batch(calibration_seeds(count)) for count in (MANY, FEW)}
    aims = bench.uncached if target == UNCACHED else bench.fine
    flat = ground(bench.uncached)
    yield _row("no cache", 50, MANY, written(grain(bench.uncached, flat)))
    for (full, count), variants in STUDIES[target].items():
        plain: Tensor | None = None
        for name, variant in {METHOD: by_settings, **variants}.items():
            images = bench.images(*variant(batches[count], full, target))
            near = psnr(images, aims)
            less = "" if plain is None else written(near - plain, signed=True)
            yield _row(name, full, count, written(grain(images, flat)), written(near), less)
            plain = near if plain is None else plain


def _row(
    name: str, full: int, calibration: int, grains: str, near: str = "", less: str = ""
) -> dict[str, str]:
    first = {"variant": name, "computed": str(full), "calibrated on": str(calibration)}
    return {**first, "PSNR (dB)": near, "less the method": less, "grain": grains}


def ground(images: Tensor) -> Tensor:
    """Return where images uint8 [B, 1, H, W] are dark all around, bool."""
    return max_pool2d(images.float(), REACH, 1, REACH // 2) <= DARK


def grain(images: Tensor, where: Tensor) -> Tensor:
    """Return the mean absolute Laplacian [B] of images uint8 [B, 1, H, W] at some pixels, in grey levels."""
    edges = conv2d(images.double(), torch.tensor([[LAPLACIAN]]).double(), padding=1).abs()
    return (edges * where).flatten(1).sum(1) / where.flatten(1).sum(1).clamp_min(1)


def main() -> int:
    """Print the table; return the exit code."""
    parser = command.parser("smoothbench.report.studies.fitted.variants", __doc__)
    parser.add_argument("--target", choices=STUDIES, default=UNCACHED, help="what is fitted to")
    parser.add_argument("--num-samples", type=int, default=32, help="evaluation samples, of seed block 0")
    arguments = parser.parse_args()

    def work() -> None:
        table = rows(arguments.num_samples, arguments.target)
        print_table(table)

    return command.main(work, "interrupted: the rows that are printed are complete")


if __name__ == "__main__":
    sys.exit(main())
