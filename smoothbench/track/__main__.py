"""`python -m smoothbench.track FOLDER --to NAME [--at PLACE] [--project NAME]`: records to trackers, after the fact.

NAME is mlflow, tensorboard, trackio or wandb, whose library must be installed, or parquet: one table for all else.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from smoothbench import command
from smoothbench.errors import UsageError
from smoothbench.track.table_file import to_parquet
from smoothbench.track.tracked_runs import tracked_frame, tracked_runs
from smoothbench.track.trackers import TRACKERS, write_runs

PARQUET = "parquet"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the points of a results folder to a tracker; exit codes as of `command.main`."""
    parser = command.parser("smoothbench.track", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="results folder, with records/ in it")
    parser.add_argument("--to", required=True, metavar="NAME", help=", ".join(sorted({*TRACKERS, PARQUET})))
    parser.add_argument("--at", metavar="PLACE", help="folder, file or address; by default in FOLDER")
    parser.add_argument("--project", metavar="NAME", help="by default the experiment's name")
    options = parser.parse_args(arguments)
    return command.main(lambda: _track(options), "the same command writes all points again")


def _track(options: argparse.Namespace) -> None:
    if options.to not in {*TRACKERS, PARQUET}:
        names = ", ".join(sorted({*TRACKERS, PARQUET}))
        raise UsageError(f"--to {options.to}: there is no such tracker: choose one of {names}")
    frame = tracked_frame(options.folder)
    if options.to == PARQUET:
        print(f"{len(frame)} points: {to_parquet(frame, options.at, options.folder)}")
        return
    runs = list(tracked_runs(frame))
    project = options.project or str(frame["experiment"].iloc[0]).replace("/", "-")
    print(f"{len(runs)} points: {write_runs(options.to, runs, project, options.at, options.folder)}")


if __name__ == "__main__":
    sys.exit(main())
