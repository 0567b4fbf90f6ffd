"""The classes that the points of one experiment use: which of them has a name, and the code of each."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from smoothbench.config.declared_names import claim_name
from smoothbench.protocols import Config
from smoothbench.storage.code_fingerprint import code_of


class UsedClasses:
    """Remembers, over the points of one experiment, who claimed a name and the fingerprint of each class's code."""

    def __init__(self) -> None:
        self._names: defaultdict[str, dict[str, type]] = defaultdict(dict)
        self._code: dict[type, Config] = {}

    def claim(self, plugins: Mapping[str, Any], where: str) -> None:
        """Enter the names of plug-ins, by kind; UsageError where another class with other code has a name."""
        for group, plugin in plugins.items():
            claim_name(self._names[group], plugin, group, where)

    def code(self, parts: Mapping[str, Any]) -> Config:
        """Return version and fingerprint of each part's class, as a record holds them.

        A class is read once: many points of an experiment use the same ones.
        """
        for part in parts.values():
            if type(part) not in self._code:
                self._code[type(part)] = code_of(part)
        return {name: self._code[type(part)] for name, part in parts.items()}
