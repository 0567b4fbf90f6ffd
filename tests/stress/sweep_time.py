"""Print what a sweep spends its time on, and its wall clock over that of its bare generation.

    OMP_NUM_THREADS=1 python -m tests.stress.sweep_time --exp dit_ddim --samples 256

Loading and the latency stage are left out. Seconds are of the wall clock, and of the processor beside them: on a
machine that is busy otherwise the latter alone are of use.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import smoothbench.report as report
from smoothbench.config.expand import settings
from smoothbench.running import point_stages
from smoothbench.running.experiment import Experiment
from smoothbench.sampling import point_batches
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.results_folder import Store
from smoothbench.storage.sample_files import Samples
from tests.support.compose import composed

Seconds = tuple[float, float]  # of the wall clock, and of the processor
PARTS: tuple[tuple[str, Any, str], ...] = (
    ("generation", point_batches, "_sample"),
    ("hashing", Samples, "damaged"),
    ("hashing", Samples, "missing"),
    ("hashing", Samples, "counted"),
    ("writing", Samples, "write"),
    ("writing", Samples, "copy_previews"),
    ("writing", Store, "write_record"),
    ("writing", point_stages, "save_scores"),
    ("scoring", Scorer, "extract"),
    ("scoring", Scorer, "scores"),
    ("report", report, "write"),
    ("report", report, "summary"),
)


class Shares:
    """Seconds by part; what one part spends within another counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self._within: list[list[float]] = []

    def timed(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time counted."""

        @wraps(work)
        def run(*args: Any, **kwargs: Any) -> Any:
            start, inner = _now(), [0.0, 0.0]
            self._within.append(inner)
            try:
                return work(*args, **kwargs)
            finally:
                self._within.pop()
                spent = [now - then for now, then in zip(_now(), start, strict=True)]
                total = self.seconds.setdefault(part, [0.0, 0.0])
                for clock in (0, 1):
                    total[clock] += spent[clock] - inner[clock]
                    if self._within:
                        self._within[-1][clock] += spent[clock]

        return run


def sweep(folder: Path, overrides: list[str]) -> dict[str, Seconds]:
    """Run an experiment and its report in a folder; seconds by part, `rest` for what is in none."""
    plan = settings(composed(*overrides, "latency.rounds=0", "device=cpu", f"results_dir={folder}"))
    experiment, shares = Experiment(plan), Shares()
    with ExitStack() as stack:
        for part, place, name in PARTS:
            stack.enter_context(patch.object(place, name, shares.timed(part, getattr(place, name))))

        def whole() -> None:
            experiment.run()
            report.write(experiment.store.folder)
            report.summary(experiment.store.folder)

        shares.timed("rest", whole)()
    return {part: (wall, processor) for part, (wall, processor) in shares.seconds.items()}


def lines(seconds: dict[str, Seconds]) -> list[str]:
    """The table: a part a line, then the ratio."""
    total = [sum(each[clock] for each in seconds.values()) for clock in (0, 1)]
    bare = seconds["generation"]
    rows = [
        f"{part:12} {wall:9.2f} s   {processor:9.2f} CPU s" for part, (wall, processor) in seconds.items()
    ]
    ratios = [total[clock] / bare[clock] for clock in (0, 1)]
    return [
        *sorted(rows),
        f"{'all':12} {total[0]:9.2f} s   {total[1]:9.2f} CPU s",
        f"a sweep over its bare generation: {ratios[0]:.3f} by the clock, {ratios[1]:.3f} by the processor",
    ]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--exp", default="dit_ddim")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--more", nargs="*", default=[], help="overrides, as only=[fora]")
    options = parser.parse_args()
    asked = [f"+exp={options.exp}", f"num_samples={options.samples}", *options.more]
    with TemporaryDirectory() as folder:
        print("\n".join(lines(sweep(Path(folder), asked))))


def _now() -> Seconds:
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    main()
