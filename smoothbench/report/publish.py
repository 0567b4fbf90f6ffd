"""The copy of a results folder that is kept in git: everything but the samples."""

import shutil
from pathlib import Path

from smoothbench.report.files import replace
from smoothbench.report.frame import load
from smoothbench.report.write import write

FOLDERS = ("records", "scores", "previews", "schedules", "curves")
FILES = ("latency.json", "cost.csv")


def publish(folder: str | Path, target: str | Path) -> list[Path]:
    """Make `target` a copy of a results folder without its samples, with its own report; return its files.

    What an earlier publication left in the copied folders and the source no longer has is removed, so that
    both report the same points; other files of the target stay. ValueError if the target lies in the source
    (or the other way round) or holds another experiment.
    """
    folder, target = Path(folder).resolve(), Path(target).resolve()
    if folder == target or folder in target.parents or target in folder.parents:
        raise ValueError(f"cannot publish {folder} to {target}: one lies in the other, choose another target")
    experiments = set(load(folder)["experiment"])
    if any(target.glob("records/*.json")) and set(load(target)["experiment"]) != experiments:
        raise ValueError(f"{target} holds another experiment than {folder}: choose another target")
    wanted = _published(folder)
    for old in _published(target) - wanted:
        (target / old).unlink()
    copied = [_copy(folder / each, target / each) for each in sorted(wanted)]
    return copied + write(target)


def _published(folder: Path) -> set[Path]:
    """The files to publish, relative to the folder; hidden ones are unfinished writes."""
    found = [path for name in FOLDERS for path in (folder / name).rglob("*")]
    found += [folder / name for name in FILES]
    return {path.relative_to(folder) for path in found if path.is_file() and not path.name.startswith(".")}


def _copy(source: Path, target: Path) -> Path:
    with source.open("rb") as content:
        return replace(target, lambda file: shutil.copyfileobj(content, file))
