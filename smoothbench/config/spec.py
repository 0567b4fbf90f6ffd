"""An experiment as data: its points as they are asked for, and what they share."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from smoothbench.config.loss_target import LossTarget
from smoothbench.config.shard import Shard
from smoothbench.paper_convention import Convention
from smoothbench.protocols import Config
from smoothbench.storage.paper_row import PaperRow


@dataclass(frozen=True)
class Spec:
    """One point of an experiment as asked for: the configuration of its parts, resolved.

    `seeds` are those of its samples: sample i of block b has seed b * 10^6 + i. They are the first
    `per_block` of a block, or a part of these. `policy` builds its caching method, `training` is how that learns;
    `published` stands in for `policy` where there are no weights to calibrate on; `reported` is what a paper says.
    `at` is the share of the uncached MACs that the method may use, by whatever setting of its knob that takes: then
    `unresolved` holds the point's parts with their interpolations, of which its label is made anew.
    """

    name: str
    order: int
    label: str
    family: str
    solver: Config
    policy: Config
    predictor: str | Config
    calibration: Config
    seeds: range
    per_block: int
    reference: bool = False
    training: Config | None = None
    published: Config | None = None
    reported: PaperRow | None = None
    at: float | None = None
    unresolved: Config | None = None

    @property
    def where(self) -> str:
        """The point's place in messages: `points.NAME`, or `cache` for the one point of the command line."""
        return "cache" if self.name == self.label else f"points.{self.name}"


@dataclass
class Settings:
    """What an experiment's points share; `report` names the sections that the experiment adds to its report.

    `loss` bounds how far the samples of a tuned schedule may lie from the uncached ones; `tune` has the nodes of
    methods that are tried for one, by name. `shard` is the part of the seeds that this process draws; None: all.
    """

    experiment: str
    stage: str
    model: Config
    metrics: Config
    batch_size: int
    device: str
    score_on: str
    results_dir: str
    latency: Config
    training: Config
    paper: Convention | None
    specs: list[Spec] = field(default_factory=list)
    keep_samples: bool = True
    force: bool = False
    tf32: bool = False
    out: str | None = None
    loss: LossTarget | None = None
    tune: Mapping[str, Config] = field(default_factory=dict)
    report: tuple[str, ...] = ()
    shard: Shard | None = None

    @property
    def draws_samples(self) -> bool:
        """Whether points are sampled and scored; the other stages ask for costs and latency alone."""
        return self.stage == "all"

    def times_latency(self, kind: str) -> bool:
        """Whether latency is measured on this kind of device."""
        return bool(self.latency["rounds"] and self.latency["device"] in ("any", kind))
