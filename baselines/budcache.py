"""BudCache (arXiv 2606.13496): full evaluations found by searching for the least change of the final sample."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp, inf

from baselines.full_evaluations import FullEvaluations
from baselines.paths import Path
from smoothbench.caching import CalibrationBatch, Schedule, Trajectory

Loss = Callable[[Path], float]
WINDOW = 3  # evaluations to either side, for near moves
FAR_MOVES = 2  # random ones in the neighbourhood of a mask, for each full evaluation


@dataclass(frozen=True)
class BudCache(FullEvaluations):
    """BudCache searches for the mask of `full` full evaluations that changes the final latents least.

    The loss of a mask is the mean squared difference to the uncached final latents. The first quarter of the full
    evaluations stays at the beginning; the others start at random places and move: at first one at a time (sometimes
    two), accepted by simulated annealing from temperature `hottest` to `coldest`, then to the best of a neighbourhood
    for as long as that is better (Algorithm 1; moves and numbers as in the released code). The released code stops
    climbing after 20 rounds, and can start again; here climbing ends where nothing is better, or the budget is spent.
    Its second stage, which learns another time grid, is left out. `search` is the budget: evaluations of calibration
    samples, cached ones too; half of it at most anneals. Raises ValueError for a parameter out of range.
    """

    search: int = 100_000
    annealing: int = 200
    hottest: float = 0.05
    coldest: float = 1e-5
    seed: int = 0
    name = "budcache"
    version = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole(search=1, annealing=0, seed=0)
        if not 0 < self.coldest <= self.hottest < inf:
            raise ValueError(
                f"temperatures fall from hottest to coldest above 0, not {self.hottest} to {self.coldest}"
            )

    def possible(self, evals: int, full: int) -> bool:
        """Return True: full evaluations may lie anywhere."""
        return 1 <= full <= evals

    def place(self, trajectory: Trajectory, batch: CalibrationBatch) -> Path:
        """Return the best mask that the search found; ValueError where its budget pays for no run of the batch."""
        evals, run = trajectory.evals, trajectory.evals * len(batch.uncached)
        if self.search < run:
            raise ValueError(
                f"search={self.search} evaluations pay for no run of the calibration batch, which takes {run}"
            )
        losses: dict[Path, float] = {}
        before = batch.spent.evaluations

        def loss(mask: Path) -> float:
            if mask not in losses and batch.spent.evaluations - before + run <= self.search:
                final = batch.rollout(Schedule.steps(trajectory.sites, [e in mask for e in range(evals)]))
                losses[mask] = float((final - batch.uncached).double().square().mean())
            return losses.get(mask, inf)

        moves = _Moves(evals, self.full, random.Random(self.seed))
        mask = self._annealed(moves, loss, min(self.annealing, self.search // run // 2))
        while (best := min(moves.around(mask), key=loss, default=mask)) != mask and loss(best) < loss(mask):
            mask = best
        return min(losses, key=loss)

    def _annealed(self, moves: "_Moves", loss: Loss, tries: int) -> Path:
        mask = moves.start()
        for i in range(tries if loss(mask) < inf else 0):
            temperature = self.hottest * (self.coldest / self.hottest) ** (i / tries)
            moved = moves.step(mask)
            worse = loss(moved) - loss(mask)
            if worse < 0 or moves.chance.random() < exp(-worse / temperature):
                mask = moved
        return mask


class _Moves:
    """Random masks with a number of full evaluations, and their neighbours."""

    def __init__(self, evals: int, full: int, chance: random.Random) -> None:
        self._full, self.chance = full, chance
        self._free = range(max(1, full // 4), evals)  # where full evaluations may move

    def start(self) -> Path:
        """A random mask."""
        fixed = self._free.start
        return (*range(fixed), *sorted(self.chance.sample(self._free, self._full - fixed)))

    def step(self, mask: Path) -> Path:
        """A mask with one or two full evaluations elsewhere."""
        full, reused = self._split(mask)
        if not full or not reused:
            return mask
        if self.chance.random() >= 0.9 and min(len(full), len(reused)) > 1:
            return _moved(mask, self.chance.sample(full, 2), self.chance.sample(reused, 2))
        source = self.chance.choice(full)
        near = [e for e in reused if abs(e - source) <= WINDOW] if self.chance.random() < 0.7 else []
        return _moved(mask, [source], [self.chance.choice(near or reused)])

    def around(self, mask: Path) -> Iterator[Path]:
        """All masks with one full evaluation moved nearby, and for each a few with it far away."""
        full, reused = self._split(mask)
        for source in full:
            yield from (_moved(mask, [source], [e]) for e in reused if abs(e - source) <= WINDOW)
        for source in full if reused else []:
            yield from (_moved(mask, [source], [self.chance.choice(reused)]) for _ in range(FAR_MOVES))

    def _split(self, mask: Path) -> tuple[list[int], list[int]]:
        full = [e for e in mask if e in self._free]
        return full, [e for e in self._free if e not in mask]


def _moved(mask: Path, sources: list[int], targets: list[int]) -> Path:
    return tuple(sorted({*mask} - {*sources} | {*targets}))
