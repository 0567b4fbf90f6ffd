"""What Fitted is worth where the solver draws fresh noise: stable_audio_nano, 50 steps of DPM-Solver++(3M) SDE.

    python -m smoothbench.report.studies.fitted.fresh_noise      # about a minute on one core

The denoiser predicts v, which holds the noise of the present sample. *Reuse of v* repeats it; *of the denoised sample*
repeats what it says of that sample, and makes a v of it and the present state; *fitted* weighs outputs and states.
Whole evaluations are planned by Fitted or lie evenly. SNR of the latents in dB, to the uncached ones with the same
noise, with 95 % intervals, and the paired difference to the reuse of the denoised sample.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports baselines

# isort: split
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from smoothbench import command
from smoothbench.caching import CalibrationBatch, Fitted, InputWeights, Schedule, StateMatching
from smoothbench.report.studies.fitted.bench import Bench, calibration_seeds, print_table, written

MODEL, STEPS, FULL, CALIBRATION = "stable_audio_nano", 50, (26, 13), 8


def rows(num_samples: int) -> Iterator[dict[str, str]]:
    """Yield a row for each plan and predictor."""
    bench = Bench(num_samples, STEPS, model=MODEL)
    batch = bench.batch(calibration_seeds(CALIBRATION))
    for full in FULL:
        plans = {"planned": Fitted(full).plan_on(batch.trajectory, batch), "even": even(batch, full)}
        for name, schedule in plans.items():
            ratios = {
                predicted: snr(bench.latents(schedule, predictor), bench.uncached_latents)
                for predicted, predictor in _predictors(batch, schedule, bench.solver.coordinates)
            }
            for predicted, ratio in ratios.items():
                less = ratio - ratios["reuse of the denoised sample"]
                yield {
                    "computed": f"{full}, {name}",
                    "predictor": predicted,
                    "SNR (dB)": written(ratio),
                    "less reuse of the denoised sample": written(less, signed=True) if less.any() else "",
                }


def _predictors(
    batch: CalibrationBatch, schedule: Schedule, sigmas: Sequence[float]
) -> Iterator[tuple[str, Any]]:
    yield "reuse of v", "reuse"
    yield "reuse of the denoised sample", denoised(schedule, sigmas)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*draws fresh noise")
        yield from ((f"fitted, depth {depth}", StateMatching(depth).fit(schedule, batch)) for depth in (1, 2))


def even(batch: CalibrationBatch, full: int) -> Schedule:
    """Return the schedule of so many full evaluations, evenly spread, 0 the first."""
    evals = batch.trajectory.evals
    chosen = {k * evals // full for k in range(full)}
    return Schedule.steps(batch.trajectory.sites, [e in chosen for e in range(evals)])


def denoised(schedule: Schedule, sigmas: Sequence[float]) -> InputWeights:
    """Return the weights that repeat the last denoised sample: v = (cos(a) x - x0) / sin(a) with a = atan(sigma).

    x is the denoiser's input, of variance about 1, and x0 = cos(a) x - sin(a) v at the last computed evaluation.
    """
    outputs, inputs, last = list[list[float]](), list[list[float]](), 0.0
    for sigma, bits in zip(sigmas, schedule.computed, strict=True):
        angle = math.atan(sigma)
        if all(bits):
            last, of_outputs, of_inputs = angle, list[float](), list[float]()
        else:
            of_outputs = [math.sin(last) / math.sin(angle)]
            of_inputs = [math.cos(angle) / math.sin(angle), -math.cos(last) / math.sin(angle)]
        outputs.append(of_outputs)
        inputs.append(of_inputs)
    return InputWeights({"denoiser": outputs}, sigmas, inputs={"denoiser": inputs})


def snr(latents: Tensor, others: Tensor) -> Tensor:
    """Return the ratio [B] of the others' squares to those of the differences, in dB."""
    ratio = others.double().flatten(1).square().sum(1) / (latents - others).double().flatten(1).square().sum(
        1
    )
    return 10 * ratio.log10()


def main() -> int:
    """Print the table; return the exit code."""
    parser = command.parser("smoothbench.report.studies.fitted.fresh_noise", __doc__)
    parser.add_argument("--num-samples", type=int, default=8, help="evaluation samples, of seed block 0")
    arguments = parser.parse_args()

    def work() -> None:
        print_table(rows(arguments.num_samples))

    return command.main(work, "interrupted: the rows that are printed are complete")


if __name__ == "__main__":
    sys.exit(main())
