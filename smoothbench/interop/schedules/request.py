"""What is to be exported, and what came of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from torch import nn

from smoothbench.caching import Schedule, Site
from smoothbench.caching.block_runs import span_blocks
from smoothbench.caching.sites import BRANCH, SPAN
from smoothbench.errors import UsageError

REUSE = "reuse"
TRANSFORMER = "transformer"  # the component of most pipelines that is cached
ALL_OTHERS = "*"  # in the path of a site that stands for all blocks that a schedule does not number
PARTS = ("attn", "ff")  # nearly every block has branches of both kinds
UNCHECKED = "branches that the schedule does not name are taken for skipped ones: --model FOLDER checks them"
PREDICTORS = (REUSE, "taylor1", "taylor2", "taylor3", "taylor4")


@dataclass(frozen=True)
class Exported:
    """The text of a file for another program, and what its user must know beside it, in a line each."""

    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """A schedule that is to be exported: `mask_only` lets the other program reuse something else at its evaluations.

    `source` names it in messages; `denoiser` is the model that it is for, `forwards` how many forwards an evaluation
    takes, None where they are not known.
    """

    source: str
    schedule: Schedule
    sites: tuple[Site, ...]
    predictor: str = REUSE
    mask_only: bool = False
    denoiser: nn.Module | None = None
    forwards: int | None = None

    @property
    def printable_source(self) -> str:
        """The name of the schedule as comments and docstrings can hold it, whatever characters are in it."""
        return re.sub(r"[^\w. -]", "_", self.source)

    @property
    def component(self) -> str:
        """The pipeline's component that the schedule was made for; its transformer where the file does not say."""
        name = self._made_for("model").get("component")
        return name if isinstance(name, str) and name.isidentifier() else TRANSFORMER

    @property
    def steps(self) -> int:
        """The `num_inference_steps` of the pipeline, of which some schedulers make another number of evaluations."""
        steps = self._made_for("solver").get("steps")
        return steps if type(steps) is int else self.schedule.evals

    def _made_for(self, part: str) -> Mapping[str, Any]:
        known = self.schedule.meta.get("made_for")
        about = known.get(part) if isinstance(known, Mapping) else None
        return about if isinstance(about, Mapping) else {}

    def refuse_second_network(self) -> None:
        """Raise UsageError for a schedule that covers two networks of a pipeline."""
        if self.schedule.meta.get("restarts"):
            raise self.refused(
                "it covers two networks, one after the other, and other caches see one: tune each by "
                "model.component=transformer and transformer_2"
            )

    def refuse_other_networks(self) -> None:
        """Raise UsageError for a schedule of another network than the pipeline's only transformer."""
        self.refuse_second_network()
        if self.component != TRANSFORMER:
            raise self.refused(
                f"it is for the pipeline's {self.component}, and there the transformer is cached alone"
            )

    @property
    def order(self) -> int:
        """The order of the Taylor series that stands in for a skipped output; 0 repeats the last one."""
        return PREDICTORS.index(self.predictor)

    @cached_property
    def level(self) -> str:
        """The level of all sites; UsageError where they lie at several."""
        levels = sorted({site.level for site in self.sites})
        if len(levels) > 1:
            raise self.refused(f"it has sites of several levels ({', '.join(levels)}), no other cache has")
        return levels[0]

    @cached_property
    def uneven(self) -> str:
        """Where one site is computed and another one not at the same evaluation; empty where there is no such place."""
        for e, bits in enumerate(self.schedule.computed):
            if len(set(bits)) > 1:
                names = (self.sites[bits.index(bit)].name for bit in (True, False))
                return "evaluation {} computes {}, but not {}".format(e, *names)
        return ""

    @cached_property
    def mask(self) -> tuple[bool, ...]:
        """Which evaluations are computed, whole; UsageError where one is computed in part."""
        if self.uneven:
            raise self.refused(f"{self.uneven}: a mask of whole evaluations cannot say that")
        return tuple(bits[0] for bits in self.schedule.computed)

    @cached_property
    def ends(self) -> tuple[int, int]:
        """The first and the last block that the spans reuse together; UsageError where blocks between are not."""
        ranges = sorted(
            tuple(map(int, site.block_label.split("-"))) for site in self.sites if site.level == SPAN
        )
        for (_, last), (first, _) in pairwise(ranges):
            if first != last + 1:
                raise self.refused(f"its spans leave out, or share, blocks between {last} and {first}")
        return ranges[0][0], ranges[-1][1]

    @cached_property
    def blocks(self) -> int | None:
        """The number of the denoiser's blocks, None where it is not known."""
        return None if self.denoiser is None else len(span_blocks(self.denoiser))

    def refused(self, reason: str) -> UsageError:
        """Make the error that says why the schedule cannot be exported."""
        return UsageError(f"schedule {self.source}: {reason}")

    def require_mask_only(self, reuses: str) -> tuple[str, ...]:
        """Raise UsageError, naming the way out, unless the other program may reuse something else.

        Returns what the user must know: without the model nobody sees which branches the schedule does not name. Raises
        UsageError too where it names no attention, or no feed-forward, which it thus always computes.
        """
        if not self.mask_only:
            what = {SPAN: "what its blocks add", "branch": "the output of each branch"}.get(
                self.level, "the output"
            )
            raise self.refused(
                f"it reuses {what}, and there {reuses} is reused: --mask-only exports its evaluations alone, "
                "for samples whose loss is another one"
            )
        if self.level != BRANCH or self.denoiser is not None:
            return ()
        for part in PARTS:
            if not any(site.kind.endswith(part) for site in self.sites):
                raise self.refused(
                    f"it names no branch of a kind {part}, so these are always computed, which a mask of whole "
                    "evaluations cannot say: --model FOLDER tells where there are none"
                )
        return (UNCHECKED,)
