"""The first lines of the YAML files in conf/cache: what each method is called, its paper, and what it does."""

import re
from pathlib import Path
from typing import NamedTuple

LINE = re.compile(r"# (?P<name>[^:]+?)(?: \(arXiv (?P<arxiv>[\d.]+)\))?: (?P<what>.+)")


class MethodHead(NamedTuple):
    """The name of a method, the number of its paper on arXiv (None without one), and what it does."""

    name: str
    arxiv: str | None
    what: str


def method_head(path: Path) -> MethodHead:
    """Read the first line of a YAML in conf/cache; ValueError where it is not `# NAME (arXiv ID): WHAT`."""
    head = LINE.fullmatch(path.read_text(encoding="utf-8").split("\n", 1)[0])
    if head is None:
        raise ValueError(
            f"{path.name} must begin with a line `# NAME (arXiv ID): what it does`, arXiv where it has one"
        )
    return MethodHead(head["name"], head["arxiv"], head["what"])
