"""The command that makes a row again: from its record, the script of published results, or its experiment's file."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from smoothbench.config.declared_names import CONF
from smoothbench.leaderboard.submission import Submission
from smoothbench.storage.record import Record

SCRIPT = "commands.sh"  # beside published folders: a line `    NAME) run ARGUMENTS ;;` for each of them
LINE = re.compile(r"\s*(?P<name>[\w/]+)\) run (?P<arguments>.+?) ;;")
SWEPT = re.compile(r"-[A-Za-z_]\w*=")  # begins what a sweep adds to a point's name
UNKNOWN = "not recorded: its configuration is in the record"


def row_commands(record: Record, submission: Submission) -> list[str]:
    """Return the commands that make a record: one, or one for each of the seed ranges that were pooled.

    An experiment is cut down to the row's own point and the others of its sweep; none where nothing tells a command.
    """
    recorded = list(dict.fromkeys(_recorded(record.provenance)))
    commands = recorded or [command for command in [_published(submission), _of_conf(record)] if command][:1]
    return [_with_point(command, record) for command in commands]


def script_commands(script: Path) -> dict[str, str]:
    """Return the commands of a script of published results by folder; none where there is no script."""
    if not script.is_file():
        return {}
    lines = (LINE.match(line) for line in script.read_text(encoding="utf-8").splitlines())
    return {line["name"]: f"python -m smoothbench {line['arguments']}" for line in lines if line}


def _recorded(provenance: Mapping[str, object]) -> Iterator[str]:
    parts = provenance.get("parts")
    for one in parts if isinstance(parts, list) else [provenance]:
        command = one.get("command") if isinstance(one, Mapping) else None
        if isinstance(command, str):
            yield command


def _published(submission: Submission) -> str | None:
    """The command of the script that lies beside a folder, or above it."""
    folder = submission.folder
    for above in list(folder.parents)[:2]:
        known = script_commands(above / SCRIPT)
        if command := known.get(folder.relative_to(above).as_posix()):
            return command
    return None


def _of_conf(record: Record) -> str | None:
    if (
        not re.fullmatch(r"[\w/]+", record.experiment)
        or not (CONF / f"exp/{record.experiment}.yaml").is_file()
    ):
        return None
    blocks = ",".join(str(first // 10**6) for first, _ in record.seeds)
    sweep, per_block = "-m " if len(record.seeds) > 1 else "", record.seeds[0][1] - record.seeds[0][0]
    return f"python -m smoothbench {sweep}+exp={record.experiment} seed={blocks} num_samples={per_block}"


def _with_point(command: str, record: Record) -> str:
    """A command with the row's point alone; as it is where it makes one point, or the reference that all need."""
    has_points = any(argument.startswith("+exp=") for argument in shlex.split(command))
    if record.reference or not has_points or " only=" in command:
        return command
    return f"{command} {shlex.quote(f'only=[{SWEPT.split(record.name, maxsplit=1)[0]}]')}"
