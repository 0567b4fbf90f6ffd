"""Find files that methods read: the user's, or those that come with the project."""

import hashlib
import os


def find(path: str, folder: str) -> str:
    """Return the path; where there is no such file, that of a file of this name in a folder beside this module."""
    shipped = os.path.join(os.path.dirname(__file__), folder, path)
    return shipped if not os.path.isfile(path) and os.path.isfile(shipped) else path


def sha256(path: str) -> str:
    """Return the hex sha256 of a file; empty if it is gone."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
