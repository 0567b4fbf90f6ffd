"""Rules for values in JSON beyond their type: checked when a file is read, and written into its JSON Schema."""

import re
from dataclasses import dataclass
from typing import Any, Protocol


class Rule(Protocol):
    """A rule of `Annotated[type, rule]` that a value must follow."""

    def check(self, value: Any, name: str) -> None:
        """Raise ValueError, naming the value, where it breaks the rule."""

    def schema(self) -> dict[str, object]:
        """Return the rule as keywords of JSON Schema."""


@dataclass(frozen=True)
class Only:
    """A number must have this value, for instance the version of a file's layout."""

    value: int
    way_out: str = ""

    def check(self, value: Any, name: str) -> None:
        if value != self.value:
            advice = f": {self.way_out}" if self.way_out else ""
            raise ValueError(f"its {name} is {value}, this version reads {self.value}{advice}")

    def schema(self) -> dict[str, object]:
        return {"const": self.value}


@dataclass(frozen=True)
class Above:
    """A number must be greater than a bound."""

    bound: float

    def check(self, value: Any, name: str) -> None:
        if value <= self.bound:
            raise ValueError(f"its {name} is {value}, not above {self.bound}")

    def schema(self) -> dict[str, object]:
        return {"exclusiveMinimum": self.bound}


@dataclass(frozen=True)
class Between:
    """A number must lie in a closed interval."""

    low: float
    high: float

    def check(self, value: Any, name: str) -> None:
        if not self.low <= value <= self.high:
            raise ValueError(f"its {name} is {value}, not from {self.low} to {self.high}")

    def schema(self) -> dict[str, object]:
        return {"minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class Matching:
    """A text must match a pattern, of which `example` is an instance."""

    pattern: str
    example: str

    def check(self, value: Any, name: str) -> None:
        if not re.fullmatch(self.pattern, value):
            raise ValueError(f"its {name} {value[:40]!r} is not like {self.example}")

    def schema(self) -> dict[str, object]:
        return {"pattern": f"^{self.pattern}$"}


@dataclass(frozen=True)
class Filled:
    """A list must have at least one item."""

    def check(self, value: Any, name: str) -> None:
        if not value:
            raise ValueError(f"its {name} is empty")

    def schema(self) -> dict[str, object]:
        return {"minItems": 1}
