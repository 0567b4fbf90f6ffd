"""What the command line says of a key or a choice that does not exist, in place of Hydra's advice and search path."""

import re
from difflib import get_close_matches
from typing import Final

import yaml

from smoothbench.sibling_packages import ROOT

NO_CHOICE: Final = re.compile(r"Could not (?:load|find) '([\w/]+)/([^/']+)'")
OFFERED: Final = re.compile(r"Available options in '[^']+':\s*(.*?)\s*(?:Config search path|$)", re.DOTALL)
REFUSED: Final = re.compile(r"Could not override '([^']+)'")
# first words of keys that a `+` does append
APPENDED: Final = frozenset({"reference", "metrics", "model", "points", "tune"})


def reworded(text: str) -> str:
    """Return an error's text; where Hydra refuses a key or a choice, the nearest one, and where all can be seen."""
    if missing := NO_CHOICE.search(text):
        return _no_choice(missing[1], missing[2], text) or text
    refused = REFUSED.search(text)
    if refused is None or (key := refused[1]).split(".")[0] in APPENDED:
        return text
    if key == "exp":
        return f"{key}: an experiment is added, with a plus: +{key}=NAME; python -m smoothbench --help names them"
    near = get_close_matches(key, _keys(), n=1) if "." not in key else []
    meant = f": did you mean {near[0]}?" if near else ":"
    return (
        f"{key}: no such key{meant} python -m smoothbench ... --cfg job prints all that this command line has"
    )


def _no_choice(group: str, name: str, text: str) -> str | None:
    """Say what a group has, by Hydra's list where it gives one; None of a group that is not ours."""
    offered = OFFERED.search(text)
    if offered is None and group.startswith("hydra"):  # ours are a part of Hydra's
        return None
    choices = (
        offered[1].split()
        if offered
        else sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))
    )
    near = get_close_matches(name, choices, n=1)
    meant = f", did you mean {near[0]}?" if near else ":"
    return f"{group}: there is no {name}{meant} there are {', '.join(choices)}" if choices else None


def _keys() -> list[str]:
    """The keys of the configuration's first level, and the groups that it composes."""
    config = yaml.safe_load((ROOT / "conf" / "config.yaml").read_text(encoding="utf-8"))
    groups = [name for entry in config["defaults"] if isinstance(entry, dict) for name in entry]
    return [*config, *(name for name in groups if " " not in name)]
