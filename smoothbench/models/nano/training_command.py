"""The command line that the programs of this folder share."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from smoothbench import command


def parser(
    module: str, description: str | None, out: str, work: str | None = None
) -> argparse.ArgumentParser:
    """Make the parser of a program with `--out`, whose help is `out`, and `--work`, the folder of its checkpoints.

    `work` is the default of `--work`; None: the program has no checkpoints.
    """
    options = command.parser(f"smoothbench.models.nano.{module}", description)
    options.add_argument("--out", type=Path, required=True, help=out)
    if work is not None:
        options.add_argument("--work", type=Path, default=Path(work), help="folder of checkpoints")
    return options


def main(
    parser: argparse.ArgumentParser,
    work: Callable[[argparse.Namespace], int | None],
    arguments: Sequence[str] | None,
) -> int:
    """Parse the arguments and do the work; exit codes as of `smoothbench.command.main`."""
    options = parser.parse_args(arguments)
    return command.main(lambda: work(options), "the same command goes on where it stopped")
