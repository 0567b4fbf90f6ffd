"""Write the pages of a leaderboard into a folder of its own."""

from collections.abc import Mapping
from pathlib import Path

from smoothbench.errors import UsageError
from smoothbench.storage.files import read_json, write_json, write_text

MARK = "leaderboard.json"  # lists the pages of a site, so that another run may replace them


def check_place(out: Path) -> None:
    """Raise UsageError where a folder is something else than a leaderboard, or nothing can be written there."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: it is a file: choose a folder")
    if out.is_dir() and any(out.iterdir()) and not _is_site(out):
        raise UsageError(f"--out {out}: it is not empty and holds no leaderboard: choose another folder")


def write_site(pages: Mapping[str, str], out: Path) -> list[Path]:
    """Write pages by file name, and remove those that an earlier leaderboard had there; return the files.

    Raises UsageError as `check_place` does; then nothing has been written.
    """
    check_place(out)
    earlier = _listed(out)
    out.mkdir(parents=True, exist_ok=True)
    # both lists first: a run that is killed leaves nothing that the next one does not know as its own
    write_json(out / MARK, {"pages": sorted({*earlier, *pages})})
    paths = [write_text(out / name, text) for name, text in pages.items()]
    for name in earlier:
        if name not in pages:
            (out / name).unlink(missing_ok=True)
    write_json(out / MARK, {"pages": sorted(pages)})
    return paths


def _is_site(out: Path) -> bool:
    content = read_json(out / MARK)
    return isinstance(content, dict) and isinstance(content.get("pages"), list)


def _listed(out: Path) -> list[str]:
    """The pages that an earlier leaderboard wrote: plain names of HTML files, whatever else the mark says."""
    content = read_json(out / MARK) if _is_site(out) else {}
    names = content["pages"] if content else []
    return [
        name for name in names if isinstance(name, str) and name.endswith(".html") and Path(name).name == name
    ]
