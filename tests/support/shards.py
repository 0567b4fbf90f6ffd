"""Run a small experiment by shards, or by one process."""

from pathlib import Path

from smoothbench.config.expand import settings
from smoothbench.running.experiment import Experiment
from smoothbench.running.shards import last_shard
from tests.support.compose import composed

FEW = (
    "+exp=smoke",
    "num_samples=5",
    "batch_size=2",
    "metrics=[fd_nano,psnr]",
    "only=[fora,smoothcache]",
    "solver.steps=4",
    "calibration.num_samples=2",
    "device=cpu",
)
SCORED = (*FEW, "latency.rounds=0")
TIMED = (*FEW, "latency.rounds=1", "latency.warmup=0", "latency.batch_size=1")


def completes(results: Path, *overrides: str) -> bool:
    """Run one job but for its report; whether it completed the experiment."""
    plan = settings(composed(*overrides, f"results_dir={results}"))
    if plan.shard is None:
        Experiment(plan).run()
        return True
    with last_shard(plan) as experiment:
        if experiment is not None:
            experiment.run()
        return experiment is not None
