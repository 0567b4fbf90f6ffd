"""The key `loss` of stage=tune: how far samples may lie from the uncached ones, by the score of a metric."""

import re
from dataclasses import dataclass
from math import isfinite
from typing import Any

from smoothbench.errors import UsageError, shown

FORM = re.compile(r"\s*([\w-]+)\s*(>=|<=)\s*(\S+)\s*")


@dataclass(frozen=True)
class LossTarget:
    """A bound on a metric's mean over samples: at least `value` where `at_least`, otherwise at most."""

    metric: str
    at_least: bool
    value: float

    def __str__(self) -> str:
        return f"{self.metric}{'>=' if self.at_least else '<='}{self.value:g}"

    def met_by(self, score: float) -> bool:
        """Whether a score lies within the bound."""
        return score >= self.value if self.at_least else score <= self.value


def loss_target(value: Any) -> LossTarget | None:
    """Read a bound such as `psnr>=35`, None for none; UsageError for text of another form."""
    if value is None:
        return None
    match = FORM.fullmatch(value) if isinstance(value, str) else None
    try:
        bound = float(match[3]) if match else None
    except ValueError:
        bound = None
    if match is None or bound is None or not isfinite(bound):
        raise UsageError(f"loss={shown(value)}: must be a metric and its bound, as in 'loss=psnr>=35'")
    return LossTarget(match[1], match[2] == ">=", bound)


def quoted(argument: str) -> str:
    """Return an argument of the command line with the bound of `loss` in quotes, without which Hydra reads none."""
    key, equals, value = argument.partition("=")
    plain = key == "loss" and equals and re.search("[<>]", value) and not re.search("['\"]", value)
    return f'loss="{value}"' if plain else argument
