"""`metrics` and `baselines` are the packages beside this one, whatever the current folder has of these names.

`python -m` looks into the current folder first. Commands import this module before anything that imports these.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEIGHBOURS = ("baselines", "metrics")


def _import_neighbours() -> None:
    """Import each from beside this package; ImportError where another of its name was imported before."""
    for name in NEIGHBOURS:
        if name not in sys.modules:
            spec = PathFinder.find_spec(name, [str(ROOT)])
            if spec is None or spec.loader is None:
                raise ImportError(f"{ROOT / name} is missing: install SmoothBench from a clone")
            sys.modules[name] = module = module_from_spec(spec)
            spec.loader.exec_module(module)
        places = [Path(place) for place in getattr(sys.modules[name], "__path__", ())]
        if not any(place.resolve() == ROOT / name for place in places):
            found = places[0] if places else getattr(sys.modules[name], "__file__", "elsewhere")
            raise ImportError(
                f"another package {name} is imported already, from {found}: SmoothBench needs its own"
            )


_import_neighbours()
