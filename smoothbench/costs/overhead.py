"""What the engine costs and how much of a schedule's saving it realises, measured and printed.

    python -m smoothbench.overhead

On the embedded DiT: whole guided trajectories of the bare model, of the engine with everything
computed and kept, and of FORA's masks, interleaved. A batch of B samples is 2 B rows. The ratio of
medians comes with a distribution-free 95 % interval over the rounds.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports metrics

# isort: split
import argparse
import sys
from collections.abc import Callable, Sequence

import torch

from smoothbench import command
from smoothbench.caching import Schedule, Trajectory, cached
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.config.instantiate import build, build_model, build_solver
from smoothbench.costs.interleave import interleaved, ratio_interval
from smoothbench.numerics import set_tf32
from smoothbench.protocols import Model, Solver
from smoothbench.sampling.allocator import keep_freed_memory
from smoothbench.sampling.devices import device_of, wait_for
from smoothbench.sampling.loop import latents, silent
from smoothbench.storage.provenance import device_name


def main() -> int:
    """Measure and print; return the exit code."""
    parser = command.parser("smoothbench.overhead", __doc__)
    parser.add_argument("--rounds", type=int, default=21, help="interleaved rounds (at least 6)")
    parser.add_argument("--steps", type=int, default=25, help="evaluations (25: the shares of 50)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64])
    args = parser.parse_args()
    return command.main(lambda: _measured(args), "nothing of it is kept")


def _measured(args: argparse.Namespace) -> None:
    keeps_memory = keep_freed_memory()
    device = device_of("auto")
    set_tf32(False)
    nano = {
        "_target_": "smoothbench.models.nano.image.model.PixelDiT",
        "name": "dit_nano",
        "path": "dit",
        "guidance": 2.0,
    }
    model = build_model(nano, device)
    solver = build_solver({"_target_": "smoothbench.solvers.ddim.DDIM", "steps": args.steps})
    freed = "kept" if keeps_memory else "returned"
    print(f"{device_name(device)}, {torch.get_num_threads()} threads, freed memory {freed}")
    print(f"{args.steps} evaluations, {args.rounds} interleaved rounds")
    print("batch  schedule      time / bare [95 %]        implied  realised / implied [95 %]")
    for batch in args.batches:
        for line in rows(model, solver, batch, args.rounds):
            print(line, flush=True)


def schedules(trajectory: Trajectory) -> dict[str, Schedule]:
    """Return the schedules that are compared, by name: everything computed, and FORA's."""
    full = Schedule.steps(trajectory.sites, [True] * trajectory.evals, {"method": "none"})
    fora = {f"FORA N={n}": {"_target_": "baselines.fora.FORA", "interval": n} for n in (2, 3)}
    return {"all computed": full} | {name: build(node, name).plan(trajectory) for name, node in fora.items()}


def rows(model: Model, solver: Solver, batch: int, rounds: int) -> list[str]:
    """Return a line for each schedule: time over the bare model's, and realised over implied speed-up."""
    sites, rest = measured_sites(*model.skeleton())
    trajectory = Trajectory(sites, solver.coordinates, rest.total, rest.linear)
    masks = schedules(trajectory)
    runs: dict[str, Callable[[], object]] = {"bare": lambda: latents(model, solver, range(batch), silent)}
    runs |= {name: attached(model, solver, range(batch), mask) for name, mask in masks.items()}
    seconds = interleaved(runs, rounds, 1, wait_for(model.device))
    lines = []
    for name, mask in masks.items():
        ratio, low, high = ratio_interval(seconds[name], seconds["bare"])
        share = trajectory.share(mask)
        realised = " ".join(f"{value:.3f}" for value in (share / ratio, share / high, share / low))
        lines.append(
            f"{batch:5d}  {name:12s}  {ratio:.3f} [{low:.3f}, {high:.3f}]      {1 / share:.3f}x   {realised}"
        )
    return lines


def attached(model: Model, solver: Solver, seeds: Sequence[int], schedule: Schedule) -> Callable[[], object]:
    """Return a function that runs a whole trajectory under the engine, entering and leaving it included."""

    def run() -> None:
        with cached(model.denoiser, schedule) as context:
            latents(model, solver, seeds, context.step)

    return run


if __name__ == "__main__":
    sys.exit(main())
