"""matplotlib, whatever backend the environment names: a notebook's kernel names its own, which need not be here.

Pictures of a report are drawn on canvases of their own, so that no backend is asked.
"""

import os
import sys


def _import_matplotlib() -> None:
    """Import it; a name in MPLBACKEND that it knows is kept, for those who draw with pyplot."""
    if "matplotlib" in sys.modules:
        return
    named = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if named is not None:
            os.environ["MPLBACKEND"] = named
    if named:
        try:
            matplotlib.rcParams["backend"] = named
        except ValueError:
            matplotlib.rcParams["backend"] = "agg"


_import_matplotlib()
