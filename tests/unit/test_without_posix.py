"""What runs where the system is not POSIX, as on Windows: the library, the report, the leaderboard, the trackers."""

import subprocess
import sys
from pathlib import Path

from tests.support.published_part import part_of

MODULES = (
    "smoothbench.caching",
    "smoothbench.results",
    "smoothbench.track.__main__",
    "smoothbench.leaderboard.__main__",
)
ROOT = Path(__file__).parents[2]


def test_reports_and_leaderboards_need_no_module_of_posix(tmp_path: Path) -> None:
    """In a process of their own, because nothing brings a hidden module back."""
    folder = part_of(tmp_path / "dit ddim", "dit_ddim", "fewer-steps=18")
    arguments = ["--", str(folder), "--out", str(tmp_path / "site")]
    command = [
        sys.executable,
        "-m",
        "tests.support.hidden_modules",
        "smoothbench.report.__main__",
        *MODULES,
        *arguments,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site/index.html").is_file()
