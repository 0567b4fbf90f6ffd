"""Folders of records that somebody hands in for the leaderboard."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from smoothbench.errors import UsageError
from smoothbench.json_checks import explain
from smoothbench.results import Results, load
from smoothbench.storage.files import load_json
from smoothbench.storage.record import Record
from smoothbench.storage.record_files import record_file, record_files, record_stem

TABLES = ("*/table.csv*", "*/*/table.csv*")
OWN_RUNS = "runs"  # beside published folders: runs that nobody has handed in


@dataclass(frozen=True, eq=False)
class Submission:
    """The records of one results folder by their files, and the tables that they make.

    `name` is the folder's place below the one that was named on the command line.
    """

    name: str
    folder: Path
    records: Mapping[Path, Record]
    results: Results

    @property
    def frame(self) -> pd.DataFrame:
        """One row for each point that is shown; see `smoothbench.results`."""
        return self.results.frame

    @property
    def references(self) -> dict[str, Record]:
        """The uncached records by the id of their samples."""
        return {record.sample_id: record for record in self.records.values() if record.reference}

    def record_of(self, row: pd.Series) -> Record:
        """Return the record of a row of the frame."""
        return self.records[record_file(self.folder, row["record"])]


def read_submissions(folders: Iterable[Path]) -> list[Submission]:
    """Read all results folders that are named, or lie in a folder that is named, in the order of their names.

    Raises UsageError for a folder without any, and for a file that is no record of this version, naming both.
    """
    places: dict[Path, str] = {}
    for folder in folders:
        for place in _places(folder):
            places.setdefault(place.resolve(), _name(place, folder))
    return [_read(place, name) for place, name in places.items()]


def tables_without_records(folders: Iterable[Path]) -> list[Path]:
    """Return the folders in those that are named that hold a table and no records: nothing of them can be checked."""
    return [
        place for folder in folders for place in _below(folder, TABLES) if not (place / "records").is_dir()
    ]


def _below(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """The folders of files one or two levels below a folder, but for those of its own runs."""
    inner = {path.parent for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path for path in inner if OWN_RUNS not in path.relative_to(folder).parts)


def _places(folder: Path) -> list[Path]:
    """The results folders at a path: itself, or those one or two levels below it."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; results of yours lie in results/runs/NAME")
    if (folder / "records").is_dir():
        return [folder]
    below = _below(folder, ("*/records", "*/*/records"))
    if not below:
        raise UsageError(
            f"{folder}: no records in it: name a results folder, as results/runs/NAME, or a folder of such folders"
        )
    return below


def _name(place: Path, folder: Path) -> str:
    inner = place.relative_to(folder).as_posix()
    return folder.resolve().name if inner == "." else inner


def _read(folder: Path, name: str) -> Submission:
    records = {path: _record(path) for path in record_files(folder)}
    if not records:
        raise UsageError(f"{folder}: its records/ is empty: hand in the records of a run")
    return Submission(name, folder, records, load(folder))


def _record(path: Path) -> Record:
    try:
        record = Record.from_json(load_json(path))
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise UsageError(f"{path}: {explain(error)}: hand in the record as the run wrote it") from error
    if not record_stem(path).endswith(f"-{record.point_id}"):
        raise UsageError(
            f"{path}: point_id is {record.point_id}, but its file is called after another: hand in the record as the"
            " run wrote it"
        )
    return record
