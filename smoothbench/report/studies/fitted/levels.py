"""What branches and spans are worth to Fitted: weights for these, beside weights for the denoiser's whole output.

    python -m smoothbench.report.studies.fitted.levels      # about three minutes on one core

dit_nano, 50 steps of DDIM, guidance 2. All methods compute whole evaluations, those that Fitted plans, at no more MACs
than the first row of their group. At the other evaluations the outputs of the branches, or of the span of all blocks,
are predicted, and embedding, gates and head run anew; in the first row nothing does. *States*: the weights, of all
branches together, bring the next state nearest to the uncached run's; *outputs*: each site's own output. PSNR in dB to
the uncached samples with 95 % intervals, and the paired difference to the first row.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports baselines

# isort: split
import sys
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from smoothbench import command
from smoothbench.caching import CalibrationBatch, Fitted, Schedule, StateMatching
from smoothbench.report.studies.fitted.bench import Bench, calibration_seeds, fit, print_table, psnr, written
from smoothbench.report.studies.fitted.site_fit import site_weights

STEPS, FULL = 50, (18, 11)  # 36 and 22 % of the MACs
CALIBRATION = 16
RIDGE = 1e-4  # of the many weights of all branches
DEPTH = 3


def rows(num_samples: int, full: int) -> Iterator[dict[str, str]]:
    """Yield a row for each method at the MACs of so many full evaluations."""
    bench, seeds = Bench(num_samples, STEPS), calibration_seeds(CALIBRATION)
    batch = bench.batch(seeds)
    schedule, weights = fit(batch, full)
    first = psnr(bench.images(schedule, weights), bench.uncached)
    share = batch.trajectory.share(schedule)
    yield _row("denoiser: states", schedule, share, first, None)
    for level in ("span", "branch"):
        inside = bench.batch(seeds, level)
        plan = _affordable(inside, batch, share)
        for name, predictor in _predictors(bench, inside, plan, seeds):
            near = psnr(bench.images(plan, predictor), bench.uncached)
            yield _row(f"{level}: {name}", plan, inside.trajectory.share(plan), near, first)


def _affordable(inside: CalibrationBatch, batch: CalibrationBatch, share: float) -> Schedule:
    """The plan of most evaluations, over the sites of a level, that costs no more than a share of the uncached MACs."""
    trajectory = inside.trajectory
    counts = range(trajectory.evals, 1, -1)
    full = next((n for n in counts if Fitted(2).share_at(trajectory, n) <= share), None)
    if full is None:
        raise ValueError(
            f"--full: {share:.0%} of the MACs are too few for a plan at the level of branches or spans: more"
        )
    computed = Fitted(full).plan_on(batch.trajectory, batch).computed
    return Schedule.steps(trajectory.sites, [all(bits) for bits in computed])


def _predictors(
    bench: Bench, batch: CalibrationBatch, plan: Schedule, seeds: range
) -> Iterator[tuple[str, Any]]:
    yield from (("reuse", "reuse"), ("order 1", "taylor1"), ("order 2", "taylor2"))
    yield "outputs", StateMatching(DEPTH).fit(plan, batch)
    yield "states", site_weights(bench, batch.trajectory.sites, plan, seeds, DEPTH, RIDGE)


def _row(name: str, plan: Schedule, share: float, near: Tensor, first: Tensor | None) -> dict[str, str]:
    return {
        "predicted": name,
        "full": str(sum(map(all, plan.computed))),
        "MACs (%)": f"{100 * share:.1f}",
        "PSNR (dB)": written(near),
        "less the first row": "" if first is None else written(near - first, signed=True),
    }


def main() -> int:
    """Print the table; return the exit code."""
    parser = command.parser("smoothbench.report.studies.fitted.levels", __doc__)
    parser.add_argument("--num-samples", type=int, default=32, help="evaluation samples, of seed block 0")
    parser.add_argument(
        "--full", type=int, nargs="+", default=FULL, help="full evaluations of the first rows"
    )
    arguments = parser.parse_args()

    def work() -> None:
        for full in arguments.full:
            print_table(rows(arguments.num_samples, full))

    return command.main(work, "interrupted: the rows that are printed are complete")


if __name__ == "__main__":
    sys.exit(main())
