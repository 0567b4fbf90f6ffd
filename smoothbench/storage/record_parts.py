"""The objects inside a record: status, model, numerics, solver, calibration, schedule and code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from smoothbench.caching import Schedule
from smoothbench.storage.json_rules import Matching
from smoothbench.storage.typed_json import Stored

State = Literal["done", "failed", "skipped"]
Bits = Annotated[str, Matching("[01]*", "0110")]


@dataclass(frozen=True)
class Status(Stored):
    """The state of a point: `quality` of its samples and their scores, `cost` of its cost."""

    quality: State
    cost: State


@dataclass(frozen=True)
class ModelIdentity(Stored):
    """What decides a model's samples, apart from solver and schedule; a model's own settings are in `others`."""

    name: str
    guidance: float | None = None
    weights_sha256: str | None = None
    prompts_sha256: str | None = None


@dataclass(frozen=True)
class Numerics(Stored):
    """The settings that decide rounding, apart from the device's own kernels."""

    dtype: str | None = None
    matmul: str | None = None
    tf32_matmul: bool | None = None
    tf32_cudnn: bool | None = None


@dataclass(frozen=True)
class SolverSteps(Stored):
    """The solver's name and its number of model evaluations."""

    name: str
    steps: int


@dataclass(frozen=True)
class CalibrationRef(Stored):
    """What a point was planned on, error curves or a plan made on the batch: how it was measured, digest and file."""

    unwritten: ClassVar[tuple[str, ...]] = ("unconditional",)

    seed: int
    num_samples: int
    draw: int
    k_max: int
    digest: str
    file: str
    spread: float | None = None
    unconditional: bool | None = None

    @property
    def holds_curves(self) -> bool:
        """Whether the file holds error curves, not a plan that was made on the calibration batch."""
        return self.file.startswith("curves/")


@dataclass(frozen=True)
class Budget(Stored):
    """The share `at` of the uncached MACs that a point was given, and the setting of its method's knob found for it.

    `expected` is the share at this setting by the plan, or in runs of the calibration batch where the method decides at
    run time; `realised` the share of the point's own samples; both of the same trajectory without a cache. `search` is
    what the search on the calibration batch has cost, where there was one.
    """

    unwritten: ClassVar[tuple[str, ...]] = ("knob", "setting", "expected", "realised", "search")

    at: float
    knob: str | None = None
    setting: float | None = None
    expected: float | None = None
    realised: float | None = None
    search: Mapping[str, int] | None = None


@dataclass(frozen=True)
class RecordedSchedule(Stored):
    """A schedule as one string of bits for each evaluation, in the order of `sites`; 1 = computed.

    `meta` holds the policy's name and parameters.
    """

    sites: tuple[str, ...]
    kinds: tuple[str, ...]
    rows: tuple[Bits, ...]
    meta: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, schedule: Schedule) -> "RecordedSchedule":
        """Return a schedule as a record holds it."""
        bits = tuple(schedule.bit_strings())
        return cls(tuple(schedule.sites), tuple(schedule.kinds), bits, dict(schedule.meta))

    def check(self, where: str) -> None:
        count = len(self.sites)
        if len(self.kinds) != count or any(len(bits) != count for bits in self.rows):
            raise ValueError(f"its {where} has {count} sites and kinds or rows of other lengths")


@dataclass(frozen=True)
class PartCode(Stored):
    """The version that a plug-in's class declares, and a hash of its source."""

    version: int | None = None
    source: str | None = None


@dataclass(frozen=True)
class PartDescription(Stored):
    """A model, solver, predictor or policy by name, version and parameters, or by class and source."""

    unwritten: ClassVar[tuple[str, ...]] = (
        "name",
        "kind",
        "class_",
        "version",
        "source",
        "parameters",
        "digest",
    )

    name: str | None = None
    kind: str | None = None
    class_: str | None = field(default=None, metadata={"key": "class"})
    version: int | None = None
    source: str | None = None
    parameters: Mapping[str, object] | None = None
    digest: str | None = None


@dataclass(frozen=True)
class PointDescription(Stored):
    """The model, solver, predictor and policy of a point, from which its ids follow."""

    model: PartDescription
    solver: PartDescription
    predictor: PartDescription
    policy: PartDescription
