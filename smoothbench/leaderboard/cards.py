"""The card of each method: what it does, by its class's own docstring, and how it is chosen."""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass

from smoothbench.config.declared_names import CONF, TARGET, classes_by_name
from smoothbench.config.method_heads import MethodHead, method_head
from smoothbench.leaderboard.known_parts import known_class
from smoothbench.storage.record import Record

NOT_HERE = "No class of this installation has this name; its records hold its parameters."


@dataclass(frozen=True)
class Card:
    """A method by the name that its class declares.

    `text` are the paragraphs of the docstring; `heads` the lines of conf/cache that choose it, by option.
    """

    name: str
    text: tuple[str, ...]
    heads: dict[str, MethodHead]
    parameters: str

    @property
    def title(self) -> str:
        """The method's name in words: that of its first option, else the one that its class declares."""
        return next((head.name for head in self.heads.values()), self.name)


def policy_name(record: Record) -> str:
    """Return the name that the method of a record declares; of a class without one its own name."""
    policy = record.described.policy if record.described else None
    return (policy and (policy.name or policy.class_)) or "unknown"


def cards(records: Iterable[Record]) -> list[Card]:
    """Return the cards of all methods of some records, by title."""
    names = dict.fromkeys(policy_name(record) for record in records)
    return sorted((_card(name) for name in names), key=lambda card: card.title.lower())


def _card(name: str) -> Card:
    cls = known_class("cache", name)
    if cls is None:
        return Card(name, (NOT_HERE,), {}, "")
    paragraphs = inspect.cleandoc(cls.__doc__ or "").split("\n\n")
    text = tuple(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip())
    return Card(name, text, _heads(classes_by_name("cache")[name]), _parameters(cls))


def _heads(path: str) -> dict[str, MethodHead]:
    """The options of conf/cache whose policy is a class, by name: those that other options name too come last."""
    options = {}
    for file in sorted((CONF / "cache").glob("*.yaml")):
        targets = TARGET.findall(file.read_text(encoding="utf-8"))
        if targets and targets[0] == path:
            options[file.stem] = method_head(file)
    return options


def _parameters(cls: type) -> str:
    """The parameters of a class with their defaults, as Python writes them."""
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return ""
    return ", ".join(
        f"{one.name}={one.default!r}" if one.default is not one.empty else one.name for one in parameters
    )
