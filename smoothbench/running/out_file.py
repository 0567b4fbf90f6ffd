"""The file that `out=...` names: looked at before anything is spent on what goes into it."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from smoothbench.config.spec import Settings
from smoothbench.errors import UsageError
from smoothbench.storage.files import write_atomic


def out_file(settings: Settings, suffixes: Sequence[str]) -> Path:
    """Return the file to write, whose folder is there from now on; UsageError where it cannot be one."""
    target = Path(settings.out or "").absolute()
    if target.suffix not in suffixes:
        names = " or out=FILE".join(suffixes)
        raise UsageError(f"stage={settings.stage} needs out=FILE{names}, not {target}")
    if target.is_dir():
        raise UsageError(f"out={target}: is a folder; give the name of a file in it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=target.parent).close()
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"out={target}: cannot be written (a file stands where its folder would)") from None
    except OSError as error:
        raise UsageError(f"out={target}: cannot be written ({error.strerror})") from None
    return target


def write_out(target: Path, data: bytes) -> None:
    """Write the file whole or not at all; UsageError where that fails."""
    try:
        write_atomic(target, data)
    except OSError as error:
        raise UsageError(f"out={target}: cannot be written ({error.strerror})") from None
