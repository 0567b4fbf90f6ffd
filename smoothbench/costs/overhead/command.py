"""What the engine costs, and how much of a schedule's saving it realises, measured and printed.

    python -m smoothbench.overhead                                    # all of it: an hour on 2 cores
    python -m smoothbench.overhead --models dit_nano --parts realised --batches 1
    python -m smoothbench.overhead --parts realised --levels denoiser --predictors own --caches fitted
    python -m smoothbench.overhead --models dit_nano --parts peers --smoothcache CLONE    # rows in Markdown

Parts: realised, the time of schedules over that of the bare and of the uncached forward, and the speed-up beside
the one that their MACs imply; reused, an evaluation in which everything is reused, over its floor; kernels, how many
an evaluation launches; peers, other libraries' caches with the same mask. Whole sampling runs take turns in every
round; the median of the ratios over rounds comes with a distribution-free 95 % interval.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports metrics

# isort: split
import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

from smoothbench import command
from smoothbench.caching.sites import LEVELS
from smoothbench.costs.overhead.beside import all_peers
from smoothbench.costs.overhead.measure import PARTS, Plan, measure
from smoothbench.costs.overhead.realised import Rounds
from smoothbench.errors import UsageError
from smoothbench.numerics import set_tf32
from smoothbench.sampling.allocator import keep_freed_memory
from smoothbench.sampling.devices import device_of
from smoothbench.storage.files import write_json
from smoothbench.storage.provenance import provenance

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
MODELS = ("dit_nano", "stable_audio_nano", "opensora_nano")
MASKS = ("fora,policy.interval=2", "fora,policy.interval=3")
BUDGETS = ("smoothcache_at,policy.like.interval=2", "smoothcache_at,policy.like.interval=3")
FEWEST_ROUNDS = 6  # of a 95 % interval of a median
FEWEST_STEPS = 4


def main() -> int:
    """Measure and print; return the exit code."""
    parser = command.parser("smoothbench.overhead", __doc__)
    parser.add_argument("--models", nargs="+", default=MODELS, help="names in conf/model")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument(
        "--batches", type=int, nargs="+", default=(1, 8, 64), help="samples, without guidance rows"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        nargs="+",
        default=(21,),
        help="interleaved rounds, at least 6; one number for each batch",
    )
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: of this process alone, on a busy CPU"
    )
    parser.add_argument("--steps", type=int, help="of the solver; default: its own number")
    parser.add_argument(
        "--caches", nargs="+", default=MASKS + BUDGETS, help="names in conf/cache, with changes after commas"
    )
    parser.add_argument(
        "--predictors", nargs="+", default=("reuse", "taylor1"), help="of every cache; own: its own"
    )
    parser.add_argument("--levels", nargs="+", default=("branch", "span"), choices=LEVELS)
    parser.add_argument("--smoothcache", type=Path, help="a clone of Roblox/SmoothCache, measured as a peer")
    parser.add_argument("--json", type=Path, help="a file for all that was measured")
    args = parser.parse_args()
    return command.main(lambda: _measured(args), "only whole models are kept, in --json")


def _measured(args: argparse.Namespace) -> None:
    plan = _plan(args)
    keeps_memory = keep_freed_memory()
    set_tf32(False)
    conditions = provenance(device_of("auto")) | {
        "clock": args.clock,
        "rounds": list(args.rounds),
        "steps": args.steps,
        "freed_memory": "kept" if keeps_memory else "returned",
    }
    say = partial(print, flush=True)
    say(_described(conditions))
    results = []
    for model in args.models:
        say(f"\n{model}")
        results.append(measure(model, plan, say))
        if args.json is not None:  # what a later model breaks off is not lost
            write_json(args.json, {"conditions": conditions, "models": results})


def _plan(args: argparse.Namespace) -> Plan:
    """Return what the arguments ask for; UsageError where they ask for too little to be measured."""
    if few := [count for count in args.rounds if count < FEWEST_ROUNDS]:
        raise UsageError(f"--rounds {few[0]}: an interval needs at least {FEWEST_ROUNDS}")
    if len(args.rounds) not in (1, len(args.batches)):
        raise UsageError(f"--rounds: {len(args.rounds)} numbers for {len(args.batches)} batches")
    if args.steps is not None and args.steps < FEWEST_STEPS:
        raise UsageError(f"--steps {args.steps}: at least {FEWEST_STEPS}")
    if wrong := [batch for batch in args.batches if batch < 1]:
        raise UsageError(f"--batches {wrong[0]}: at least 1 sample")
    if args.json is not None and not args.json.absolute().parent.is_dir():
        raise UsageError(f"--json {args.json}: its folder does not exist")
    if args.json is not None and args.json.is_dir():
        raise UsageError(f"--json {args.json}: is a folder; give the name of a file in it")
    peers = all_peers(args.smoothcache) if "peers" in args.parts else []
    counts = args.rounds * (len(args.batches) // len(args.rounds))
    rounds = {
        batch: Rounds(count, CLOCKS[args.clock]) for batch, count in zip(args.batches, counts, strict=True)
    }
    named = (args.parts, rounds, args.steps, args.caches, args.predictors)
    return Plan(*named, levels=args.levels, masks=MASKS, peers=peers)


def _described(conditions: dict[str, Any]) -> str:
    versions, rounds = conditions["versions"], " ".join(map(str, conditions["rounds"]))
    return (
        f"{conditions['device']}, threads: {conditions['threads']}, torch {versions['torch']}, "
        f"diffusers {versions['diffusers']}, commit {conditions['git']}, freed memory {conditions['freed_memory']}\n"
        f"interleaved rounds: {rounds}, {conditions['clock']} time"
    )
