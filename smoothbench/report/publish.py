"""The copy of a results folder that is kept in git: everything but the samples, and pooled points only.

Records and error curves are packed there: plain, they would take more room than all that a reader looks at.
"""

from pathlib import Path

import pandas as pd

from smoothbench.report.data.frame import load
from smoothbench.report.page.media_kinds import KINDS
from smoothbench.report.studies.named_sections import named_sections
from smoothbench.report.tables import latency_conditions
from smoothbench.report.write import write
from smoothbench.storage.files import load_json, read_arrays, write_arrays, write_atomic
from smoothbench.storage.record_files import PACKED, packed, record_files, record_stem

FOLDERS = ("records", "scores", "previews", "schedules", "curves", "latency", "vbench")
FILES = ("latency.json", "cost.csv")


def publish(folder: str | Path, target: str | Path) -> list[Path]:
    """Make `target` a copy of a results folder without its samples, with its own report; return its files.

    Of points that are merged of parts, the parts stay behind, and so does what no shown point uses. What an
    earlier publication left in the copied folders is removed, so that both report the same points; other
    files of the target stay. ValueError if the target lies in the source (or the other way round) or holds
    another experiment, and where a record of the source cannot be read: nothing is lost by publishing.
    """
    folder, target = Path(folder).resolve(), Path(target).resolve()
    if folder == target or folder in target.parents or target in folder.parents:
        raise ValueError(f"cannot publish {folder} to {target}: one lies in the other, choose another target")
    if target.exists() and not target.is_dir():
        raise ValueError(f"cannot publish to {target}: it is a file, choose a folder")
    frame = load(folder)
    unread = {"records": frame.attrs["ignored"], "latencies": latency_conditions.read(folder).ignored}
    for what, ignored in unread.items():
        if ignored:
            raise ValueError(
                f"cannot publish {folder}: {len(ignored)} of its {what} cannot be read ({ignored[0]}); "
                "run the experiment again, or remove them"
            )
    if _experiments(target) - set(frame["experiment"]):
        raise ValueError(f"{target} holds another experiment than {folder}: choose another target")
    summarised = named_sections(frame).summarise
    files = _publishable(folder)
    wanted = {path for path in files - _unshown(files) if _is_used(path, frame, summarised)}
    places = {path: _place(path) for path in sorted(wanted)}
    for old in _publishable(target) - set(places.values()):
        (target / old).unlink()
    return [_copy(folder / path, target / place) for path, place in places.items()] + write(target)


def _publishable(folder: Path) -> set[Path]:
    """The files that may be published, relative to the folder; hidden ones are unfinished writes."""
    paths = [path for name in FOLDERS for path in (folder / name).rglob("*")]
    paths += [folder / name for name in FILES]
    return {path.relative_to(folder) for path in paths if path.is_file() and not path.name.startswith(".")}


def _unshown(files: set[Path]) -> set[Path]:
    """The clips that no report draws or plays: a hundred times as large as an embedded model's images."""
    published = {kind.suffix: kind.published for kind in KINDS}
    clips: dict[tuple[Path, str], list[Path]] = {}
    for path in sorted(path for path in files if path.suffix in published):
        clips.setdefault((path.parent, path.suffix), []).append(path)
    return {path for (_, suffix), paths in clips.items() for path in paths[published[suffix] :]}


def _is_used(path: Path, frame: pd.DataFrame, summarised: bool) -> bool:
    """Whether a point of the frame needs this file of a results folder.

    Where a section of the report stands for all points, curves, per-sample scores and previews stay behind.
    """
    kind = path.parts[0]
    if summarised and kind in ("curves", "scores", "previews"):
        return False
    if kind == "scores":
        return path.stem in set(frame["record"])
    if kind in ("records", "vbench"):
        return record_stem(path) in set(frame["record"])
    if kind == "schedules":
        return path.stem in set(frame["point_id"])
    if kind == "previews":
        return path.parts[1] in set(frame["sample_id"])
    if kind == "latency":
        return path.match("latency/*.json")
    if kind == "curves":
        return path.as_posix() in {each.file for each in frame["calibration"] if each}
    return True


def _experiments(target: Path) -> set[str]:
    """The experiments of a published folder, also of records that this version cannot show."""
    names = set()
    for path in record_files(target):
        try:
            names.add(str(load_json(path)["experiment"]))
        except (ValueError, KeyError, TypeError):  # damaged: it says nothing, and is replaced
            continue
    return names


def _place(path: Path) -> Path:
    """Where a file of a results folder goes in a published copy."""
    return path.with_name(f"{record_stem(path)}.json{PACKED}") if path.parts[0] == "records" else path


def _copy(source: Path, target: Path) -> Path:
    """Write one file of a published copy: records gzipped, curves compressed, all others as they are."""
    arrays = read_arrays(source) if source.parent.name == "curves" and source.suffix == ".npz" else None
    if arrays is not None:
        write_arrays(target, arrays)
    else:
        write_atomic(target, packed(source) if source.parent.name == "records" else source.read_bytes())
    return target
