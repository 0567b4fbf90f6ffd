"""Weights in torch.hub's cache, which libraries download when they are built: here they must be there already."""

import hashlib
import re
import zipfile
from pathlib import Path

import torch

NAMED_HASH = re.compile(r"-([0-9a-f]{8})\.pth$")  # torchvision names files by the start of their sha256


def require_tensors(name: str, url: str, what: str) -> Path:
    """Find a file of weights in torch.hub's cache, and check that it holds tensors alone.

    Raises ValueError, with the command that gets it, where it is absent, and for one that is damaged, of another sha256
    than its name says, or that would run code when it is read.
    """
    path = require_file(name, url, what)
    named = NAMED_HASH.search(name)
    if named and not hashlib.sha256(path.read_bytes()).hexdigest().startswith(named[1]):
        raise ValueError(f"weights {path}: damaged or half downloaded: {_command(path, url)}")
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # damaged bytes make torch raise exceptions of many kinds
        raise ValueError(
            f"weights {path}: damaged, or more than tensors, and nothing else is unpickled: {_command(path, url)}"
        ) from None
    return path


def require_script(name: str, url: str, what: str) -> Path:
    """Find a TorchScript file in torch.hub's cache; ValueError, with the command that gets it, for none or another."""
    path = require_file(name, url, what)
    try:
        with zipfile.ZipFile(path) as archive:
            is_script = any(entry.endswith("/constants.pkl") for entry in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        is_script = False
    if not is_script:
        raise ValueError(
            f"weights {path}: damaged, or no TorchScript, and nothing else is read: {_command(path, url)}"
        )
    return path


def require_file(name: str, url: str, what: str) -> Path:
    """Find a file in torch.hub's cache; ValueError, with the command that gets it, where it is absent."""
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    if not path.is_file():
        raise ValueError(f"weights of {what} are not here: {_command(path, url)}")
    return path


def _command(path: Path, url: str) -> str:
    return f"curl -L --create-dirs -o {path} {url}"
