"""Tables and pictures of an experiment: functions from a DataFrame of records to a Figure or a table."""

import smoothbench.report.figures.backend
import smoothbench.sibling_packages  # noqa: F401  both before what they guard
from smoothbench.report.data.frame import load
from smoothbench.report.summary import summary
from smoothbench.report.write import write

__all__ = ["load", "summary", "write"]
