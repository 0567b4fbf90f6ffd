"""`python -m smoothbench.leaderboard FOLDER... [--out site]`: check records, rank methods, and write static pages.

FOLDER is a results folder, or a folder of such folders. Without --out the records are checked and nothing is written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from smoothbench import command
from smoothbench.leaderboard.check import Refusal, refusals
from smoothbench.leaderboard.check_costs import MeasuredModels
from smoothbench.leaderboard.handed_in import HandedIn
from smoothbench.leaderboard.observed import Observations
from smoothbench.leaderboard.site_pages import pages
from smoothbench.leaderboard.submission import Submission, read_submissions, tables_without_records
from smoothbench.leaderboard.write_site import check_place, write_site

NAMED = 10  # numbers of a folder that are spelled out; more are counted


def main(arguments: Sequence[str] | None = None) -> int:
    """Check submissions and write a leaderboard; exit codes as of `command.main`, 2 where a number is refused."""
    parser = command.parser("smoothbench.leaderboard", __doc__)
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="FOLDER", help="results folder, with records/ in it"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the pages: new, or a leaderboard")
    options = parser.parse_args(arguments)
    return command.main(lambda: _run(options), "the same command writes it whole")


def _run(options: argparse.Namespace) -> int:
    if options.out is not None:
        check_place(options.out)
    models = MeasuredModels()
    handed_in, refused = [], 0
    for submission in read_submissions(options.folders):
        observations = Observations(submission)
        refused_numbers = [*refusals(submission, models), *observations.refusals()]
        handed_in.append(HandedIn(submission, observations))
        refused += bool(refused_numbers)
        _say(submission, refused_numbers)
    if refused:
        return command.end(f"{refused} of {len(handed_in)} folders refused: nothing is written", 2)
    for one in handed_in:
        counts = "; ".join(f"{count} {basis}" for basis, count in one.bases.items())
        print(f"{one.submission.name}: {len(one.submission.frame)} points ({counts})")
    for folder in tables_without_records(options.folders):
        print(f"{folder}: a table without records, which cannot be checked: not in the leaderboard")
    if options.out is not None:
        written = write_site(pages(handed_in), options.out)
        print(f"{written[0]} and {len(written) - 1} more pages")
    return 0


def _say(submission: Submission, refused_numbers: Sequence[Refusal]) -> None:
    for refusal in refused_numbers[:NAMED]:
        command.end(refusal, 2)
    if len(refused_numbers) > NAMED:
        command.end(f"{submission.folder}: {len(refused_numbers) - NAMED} more numbers", 2)


if __name__ == "__main__":
    sys.exit(main())
