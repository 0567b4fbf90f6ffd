"""Files that methods read: the user's, or those that come with the project."""

import os


def found(path: str, folder: str) -> str:
    """The file itself, or the one of that name in a folder beside this module; the path where there is none."""
    own = os.path.join(os.path.dirname(__file__), folder, path)
    return own if not os.path.isfile(path) and os.path.isfile(own) else path
