"""Groups of points that may share a table, and the names of their files."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd

from smoothbench.storage.record_differences import Fact

# What two points must share to stand in one table or one picture.
GROUP = ["experiment", "model", "identity", "num_samples", "seeds", "kind", "reference_id"]
SOLVED = ("solver", "steps", "guidance")  # stand in every name
BARE = ("experiment", "model", "device")  # their values say what they are
MOST_LETTERS = {"value": 24, "name": 100}
CODE = 8  # digits that tell two names apart where words do not


def comparable_groups(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Split a frame into groups of points that may share a table; yield the name of each group's files before it.

    The largest group comes first, the newest of equally large ones; its name is "". The other names say solver,
    steps and guidance of a group's reference, and whatever else differs between the groups:
    `ddim-20-guidance2`, `ddim-50-guidance2-n512`.
    """
    groups = [group for _, group in frame.groupby(GROUP, sort=True)]
    groups.sort(key=_size_and_time, reverse=True)
    for position, (name, group) in enumerate(zip(_file_names(groups), groups, strict=True)):
        yield name if position else "", group.reset_index(drop=True)


def require_one_group(frame: pd.DataFrame) -> None:
    """Raise ValueError if a frame mixes models, sample counts, seeds, references or kinds of device."""
    mixed = {name: sorted(set(frame[name])) for name in GROUP if frame[name].nunique() > 1}
    if mixed:
        values = "; ".join(f"{name} {', '.join(map(str, values))}" for name, values in mixed.items())
        raise ValueError(
            f"points that cannot share a table ({values}): split them with comparable_groups(frame)"
        )


def _size_and_time(group: pd.DataFrame) -> tuple[int, str]:
    return len(group), max(str(provenance.get("time", "")) for provenance in group["provenance"])


def _file_names(groups: Sequence[pd.DataFrame]) -> list[str]:
    """Names in words; where two groups have the same, or a name is too long, with a hash of what a group shares."""
    names = [_words(group)[: MOST_LETTERS["name"]] for group in groups]
    counts = Counter(name.lower() for name in names)
    return [
        name if counts[name.lower()] == 1 and len(name) < MOST_LETTERS["name"] else f"{name}-{_code(group)}"
        for name, group in zip(names, groups, strict=True)
    ]


def _words(group: pd.DataFrame) -> str:
    first, reference = group.iloc[0], group[group["reference"].astype(bool)]
    row = reference.iloc[0] if len(reference) else first
    guidance = "" if pd.isna(row["guidance"]) else f"guidance{row['guidance']:g}"
    facts: Sequence[Fact] = first.get("distinction", ())
    others = [_word(fact) for fact in facts if fact.name not in SOLVED]
    return "-".join(
        filter(None, [_slug(str(row["facts.solver_name"])), str(row["steps"]), guidance, *others])
    )


def _word(fact: Fact) -> str:
    """A fact as a part of a file's name: `n512`, `seeds0_255`, `dtypebfloat16`, and `cuda` for a device."""
    value = _slug(fact.text)[: MOST_LETTERS["value"]]
    return value if fact.name in BARE else f"{_slug(fact.name).lower()}{value}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "_", text).strip("._")


def _code(group: pd.DataFrame) -> str:
    shared = "\n".join(str(group[name].iloc[0]) for name in GROUP)
    return hashlib.sha256(shared.encode()).hexdigest()[:CODE]
