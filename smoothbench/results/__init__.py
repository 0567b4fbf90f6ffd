"""Read the results of an experiment: tables, pictures, and every point with its schedule, curves and scores.

`load(folder)` is the way in, for notebooks and for code outside the project; docs/results.md shows what it gives.
"""

import smoothbench.sibling_packages  # noqa: F401  before anything that imports metrics or baselines
from smoothbench.results.folder import Results, load
from smoothbench.results.group import Group
from smoothbench.results.point import PointResult
from smoothbench.results.rebuild import Rebuilt
from smoothbench.results.table import Table

__all__ = ["Group", "PointResult", "Rebuilt", "Results", "Table", "load"]
