"""What all stages of an experiment share: settings, results folder, model, metrics and planned points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from smoothbench.config.shard import Shard
from smoothbench.config.spec import Settings
from smoothbench.planning.point import Point
from smoothbench.protocols import Model
from smoothbench.sampling.out_of_memory import LargestBatch
from smoothbench.scoring.scorer import Part, Scorer, part_of
from smoothbench.storage.drawn_point import DrawnPoint
from smoothbench.storage.results_folder import Store
from smoothbench.storage.sample_files import Samples


@dataclass(frozen=True)
class Workbench:
    """One experiment, loaded and planned. `largest_batch` remembers what memory has room for.

    `shard`: of which of its shards the store is, whose points have the ids of the experiment's and a part of its seeds.
    `drawn`: what the shards say of the points that they drew, by point_id; nothing where there are no shards.
    """

    settings: Settings
    store: Store
    model: Model
    scorer: Scorer
    points: Sequence[Point]
    largest_batch: LargestBatch = field(default_factory=LargestBatch)
    shard: Shard | None = None
    drawn: Mapping[str, DrawnPoint] = field(default_factory=dict)

    @property
    def reference(self) -> Point:
        """The uncached point at full steps, which all others are compared with."""
        return self.points[0]

    def samples(self, point: Point) -> Samples:
        """A point's samples on disk, as far as they are there."""
        counted = (*point.trajectory.sites, *point.trajectory.approaches) if point.dynamic else ()
        sites = [site.name for site in counted]
        return Samples(
            self.store.folder / "samples",
            point.sample_id,
            point.spec.seeds,
            self.settings.batch_size,
            self.model.media,
            sites,
            self.store.memory,
        )

    def part(self, point: Point) -> Part:
        """A point's samples and those that it is paired with, as the scorer wants them."""
        return part_of(point, self.reference)

    def regenerates(self, point: Point) -> bool:
        """Whether its samples are made again; those that it shares with an earlier point just were."""
        return self.settings.force and point.same_as is None
