"""A number of a record that is not what the record's own observations give."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isclose, isfinite

EXACT = 1e-12  # relative: a number that the same arithmetic gives again, but for the order of its sums


@dataclass(frozen=True)
class Difference:
    """A field of a record with its stored and its recomputed value; `basis` says what it was recomputed from."""

    field: str
    stored: object
    recomputed: object
    basis: str

    def __str__(self) -> str:
        stored, recomputed = _told_apart(self.stored, self.recomputed)
        return f"{self.field} is {stored}, but {self.basis}: {recomputed}"


def compare(
    field: str, stored: object, recomputed: object, basis: str, tolerance: float = 0.0
) -> Iterator[Difference]:
    """Yield a difference where a stored value is not the recomputed one.

    Args: tolerance, by how much numbers may differ beside a relative rounding.
    """
    if not equal(stored, recomputed, tolerance):
        yield Difference(field, stored, recomputed, basis)


def equal(stored: object, recomputed: object, tolerance: float = 0.0) -> bool:
    """Whether two values are equal; two numbers may differ by a rounding, and by a tolerance."""
    if isinstance(stored, int | float) and isinstance(recomputed, int | float):
        if isinstance(stored, int) and isinstance(recomputed, int) and not tolerance:
            return stored == recomputed
        finite = isfinite(stored) and isfinite(recomputed)
        return finite and isclose(stored, recomputed, rel_tol=EXACT, abs_tol=tolerance)
    if isinstance(stored, Mapping) and isinstance(recomputed, Mapping):
        same = stored.keys() == recomputed.keys()
        return same and all(equal(value, recomputed[key]) for key, value in stored.items())
    if isinstance(stored, list | tuple) and isinstance(recomputed, list | tuple):
        pairs = zip(stored, recomputed, strict=False)
        return len(stored) == len(recomputed) and all(equal(*pair) for pair in pairs)
    return stored == recomputed


def compare_shared(
    field: str, stored: Mapping[str, object], recomputed: Mapping[str, object], basis: str
) -> Iterator[Difference]:
    """Yield the differences between two mappings in the keys that both have; mappings inside them likewise."""
    for key in _shared(stored, recomputed):
        one, other = stored[key], recomputed[key]
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            inner = other.get("parameters", other)
            yield from compare_shared(
                f"{field}.{key}", one, inner if isinstance(inner, Mapping) else other, basis
            )
        elif not isinstance(one, Mapping) and not isinstance(other, Mapping):
            yield from compare(f"{field}.{key}", one, other, basis)


def _shared(stored: Mapping[str, object], recomputed: Mapping[str, object]) -> Iterable[str]:
    return [key for key in stored if key in recomputed]


def _told_apart(*values: object) -> list[str]:
    """Values as text with few digits, or with as many as tell them apart."""
    for digits in (6, 9, 12):
        texts = [f"{value:.{digits}g}" if isinstance(value, float) else str(value)[:60] for value in values]
        if len(set(texts)) > 1:
            return texts
    return [repr(value)[:60] for value in values]
