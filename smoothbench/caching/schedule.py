"""Schedules: which site is computed at which model evaluation, as data and as published JSON."""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from smoothbench.caching import grid
from smoothbench.caching.json_objects import is_number, unique_keys
from smoothbench.caching.nesting import outer_sites, runs
from smoothbench.caching.predictor import Predictor
from smoothbench.caching.saved_weights import SavedWeights, refuse_lacking, weights_from, weights_of
from smoothbench.caching.schedule_json import META, WEIGHTS, check_meta, columns_of, flat_columns
from smoothbench.caching.sites import Site

Computed = tuple[tuple[bool, ...], ...]


@dataclass(frozen=True)
class Schedule:
    """A schedule says which site is computed at which evaluation: `computed[e][i]` for evaluation e and site i.

    Evaluation 0 is the noisiest. Raises ValueError without sites, where `kinds` or the bits of an evaluation have
    another length than `sites`, and where the first evaluation skips a site, as there is nothing yet to reuse.
    `weights` predict what is skipped, where they were made for this schedule; None leaves that to the run.
    """

    sites: tuple[str, ...]
    kinds: tuple[str, ...]
    computed: Computed
    meta: Mapping[str, Any] = field(default_factory=dict)
    weights: SavedWeights | None = None

    def __post_init__(self) -> None:
        if not self.sites or len(self.kinds) != len(self.sites):
            raise ValueError(f"a schedule over {len(self.sites)} sites with {len(self.kinds)} kinds")
        for e, bits in enumerate(self.computed):
            if len(bits) != len(self.sites):
                raise ValueError(f"evaluation {e} of the schedule has {len(bits)} of {len(self.sites)} sites")
        if not self.computed or not all(self.computed[0]):
            raise ValueError("a schedule must compute every site at its first evaluation")
        if not _is_grid(self.meta.get("coordinates"), len(self.computed)):
            raise ValueError(f"a schedule's coordinates are {len(self.computed)} finite numbers, or left out")
        if self.weights is not None and self.weights.evals != self.evals:
            raise ValueError(
                f"the schedule has {self.evals} evaluations, but its weights are for {self.weights.evals}"
            )

    @classmethod
    def of(
        cls, sites: Sequence[Site], bits: Sequence[Sequence[int]], meta: Mapping[str, Any] | None = None
    ) -> "Schedule":
        """Make a schedule over `sites` from its bits, a list for each evaluation; ValueError for a bit not 0 or 1.

        Where a site is reused nothing inside it runs: bits that say otherwise become 0, with a warning.
        """
        if wrong := [bit for of_evaluation in bits for bit in of_evaluation if bit not in (0, 1)]:
            raise ValueError(f"a schedule's rows hold 0 and 1, not {wrong[0]!r}")
        outer = outer_sites(sites)
        computed = tuple(runs([bool(bit) for bit in of_evaluation], outer) for of_evaluation in bits)
        if sum(map(sum, computed)) < sum(map(sum, bits)):
            warnings.warn(
                "the schedule computes sites inside a span or denoiser that it reuses: they do not run there",
                stacklevel=2,
            )
        return cls(tuple(s.name for s in sites), tuple(s.kind for s in sites), computed, meta or {})

    @classmethod
    def steps(
        cls, sites: Sequence[Site], full: Sequence[bool], meta: Mapping[str, Any] | None = None
    ) -> "Schedule":
        """Make a schedule with the same bit for all sites, from a bit for each evaluation: whether it is computed."""
        return cls.of(sites, [[bit] * len(sites) for bit in full], meta)

    @property
    def evals(self) -> int:
        """The number of model evaluations."""
        return len(self.computed)

    @property
    def coordinates(self) -> tuple[float, ...] | None:
        """The time grid that the schedule was planned for; None where its metadata do not say."""
        planned = self.meta.get("coordinates")
        return None if planned is None else tuple(planned)

    def check_fits(self, coordinates: Sequence[float]) -> None:
        """Raise ValueError, naming both sides, where the schedule was planned for other evaluations than a solver's."""
        if self.evals != len(coordinates):
            raise ValueError(f"has {self.evals} evaluations, but the solver makes {len(coordinates)}")
        if self.coordinates is not None and not grid.same(self.coordinates, coordinates):
            raise ValueError(
                f"was planned for timesteps {grid.describe(self.coordinates)}, but the solver's are "
                f"{grid.describe(coordinates)}"
            )

    @property
    def skipped_share(self) -> float:
        """The share of branch computations that are reused, from 0 to 1."""
        return 1 - sum(map(sum, self.computed)) / (self.evals * len(self.sites))

    def with_predictor(self, predictor: str | Predictor) -> "Schedule":
        """Return the schedule with the weights of a predictor, so that its file says what stands in for the skipped.

        Nothing is predicted from outputs before the last of the metadata's `restarts`, where another network begins.
        Raises ValueError for a predictor whose weights depend on more than the schedule, or lack a skipped site's.
        """
        restarts = self.meta.get("restarts")
        known = restarts if isinstance(restarts, list | tuple) else ()
        weights = weights_of(predictor, self.sites, self.computed, self.coordinates, known)
        with_weights = replace(self, weights=weights)
        if weights is not None:
            refuse_lacking(weights, self.sites, self.computed)
        return with_weights

    def calls(self) -> dict[str, int]:
        """At how many evaluations each site is computed, by the site's name."""
        return {
            site: sum(of_evaluation[i] for of_evaluation in self.computed)
            for i, site in enumerate(self.sites)
        }

    def bit_strings(self) -> list[str]:
        """Return one string for each evaluation, with a bit for each site; 1 = computed."""
        return ["".join("1" if bit else "0" for bit in bits) for bits in self.computed]

    def to_json(self, names: str = "published") -> dict[str, Any]:
        """Return the flat published form: it maps a kind, or a kind and a block, to a list of 1 (computed) and 0.

        `names="canonical"` writes `self_attn` and `ff` in place of `attn` and `mlp`. Raises
        ValueError for other names. A kind alone stands for all of its sites in the model that reads the form: make a
        schedule over all sites of a kind before it is written.
        """
        columns = {
            (kind, site): [int(bits[i]) for bits in self.computed]
            for i, (kind, site) in enumerate(zip(self.kinds, self.sites, strict=True))
        }
        meta = {META: dict(self.meta)} if self.meta else {}
        return (
            meta | flat_columns(columns, names) | ({WEIGHTS: self.weights.to_json()} if self.weights else {})
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any], sites: Sequence[Site]) -> "Schedule":
        """Read a schedule in either form, for a model with `sites`; a block's key overrides its kind's.

        Warns of kinds that are absent, which are always computed. Raises ValueError for a kind or a
        block that the model lacks, a list of anything but 0 and 1, lists of different lengths, a
        `_meta` that is no object or that a record could not hold, or `_weights` that are for something else.
        """
        columns = columns_of(data, sites)
        absent = {s.kind for s in sites if s.name not in columns}
        if absent:
            warnings.warn(f"the schedule says nothing of {sorted(absent)}: always computed", stacklevel=2)
        evals = len(next(iter(columns.values())))
        bits = [[columns[s.name][e] if s.name in columns else 1 for s in sites] for e in range(evals)]
        meta = data.get(META, {})
        check_meta(meta)
        schedule = cls.of(sites, bits, meta)
        if WEIGHTS not in data:
            return schedule
        return replace(
            schedule, weights=weights_from(data[WEIGHTS], sites, schedule.computed, schedule.coordinates)
        )

    def save(self, path: str | Path, names: str = "published") -> None:
        """Write the schedule to a JSON file, in the form that `to_json` gives; completely, or not at all."""
        text, path = json.dumps(self.to_json(names)) + "\n", Path(path)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            unfinished.write_text(text)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path, sites: Sequence[Site]) -> "Schedule":
        """Read a schedule file for a model with `sites`; ValueError, naming the file, where it is none."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=unique_keys)
            if not isinstance(data, dict):
                raise ValueError("it is not a JSON object of lists")
            return cls.from_json(data, sites)
        except FileNotFoundError:
            raise ValueError(f"schedule {path}: no such file") from None
        except OSError as error:
            raise ValueError(f"schedule {path}: cannot be read ({error.strerror})") from error
        except RecursionError:
            raise ValueError(f"schedule {path}: nested too deeply for a schedule") from None
        except ValueError as error:
            raise ValueError(f"schedule {path}: {error}") from error


def _is_grid(coordinates: Any, evals: int) -> bool:
    if coordinates is None:
        return True
    return (
        isinstance(coordinates, list | tuple)
        and len(coordinates) == evals
        and all(map(is_number, coordinates))
    )
