"""Shards of an experiment: the seeds in as many parts as there are processes, each of whole batches."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import DictConfig

from smoothbench.errors import UsageError, shown

MOST = 9999  # shards of an experiment


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of an experiment's seeds, by its place `index` from 0."""

    index: int
    count: int

    @property
    def name(self) -> str:
        """The shard in messages."""
        return f"shard {self.index} of {self.count}"

    def seeds(self, seeds: range, batch_size: int) -> range:
        """The shard's part of all seeds: whole batches, so that its samples have the bytes that one process gives them.

        Two shards differ by one batch at most.
        """
        batches = -(-len(seeds) // batch_size)
        first, last = (batches * i // self.count for i in (self.index, self.index + 1))
        return seeds[first * batch_size : last * batch_size]


def shard_of(cfg: DictConfig, seeds: range) -> Shard | None:
    """Return which shard of its seeds a configuration is for, None for all of them; UsageError where it can be none."""
    count, index = cfg.shards, cfg.shard
    if count is None and index is None:
        return None
    if count is None:
        raise UsageError(f"shard={shown(index)}: goes with shards=n, of which it is one")
    if not _whole(count, 1, MOST):
        raise UsageError(f"shards={shown(count)}: must be a whole number from 1 to {MOST}")
    if index is None:
        raise UsageError(
            f"shards={count}: python -m smoothbench -m ... shards={count} starts a job for each of them; "
            f"shard=0 to shard={count - 1} beside it runs one alone"
        )
    if not _whole(index, 0, count - 1):
        raise UsageError(f"shard={shown(index)}: of shards={count} there are 0 to {count - 1}")
    if cfg.stage != "all" or cfg.force:
        other = "force=true" if cfg.force else f"stage={cfg.stage}"
        advice = "delete the results folder instead" if cfg.force else "it draws no samples to share out"
        raise UsageError(f"shards={count}: does not go with {other}: {advice}")
    batches = -(-len(seeds) // cfg.batch_size)
    if count > batches:
        raise UsageError(
            f"shards={count}: {len(seeds)} samples in batches of batch_size={cfg.batch_size} make {batches} shards "
            f"at most, as a batch is not split: shards={batches} or less, or a smaller batch_size"
        )
    return Shard(index, count)


def with_jobs(arguments: Sequence[str]) -> list[str]:
    """Add a job for each shard to the arguments of a multirun that names shards=n and no shard."""
    places = [place for place, each in enumerate(arguments) if re.fullmatch(r"shards=[0-9]{1,4}", each)]
    named = any(each.startswith("shard=") for each in arguments)
    several = any(re.fullmatch(r"-[a-z]*m|--multirun", each) for each in arguments)
    if not (several and places) or named:
        return list(arguments)
    place = places[-1]
    count = int(arguments[place].removeprefix("shards="))
    jobs = [f"shard={','.join(map(str, range(count)))}"] if count else []
    # beside it: argparse takes no overrides on both sides of an option
    return [*arguments[: place + 1], *jobs, *arguments[place + 1 :]]


def _whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most
