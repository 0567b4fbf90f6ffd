"""Files that methods read: the user's, or those that come with the project."""

import hashlib
import os


def found(path: str, folder: str) -> str:
    """The file itself, or the one of that name in a folder beside this module; the path where there is none."""
    own = os.path.join(os.path.dirname(__file__), folder, path)
    return own if not os.path.isfile(path) and os.path.isfile(own) else path


def sha256(path: str) -> str:
    """Hex sha256 of a file; empty where it is gone."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
