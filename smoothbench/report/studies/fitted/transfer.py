"""How far a fit of Fitted carries over: fewer calibration samples, other ones, other guidance, other classes.

    python -m smoothbench.report.studies.fitted.transfer      # about three minutes on one core

dit_nano, 50 steps of DDIM, 11 computed evaluations, fitted to the uncached run at guidance 2. PSNR in dB to the
uncached samples with 95 % intervals over evaluation samples; draws are disjoint sets of calibration samples.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports baselines

# isort: split
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from smoothbench import command
from smoothbench.caching import Schedule
from smoothbench.protocols import BLOCK
from smoothbench.report.studies.fitted.bench import Bench, calibration_seeds, fit, print_table, psnr, written

FULL, SIZES, DRAWS = 11, (1, 2, 4, 8, 16, 32), 2
GUIDANCE, OTHERS, FEW = 2.0, (1.5, 3.0, 4.0), 8
CLASSES, MANY = 10, 16
Row = dict[str, str]


def sizes(num_samples: int) -> Iterator[Row]:
    """Yield a row for each number of calibration samples, with `DRAWS` of each."""
    bench = Bench(num_samples)
    by_size = {size: [_near(bench, calibration_seeds(size, k)) for k in range(DRAWS)] for size in SIZES}
    usual = torch.stack(by_size[MANY]).mean(0)
    for size, draws in by_size.items():
        together = torch.stack(draws).mean(0)
        yield {
            "calibration samples": str(size),
            **{f"draw {k} (dB)": written(near) for k, near in enumerate(draws)},
            f"mean less that of {MANY}": "" if size == MANY else written(together - usual, signed=True),
        }


def blocks(num_samples: int) -> Iterator[Row]:
    """Yield a row for each of two blocks of evaluation seeds, with the same fit."""
    schedule, weights = fit(Bench().batch(calibration_seeds(MANY)), FULL)
    for block in (0, 1):
        bench = Bench(seeds=range(block * BLOCK, block * BLOCK + num_samples))
        near = psnr(bench.images(schedule, weights), bench.uncached)
        yield {"seed block": str(block), "PSNR (dB)": written(near)}


def guidances(num_samples: int) -> Iterator[Row]:
    """Yield a row for each guidance: weights fitted at `GUIDANCE` with the check taken off, fitted there, and reuse."""
    seeds = calibration_seeds(FEW)
    schedule, weights = fit(Bench(guidance=GUIDANCE).batch(seeds), FULL)
    for guidance in OTHERS:
        bench = Bench(num_samples, guidance=guidance)
        carried = psnr(bench.images(schedule, replace(weights, steps=())), bench.uncached)
        there = _near(bench, seeds)
        reused = psnr(bench.images(schedule, "reuse"), bench.uncached)
        yield {
            "guidance": f"{guidance:g}",
            f"fitted at {GUIDANCE:g}": written(carried),
            "fitted there": written(there),
            "the former less the latter": written(carried - there, signed=True),
            "reuse": written(reused),
            "without taking off the check": _refusal(bench, schedule, weights),
        }


def classes(num_samples: int) -> Iterator[Row]:
    """Yield a row for each half of the classes: weights fitted to it, and to the other half."""
    halves = [range(CLASSES // 2), range(CLASSES // 2, CLASSES)]
    fits = [fit(Bench().batch(_of_classes(half, calibration_seeds(2 * MANY))), FULL) for half in halves]
    for i, half in enumerate(halves):
        bench = Bench(seeds=_of_classes(half, range(2 * num_samples)))
        same, others = (psnr(bench.images(*fits[k]), bench.uncached) for k in (i, 1 - i))
        yield {
            "evaluated on classes": f"{half.start}-{half.stop - 1}",
            "fitted to these": written(same),
            "fitted to the others": written(others),
            "the latter less the former": written(others - same, signed=True),
        }


def _near(bench: Bench, seeds: Sequence[int]) -> Any:
    return psnr(bench.images(*fit(bench.batch(seeds), FULL)), bench.uncached)


def _of_classes(chosen: range, seeds: Sequence[int]) -> list[int]:
    return [seed for seed in seeds if seed % CLASSES in chosen]


def _refusal(bench: Bench, schedule: Schedule, weights: Any) -> str:
    """What the weights say of a run that they were not fitted to."""
    try:
        bench.images(schedule, weights)
    except ValueError as error:
        return "refused" if "the state lies" in str(error) else str(error)
    return "not noticed"


STUDIES = {"sizes": sizes, "blocks": blocks, "guidance": guidances, "classes": classes}


def main() -> int:
    """Print the tables; return the exit code."""
    parser = command.parser("smoothbench.report.studies.fitted.transfer", __doc__)
    parser.add_argument("--num-samples", type=int, default=32, help="evaluation samples of a table's row")
    parser.add_argument("--only", nargs="+", choices=STUDIES, default=list(STUDIES), help="the tables")
    arguments = parser.parse_args()

    def work() -> None:
        for name in arguments.only:
            print(f"{name}\n")
            print_table(STUDIES[name](arguments.num_samples))

    return command.main(work, "interrupted: the rows that are printed are complete")


if __name__ == "__main__":
    sys.exit(main())
