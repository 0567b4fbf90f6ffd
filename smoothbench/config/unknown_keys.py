"""What the command line says of an override whose key does not exist, in place of Hydra's advice to append it."""

import re
from difflib import get_close_matches
from typing import Final

import yaml

from smoothbench.sibling_packages import ROOT

REFUSED: Final = re.compile(r"Could not override '([^']+)'")
# first words of keys that a `+` does append
APPENDED: Final = frozenset({"reference", "metrics", "model", "points", "tune"})


def reworded(text: str) -> str:
    """Return an error's text; where Hydra refuses a key, name the nearest one, and where all keys can be seen."""
    refused = REFUSED.search(text)
    if refused is None or (key := refused[1]).split(".")[0] in APPENDED:
        return text
    near = get_close_matches(key, _keys(), n=1) if "." not in key else []
    meant = f": did you mean {near[0]}?" if near else ":"
    return (
        f"{key}: no such key{meant} python -m smoothbench ... --cfg job prints all that this command line has"
    )


def _keys() -> list[str]:
    """The keys of the configuration's first level, and the groups that it composes."""
    config = yaml.safe_load((ROOT / "conf" / "config.yaml").read_text(encoding="utf-8"))
    groups = [name for entry in config["defaults"] if isinstance(entry, dict) for name in entry]
    return [*config, *(name for name in groups if " " not in name)]
