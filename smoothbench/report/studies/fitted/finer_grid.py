"""Points off the solver's grid: Fitted on DDIM's grid of 50 timesteps, and on one with four times as many.

    python -m smoothbench.report.studies.fitted.finer_grid      # about a minute on one core

The same number of computed evaluations, chosen among DDIM's 50 timesteps, or among these and those of 4 sub-steps for
each step, all fitted to the run with 4 sub-steps (dit_nano, guidance 2). A skipped evaluation costs no MACs, however
many there are. PSNR in dB to that run's samples with 95 % intervals, and the paired difference to 50 timesteps.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports baselines

# isort: split
import sys
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from smoothbench import command
from smoothbench.report.studies.fitted.bench import (
    SUBSTEPS,
    Bench,
    calibration_seeds,
    fit,
    print_table,
    psnr,
    written,
)

STEPS, FULL, CALIBRATION = 50, (18, 11, 8, 6), 8


def rows(num_samples: int, calibration: int) -> Iterator[dict[str, str]]:
    """Yield a row for each number of computed evaluations and each grid."""
    benches = {k: Bench(num_samples, STEPS, substeps=k) for k in (1, SUBSTEPS)}
    batches = {k: bench.batch(calibration_seeds(calibration)) for k, bench in benches.items()}
    aims, usual = benches[SUBSTEPS].uncached, f"less {STEPS} timesteps"
    for full in FULL:
        first: Tensor | None = None
        for k, bench in benches.items():
            aim: dict[str, Any] = {} if k == SUBSTEPS else {"target": "fine"}
            schedule, weights = fit(batches[k], full, **aim)
            near = psnr(bench.images(schedule, weights), aims)
            timesteps = zip(batches[k].trajectory.coordinates, schedule.computed, strict=True)
            yield {
                "computed": str(full),
                "timesteps": str(schedule.evals),
                "PSNR (dB)": written(near),
                usual: "" if first is None else written(near - first, signed=True),
                "computed at": " ".join(f"{t:.0f}" for t, bits in timesteps if all(bits)),
            }
            first = near if first is None else first


def main() -> int:
    """Print the table; return the exit code."""
    parser = command.parser("smoothbench.report.studies.fitted.finer_grid", __doc__)
    parser.add_argument("--num-samples", type=int, default=32, help="evaluation samples, of seed block 0")
    parser.add_argument("--calibration", type=int, default=CALIBRATION, help="calibration samples")
    arguments = parser.parse_args()

    def work() -> None:
        print_table(rows(arguments.num_samples, arguments.calibration))

    return command.main(work, "interrupted: the rows that are printed are complete")


if __name__ == "__main__":
    sys.exit(main())
