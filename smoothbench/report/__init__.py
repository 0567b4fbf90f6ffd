"""Tables and pictures from the records of an experiment: functions from a DataFrame to a Figure or a table."""

from smoothbench.report.frame import load
from smoothbench.report.write import write

__all__ = ["load", "write"]
