"""What records state of their making, in one line: values that differ are listed or counted."""

from collections.abc import Iterable, Mapping

import pandas as pd

MOST_SPELLED_OUT = 3  # more distinct values than this are only counted


def provenance(frame: pd.DataFrame) -> str:
    """Say in one line how the records were made; values that differ are listed or counted."""
    return stated(frame["provenance"])


def stated(records: Iterable[Mapping[str, object]]) -> str:
    """Write what mappings state, by key, in one line; values that differ are listed or counted."""
    values_by_key: dict[str, set[str]] = {}
    for record in records:
        for key, value in _flat(record):
            values_by_key.setdefault(key, set()).add(value)
    return "; ".join(
        f"{key} {_several(key, sorted(values))}" for key, values in sorted(values_by_key.items())
    )


def _flat(record: Mapping[str, object]) -> list[tuple[str, str]]:
    """Pairs of a name and a one-line value; dictionaries (versions, for instance) are opened once."""
    pairs: list[tuple[str, object]] = []
    for key, value in record.items():
        pairs += list(value.items()) if isinstance(value, dict) else [(key, value)]
    return [(key, " ".join(str(value).split())) for key, value in pairs if not isinstance(value, dict | list)]


def _several(key: str, values: list[str]) -> str:
    if key == "time" and len(values) > 1:
        return f"{values[0]} to {values[-1]}"
    return ", ".join(values) if len(values) <= MOST_SPELLED_OUT else f"({len(values)} different)"
