"""Import the packages `metrics` and `baselines` that lie beside this one, not others of these names.

`python -m` searches the current folder first, which may hold packages of the same names. So commands import this
module before anything that imports `metrics` or `baselines`.
"""

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIBLINGS = ("baselines", "metrics")


def _import_siblings() -> None:
    """Import the packages from beside this one; ImportError where another one of the name was imported before."""
    for name in SIBLINGS:
        if name not in sys.modules:
            spec = PathFinder.find_spec(name, [str(ROOT)])
            if spec is None or spec.loader is None:
                raise ImportError(f"{ROOT / name} is missing: install SmoothBench from a clone")
            sys.modules[name] = module = module_from_spec(spec)
            spec.loader.exec_module(module)
        places = [Path(place) for place in getattr(sys.modules[name], "__path__", ())]
        if not any(place.resolve() == ROOT / name for place in places):
            origin = places[0] if places else getattr(sys.modules[name], "__file__", "elsewhere")
            raise ImportError(
                f"another package {name} is imported already, from {origin}: SmoothBench needs its own"
            )


_import_siblings()
