"""What a check of the machine gives: a verdict with what was measured, and what to do about it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from smoothbench.errors import one_line

Verdict = Literal["ok", "warn", "FAIL"]
LONGEST = 220  # characters of an exception's message


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: `FAIL` makes results wrong or runs impossible, `warn` makes them slower or fewer."""

    verdict: Verdict
    subject: str
    measured: str
    advice: str = ""

    def line(self) -> str:
        """The finding as it is printed; advice stands only where something is amiss."""
        advice = f"  -> {self.advice}" if self.advice and self.verdict != "ok" else ""
        return f"{self.verdict:4s}  {self.subject:44s}  {self.measured}{advice}"


@dataclass(frozen=True)
class Check:
    """A check with its name, which stands in the line of a check that raised an exception."""

    subject: str
    findings: Callable[[], Iterator[Finding]]


def judged(fine: bool, subject: str, measured: str, advice: str = "", otherwise: Verdict = "FAIL") -> Finding:
    """Make a finding that is `ok` if all is fine, and `otherwise` if not."""
    return Finding("ok" if fine else otherwise, subject, measured, advice)


def examined(checks: Sequence[Check]) -> Iterator[Finding]:
    """Carry out checks one after another; one that raises an exception is a `FAIL`, and the others go on."""
    for check in checks:
        try:
            yield from check.findings()
        except Exception as error:  # whatever a broken machine makes of it
            message = f"{type(error).__name__}: {one_line(error)}"
            yield Finding("FAIL", check.subject, message[:LONGEST], "this check could not be carried out")
