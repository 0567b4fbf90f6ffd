"""`python -m smoothbench.report DIR [--vector] [--publish DIR] [--compare NAME NAME]`: tables and pictures, offline."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from smoothbench import command
from smoothbench.report.publish import publish
from smoothbench.report.summary import summary
from smoothbench.report.tables.two_points import compare
from smoothbench.report.write import write


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report of a results folder and print its tables; exit codes as of `command.main`."""
    parser = command.parser("smoothbench.report", __doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="results folder, with records/ in it")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--publish", type=Path, metavar="DIR", help="also keep a copy without samples there")
    choice.add_argument(
        "--compare", nargs=2, metavar="NAME", help="only print two points' paired differences"
    )
    parser.add_argument("--vector", action="store_true", help="save drawings as SVG too")
    options = parser.parse_args(arguments)
    return command.main(lambda: _report(options), "the same command writes it whole")


def _report(options: argparse.Namespace) -> None:
    if options.compare:
        print(compare(options.folder, *options.compare))
        return
    paths: list[object] = [*write(options.folder, options.vector)]
    if options.publish:
        copied = publish(options.folder, options.publish)
        size = sum(path.stat().st_size for path in set(copied)) / 2**20
        paths.append(f"{options.publish} ({len(set(copied))} files, {size:.1f} MiB)")
    print(summary(options.folder), *paths, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
