"""Checks of the optional packages: which of the extras are installed."""

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from smoothbench.evaluators.inception import find_torch_fidelity
from smoothbench.running.doctor.finding import Check, Finding, judged

PROJECT = "smoothbench"
FOR_DEVELOPERS = ("dev", "notebooks", "test")
APART = {"torch-fidelity": find_torch_fidelity}  # may lie in a folder of its own


def checks() -> list[Check]:
    """The check of the extras that runs may need."""
    return [Check("extras", _extras)]


def _extras() -> Iterator[Finding]:
    try:
        extras = metadata.metadata(PROJECT).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        yield Finding("warn", "extras", "the project is not installed", "pip install -e . in its clone")
        return
    requirements = [Requirement(line) for line in metadata.requires(PROJECT) or []]
    for extra in sorted(set(extras) - set(FOR_DEVELOPERS)):
        needed = [r.name for r in requirements if r.marker and r.marker.evaluate({"extra": extra})]
        absent = [name for name in needed if not _installed(name)]
        measured = f"missing: {', '.join(absent)}" if absent else "installed"
        yield judged(not absent, f"extra {extra}", measured, f"pip install -e '.[{extra}]'", otherwise="warn")


def _installed(name: str) -> bool:
    if name in APART:
        return APART[name]() is not None
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
