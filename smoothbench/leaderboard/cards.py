"""The card of each method: what it does, by its classes' own docstrings, and how it is chosen."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml
from hydra.utils import get_object

from smoothbench.caching.predictor import predictor_from
from smoothbench.config.declared_names import CONF, classes_by_name
from smoothbench.config.method_heads import MethodHead, method_head
from smoothbench.leaderboard.known_parts import known_class
from smoothbench.storage.identity import name_of
from smoothbench.storage.record import Record
from smoothbench.storage.record_parts import PartDescription

NOT_HERE = "No class of this installation has the name {}; the records hold its parameters."
REUSE = "reuse"  # the predictor that goes without saying


class Method(NamedTuple):
    """A method as readers know it: a policy and a predictor, by the names that their classes declare."""

    policy: str
    predictor: str


@dataclass(frozen=True)
class Card:
    """A method with what its classes say of it.

    `text` are the paragraphs of the docstrings; `heads` the first lines of conf/cache that choose it, by option.
    """

    method: Method
    title: str
    text: tuple[str, ...]
    heads: Mapping[str, MethodHead]
    parameters: str


def method_of(record: Record) -> Method:
    """Return the method of a record; a class that declares no name goes by its own."""
    described = record.described
    if described is None:
        return Method("unknown", REUSE)
    return Method(_called(described.policy), _called(described.predictor))


def cards(records: Iterable[Record]) -> list[Card]:
    """Return the cards of all methods of some records, by title."""
    methods = dict.fromkeys(method_of(record) for record in records)
    options = _options()
    return sorted((_card(method, options) for method in methods), key=lambda card: card.title.lower())


def _called(part: PartDescription) -> str:
    return part.name or part.class_ or "unknown"


def _card(method: Method, options: Mapping[str, tuple[Method, MethodHead]]) -> Card:
    heads = {option: head for option, (of, head) in options.items() if of == method}
    policy, predictor = known_class("cache", method.policy), _predictor_class(method.predictor)
    text = _paragraphs(policy) or (NOT_HERE.format(method.policy),)
    if method.predictor != REUSE:
        paragraphs = _paragraphs(predictor) or (NOT_HERE.format(method.predictor),)
        text += (f"Predictor: {paragraphs[0]}",)
    return Card(method, _title(method, heads, options), text, heads, _parameters(policy))


def _title(
    method: Method, heads: Mapping[str, MethodHead], options: Mapping[str, tuple[Method, MethodHead]]
) -> str:
    """The method's name in words; of a pair that conf/cache does not have the policy's, and the predictor."""
    if heads:
        return heads[method.policy].name if method.policy in heads else next(iter(heads.values())).name
    policy = options[method.policy][1].name if method.policy in options else method.policy
    return f"{policy} with predictor {method.predictor}" if method.predictor != REUSE else policy


def _options() -> dict[str, tuple[Method, MethodHead]]:
    """The methods that the files of conf/cache choose, by option."""
    options = {}
    for file in sorted((CONF / "cache").glob("*.yaml")):
        node: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        policy, predictor = (
            _name_at(node["policy"]["_target_"]),
            _predictor_name(node.get("predictor", REUSE)),
        )
        options[file.stem] = Method(policy, predictor), method_head(file)
    return options


def _predictor_name(node: Any) -> str:
    """The declared name of a predictor, from its node or from its short name, as taylor3."""
    if isinstance(node, Mapping):
        return _name_at(node["_target_"])
    try:
        cls = type(predictor_from(node))
    except ValueError:  # one that a file brings
        return str(node)
    return name_of(cls) or cls.__qualname__


def _name_at(path: str) -> str:
    cls = get_object(path)
    return name_of(cls) or str(cls.__qualname__)


def _predictor_class(name: str) -> Any:
    """The class of a predictor; conf/cache names those that come with a method."""
    path = classes_by_name("predictor").get(name)
    return get_object(path) if path else known_class("cache", name)


def _paragraphs(cls: Any) -> tuple[str, ...]:
    """The paragraphs of a class's docstring, without the errors that it raises; none without a class."""
    paragraphs = inspect.cleandoc((cls and cls.__doc__) or "").split("\n\n")
    texts = (" ".join(paragraph.split()).partition(" Raises ")[0] for paragraph in paragraphs)
    return tuple(text for text in texts if text and not text.startswith("Raises "))


def _parameters(cls: Any) -> str:
    """The parameters of a class with their defaults, as Python writes them."""
    try:
        parameters = inspect.signature(cls).parameters.values() if cls else ()
    except (TypeError, ValueError):
        return ""
    return ", ".join(
        f"{one.name}={one.default!r}" if one.default is not one.empty else one.name for one in parameters
    )
