"""Train an embedded model again: all of its networks in order, each by its own command."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from smoothbench import command

Step = Sequence[str]  # a module of the package, and its arguments


def retrain(package: str, description: str | None, steps: Callable[[str, str], Sequence[Step]]) -> None:
    """Run the commands of `steps(work, out)`, which write weights to `out`, and data and checkpoints to `work`.

    Every command goes on where it was stopped, and so does the whole training. The first command that fails ends it,
    with its exit status.
    """
    home, name = Path(__file__).parent / package.rpartition(".")[2], package.rpartition(".")[2]
    parser = command.parser(package, description)
    parser.add_argument("--work", type=Path, default=Path("results/runs") / name, help="data, checkpoints")
    parser.add_argument("--out", type=Path, default=home, help="weights; default: those that come with us")
    args = parser.parse_args()
    commands = [[f"{package}.{module}", *rest] for module, *rest in steps(str(args.work), str(args.out))]
    sys.exit(command.main(lambda: _all_done(commands), "the same command goes on where it stopped"))


def _all_done(commands: Sequence[Sequence[str]]) -> int:
    """Run commands until one fails; its exit code, or 0."""
    for arguments in commands:
        print("python -m", *arguments, flush=True)
        done = subprocess.run([sys.executable, "-m", *arguments])
        if done.returncode:
            return done.returncode
    return 0
