"""Import modules of ours on as little of POSIX as Windows has: python -m tests.support.hidden_modules NAME...

What libraries take from POSIX they have taken before it is hidden.
"""

import importlib
import os
import signal
import sys
from typing import Any

MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline")
OF_OS = (
    "fork",
    "forkpty",
    "sched_getaffinity",
    "getuid",
    "geteuid",
    "getgid",
    "killpg",
    "setsid",
    "uname",
    "statvfs",
)
OF_SIGNAL = ("SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "alarm", "setitimer")
LIBRARIES = (
    "torch", "pandas", "matplotlib.pyplot", "hydra", "scipy.stats", "PIL.Image", "soundfile", "diffusers",
    "torchmetrics", "tqdm", "subprocess", "tempfile", "asyncio", "concurrent.futures.process",
)  # fmt: skip


class Hidden:
    """Finds no module that Windows does not have."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def hide() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Hidden())  # type: ignore[arg-type]
    for owner, names in ((os, OF_OS), (signal, OF_SIGNAL)):
        for name in names:
            if hasattr(owner, name):
                delattr(owner, name)


if __name__ == "__main__":
    hide()
    modules = sys.argv[1:] if "--" not in sys.argv else sys.argv[1 : sys.argv.index("--")]
    imported = [importlib.import_module(module) for module in modules]
    if "--" in sys.argv:
        sys.exit(imported[-1].main(sys.argv[sys.argv.index("--") + 1 :]))
