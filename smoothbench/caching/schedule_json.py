"""The flat JSON form of schedules, as published: a kind, or one block of it, maps to a list of 1 (computed) and 0."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from smoothbench.caching.sites import SPAN, Site

PUBLISHED = {"self_attn": "attn", "cross_attn": "attn2", "ff": "mlp"}
CANONICAL = {published: kind for kind, published in PUBLISHED.items()} | {"attn1": "self_attn"}
META, WEIGHTS = "_meta", "_weights"  # the keys that are no kind of layer
META_DEPTH = 8  # how deep "_meta" may be nested


def flat_columns(columns: Mapping[tuple[str, str], list[int]], names: str) -> dict[str, list[int]]:
    """Return the flat form of columns that are given by kind and site: one list for a kind whose sites agree.

    Raises ValueError for `names` other than "published" and "canonical".
    """
    if names not in ("published", "canonical"):
        raise ValueError(f"names is 'published' or 'canonical', not {names!r}")
    data: dict[str, list[int]] = {}
    for kind in dict.fromkeys(kind for kind, _ in columns):
        of_kind = {site: column for (other, site), column in columns.items() if other == kind}
        key = _published(kind) if names == "published" else kind
        same = len({tuple(column) for column in of_kind.values()}) == 1
        if same and kind != SPAN:  # which span it is stands in its key alone
            data[key] = next(iter(of_kind.values()))
        else:
            data |= {f"{key}-{site.split('.')[-2]}": column for site, column in of_kind.items()}
    return data


def columns_of(data: Mapping[str, Any], sites: Sequence[Site]) -> dict[str, list[int]]:
    """The bits of every site that the data name: those given for a block override those for its kind.

    Raises ValueError, naming the key, for a kind or a block that the model does not have, and for bits that are none.
    """
    columns: dict[str, list[int]] = {}
    if wrong := [key for key in data if not isinstance(key, str)]:
        raise ValueError(f"{wrong[0]!r} is no kind of layer")
    keys = sorted((key for key in data if key not in (META, WEIGHTS)), key=_names_a_block)
    if not keys:
        raise ValueError("it names no kind of layer")
    key_of: dict[tuple[str, str], str] = {}
    for key in keys:
        kind, dash, block = key.partition("-")
        kind = canonical(kind)
        if (other := key_of.setdefault((kind, block), key)) != key:
            raise ValueError(f"{other!r} and {key!r} mean the same")
        named = [s for s in sites if s.kind == kind and (not dash or block == s.block_label)]
        if not named:
            raise ValueError(
                f"{key!r} names no site of the model, which has {sorted({s.kind for s in sites})} "
                f"in {len({s.block_label for s in sites})} blocks{_origin(data)}"
            )
        bits = data[key]
        if not isinstance(bits, list) or not bits or any(type(b) is not int or b not in (0, 1) for b in bits):
            raise ValueError(f"{key!r} must be a list of 0 and 1")
        columns |= {s.name: bits for s in named}
    if len(lengths := {len(column) for column in columns.values()}) != 1:
        raise ValueError(f"the lists of a schedule must be equally long, not {sorted(lengths)}")
    return columns


def check_meta(meta: Any) -> None:
    """Raise ValueError where the metadata of a schedule are no object, or one that a record could not hold."""
    if not isinstance(meta, dict) or not _is_plain_json(meta, META_DEPTH):
        raise ValueError(
            f"'_meta' must be an object of text and finite numbers, nested at most {META_DEPTH} deep"
        )


def _origin(data: Mapping[str, Any]) -> str:
    """For which model a file says that it was made, as the end of a message; empty where it does not say so."""
    known: Any = data
    for key in (META, "made_for", "model", "name"):
        known = known.get(key) if isinstance(known, Mapping) else None
    return f"; the file was made for {known}: make one for this model by stage=tune" if known else ""


def _published(kind: str) -> str:
    dimension, base = _split(kind)
    return dimension + PUBLISHED.get(base, base)


def canonical(kind: str) -> str:
    """Return the name that a kind of layer has in this project, from the published name or its own."""
    dimension, base = _split(kind)
    return dimension + CANONICAL.get(base, base)


def _split(kind: str) -> tuple[str, str]:
    dimension = next((prefix for prefix in ("spatial_", "temporal_") if kind.startswith(prefix)), "")
    return dimension, kind.removeprefix(dimension)


def _is_plain_json(value: Any, depth: int) -> bool:
    """Whether a value can be written as JSON, with finite numbers only and nested at most `depth` deep."""
    if isinstance(value, dict):
        return depth > 0 and all(
            isinstance(k, str) and _is_plain_json(v, depth - 1) for k, v in value.items()
        )
    if isinstance(value, list):
        return depth > 0 and all(_is_plain_json(item, depth - 1) for item in value)
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))


def _names_a_block(key: str) -> bool:
    return "-" in key
