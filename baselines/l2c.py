"""Learning-to-Cache (Ma et al. 2024, arXiv 2406.01733): a trained router says what is reused, and when."""

import os
from dataclasses import dataclass

from baselines.checks import check_number
from baselines.files import find, sha256
from baselines.router_files import routed
from smoothbench.caching import ErrorCurves, Schedule, Trajectory


@dataclass(frozen=True)
class L2C:
    """The file of a router says which evaluations are full, and the router decides on those in between.

    A site is computed where its score sigmoid(logit) is above `threshold`, and reused elsewhere (the
    code's rule; the paper's Algorithm 2 prints the comparison the other way round). `router` is one of
    the released files or one of ours; a relative path that is not there is looked up among the routers
    that come with the project. Raises ValueError for a file that is not there, and a threshold below 0.
    """

    router: str
    threshold: float = 0.1
    needs_curves = False
    name = "l2c"
    version = 1
    digested = ("router",)

    def __post_init__(self) -> None:
        if not isinstance(self.router, str):
            raise ValueError(f"cache.policy.router must be the name of a file, not {self.router!r}")
        if not os.path.isfile(find(self.router, "routers")):
            raise ValueError(
                f"router {self.router}: no such file (cache.policy.router=...); train one: stage=train cache=l2c "
                "out=FILE"
            )
        check_number("L2C's threshold", self.threshold)

    @property
    def digest(self) -> str:
        """The sha256 of the router's file: what it holds counts, not where it lies."""
        return sha256(find(self.router, "routers"))

    def plan(self, trajectory: Trajectory, curves: ErrorCurves | None = None) -> Schedule:
        """Plan the schedule that the router decides on.

        Raises ValueError, naming the file, for a router of another depth, step count or time grid.
        """
        path = find(self.router, "routers")
        try:
            scores = routed(path, trajectory)
            rows = [[score is None or score > self.threshold for score in row] for row in scores]
            meta = {"method": "l2c", "router": os.path.basename(path), "threshold": self.threshold}
            return Schedule.of(trajectory.sites, rows, meta)
        except ValueError as error:
            raise ValueError(f"router {path}: {error}") from None
