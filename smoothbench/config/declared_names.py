"""The names that the classes of conf/ declare: results are known by them, so that no other class may have one."""

import re
from functools import cache
from typing import Any

from hydra.utils import get_object

from smoothbench import sibling_packages
from smoothbench.errors import UsageError
from smoothbench.storage.code_fingerprint import fingerprint
from smoothbench.storage.identity import claim, name_of

CONF = sibling_packages.ROOT / "conf"
TARGET = re.compile(r"_target_:\s*([\w.]*\w)")  # also in a node on one line
# configurations name these by short names, in no YAML of their own
PREDICTORS = ("smoothbench.caching.predictor.Reuse", "smoothbench.caching.predictor.Taylor")


@cache
def targets(group: str) -> tuple[str, ...]:
    """List the import paths that the YAML files of conf/<group> name; for `predictor` those of our own classes."""
    if group == "predictor":
        return PREDICTORS
    texts = [file.read_text(encoding="utf-8") for file in sorted((CONF / group).rglob("*.yaml"))]
    return tuple(dict.fromkeys(path for text in texts for path in TARGET.findall(text)))


def classes_by_name(group: str) -> dict[str, str]:
    """Map the names that classes declare to their import paths, for all that the YAML files of conf/<group> name.

    A class that cannot be imported is left out: whoever needs it is told that its name is not there.
    """
    paths: dict[str, str] = {}
    for path in targets(group):
        try:
            name = name_of(get_object(path))
        except Exception:  # whatever a user's module raises when it is imported
            continue
        if name is not None:
            paths.setdefault(name, path)
    return paths


def claim_name(taken: dict[str, type], plugin: Any, group: str, where: str) -> None:
    """Enter a plug-in's name into those taken by its kind in this run; refuse one that a class of conf/ has.

    Raises UsageError where another class with other code has the name: its results would pass for this one's.
    """
    claim(taken, plugin, where)
    name, cls = name_of(plugin), type(plugin)
    if name is None or f"{cls.__module__}.{cls.__qualname__}" in targets(group):
        return
    path = classes_by_name(group).get(name)
    if path is None or get_object(path) is cls:  # conf/ may have it from where it is exported
        return
    if fingerprint(get_object(path)) != fingerprint(cls):
        place = f" of conf/{group}" if (CONF / group).is_dir() else ""
        raise UsageError(
            f"{where}: {cls.__module__}.{cls.__qualname__} has the name {name!r}, as {path}{place} has, "
            "whose results would pass for its own: give it another `name`"
        )
