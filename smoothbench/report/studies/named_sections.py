"""The sections that experiments name in their YAML, made from the points of a report."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import pandas as pd

from smoothbench.config.report_sections import sections_of_experiment
from smoothbench.errors import one_line
from smoothbench.report.studies.section import Section

log = logging.getLogger(__name__)

MakeSection = Callable[[pd.DataFrame], Section]


@dataclass(frozen=True)
class Sections:
    """The sections of a report, and a line for each that could not be made."""

    made: Sequence[Section] = ()
    failed: Sequence[str] = ()

    @property
    def summarise(self) -> bool:
        """Whether any section stands for the points of its experiment."""
        return any(section.summarises for section in self.made)


def named_sections(frame: pd.DataFrame) -> Sections:
    """Make the sections that the experiments of a frame name, in the order of their names.

    Names come from the records, `frame.attrs["sections"]`, and from the experiment's YAML in conf/exp. A section
    function takes the frame of its experiment, as `smoothbench.report.load` gives it, and returns a `Section`. A
    section that cannot be imported or fails is a warning in the log, and the report goes on without it.
    """
    made, failed = [], []
    for experiment, points in frame.groupby("experiment", sort=False):
        recorded = frame.attrs.get("sections", {}).get(experiment, ())
        for name in dict.fromkeys([*recorded, *sections_of_experiment(str(experiment))]):
            try:
                made.append(_checked(section_function(name)(points)))
            except Exception as error:  # whatever a user's code raises
                failed.append(f"{name}: {type(error).__name__}: {one_line(error)}")
                log.warning("left out a section of the report: %s", failed[-1])
    return Sections(made, failed)


def section_function(name: str) -> MakeSection:
    """Import a section function by its path, or the function `section` of a module by the module's path.

    Raises ImportError, AttributeError or whatever the module itself raises.
    """
    function: MakeSection
    if _is_module(name):
        function = import_module(name).section
    else:
        module, _, attribute = name.rpartition(".")
        if not module:
            raise ImportError(f"there is no module {name}")
        function = getattr(import_module(module), attribute)
    return function


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # what stands before the last dot is no package
        return False


def _checked(section: object) -> Section:
    if not isinstance(section, Section):
        raise TypeError(f"it returned a {type(section).__name__}, not a Section")
    return section
