"""Frozen dataclasses that are read from JSON and written to it, checked by the types of their fields.

Field types may be int, float, bool, str, object (any JSON), Literal, tuple, Mapping, another `Stored` class, and
unions of these; `Annotated[type, rule]` adds a rule of `smoothbench.storage.json_rules`. A field with a default may be
absent from a file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from smoothbench.json_checks import number, require

NOT_KEYS = ("others", "absent")  # fields of `Stored` itself, which are no keys of a file


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A typed JSON object.

    `others` are keys that this version does not know; they are written back. `absent` names the optional fields that
    the file did not have, so that they are not written to it either. It is None for an object that was made in code:
    then the fields in `unwritten` are left out while they are None.
    """

    unwritten: ClassVar[tuple[str, ...]] = ()
    others: Mapping[str, object] = field(default_factory=dict, repr=False)
    absent: frozenset[str] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: object, where: str = "") -> Self:
        """Check and convert the data that json.loads gives; `where` is the prefix of names in messages.

        Raises ValueError for a wrong value and KeyError for an absent one, naming the field.
        """
        content = require(data, where or "content", dict)
        values = {}
        for member in members(cls):
            where_in = _join(where, member.key)
            if member.key in content:
                values[member.name] = read(member.hint, content[member.key], where_in)
            elif not member.optional:
                raise KeyError(where_in)
        names = {member.key: member.name for member in members(cls)}
        others = {key: value for key, value in content.items() if key not in names}
        absent = frozenset(names.values()) - values.keys()
        made = cls(**values, others=others, absent=absent)
        made.check(where)
        return made

    def check(self, where: str) -> None:
        """Raise ValueError where fields contradict each other."""

    def to_json(self) -> dict[str, Any]:
        """Convert to data for json.dumps, with sorted keys: a file that is read and written has the same bytes."""
        left_out = self.unwritten if self.absent is None else self.absent
        values = [(member, getattr(self, member.name)) for member in members(type(self))]
        content = {
            member.key: _plain(value)
            for member, value in values
            if value not in (None, {}) or member.name not in left_out
        }
        content |= {key: _plain(value) for key, value in self.others.items()}
        return dict(sorted(content.items()))


class Member(NamedTuple):
    """A field of a `Stored` class: its name, its key in JSON, its type with rules, and whether it is optional."""

    name: str
    key: str
    hint: Any
    optional: bool


def members(cls: Any) -> tuple[Member, ...]:
    """List the fields of a `Stored` class that are keys of its JSON."""
    return _members(cls)


@cache
def _members(cls: type[Any]) -> tuple[Member, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        Member(
            each.name,
            # the key differs where it is a word of Python, as `class`
            str(each.metadata.get("key", each.name)),
            hints[each.name],
            each.default is not MISSING or each.default_factory is not MISSING,
        )
        for each in fields(cls)
        if each.name not in NOT_KEYS
    )


def read(hint: Any, value: object, where: str) -> Any:
    """Check and convert a value from JSON to a type; ValueError or KeyError, naming `where`, for anything else."""
    if get_origin(hint) is Annotated:
        hint, *rules = get_args(hint)
        converted = read(hint, value, where)
        for rule in rules:
            rule.check(converted, where)
        return converted
    if get_origin(hint) in (Union, UnionType):
        return read(_option(get_args(hint), value), value, where)
    require(value, where, *json_types(hint))
    if isinstance(hint, type) and issubclass(hint, Stored):
        return hint.from_json(value, where)
    if get_origin(hint) is Literal:
        return _choice(get_args(hint), value, where)
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint), value, where)
    if get_origin(hint) is Mapping:
        return _mapping(get_args(hint), value, where)
    if hint in (int, float):
        number(value, where)
    return value


def json_types(hint: Any) -> tuple[type, ...]:
    """Return the types that json.loads may give for a field of this type; messages name the first one."""
    if get_origin(hint) is Annotated:
        return json_types(get_args(hint)[0])
    if hint is float:
        return (float, int)
    kind = get_origin(hint) or hint
    if kind is tuple:
        return (list,)
    if kind is Literal:
        return (str,)
    if kind is Mapping or issubclass(kind, Stored):
        return (dict,)
    return (kind, bool) if kind is object else (kind,)


def _option(options: tuple[Any, ...], value: object) -> Any:
    """The first type of a union that a value may have; the first of all where it has none."""
    return next((option for option in options if _may_be(option, value)), options[0])


def _may_be(hint: Any, value: object) -> bool:
    types = json_types(hint)
    return isinstance(value, types) and (not isinstance(value, bool) or bool in types)


def _choice(known: tuple[str, ...], value: object, where: str) -> object:
    if value not in known:
        raise ValueError(f"its {where} is {str(value)[:40]!r}, not one of {', '.join(known)}")
    return value


def _tuple(items: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if items[-1] is Ellipsis:
        items = items[:1] * len(value)
    if len(items) != len(value):
        raise ValueError(f"its {where} is {str(value)[:40]}, not {len(items)} values")
    pairs = enumerate(zip(items, value, strict=True))
    return tuple(read(hint, item, f"{where}.{place}") for place, (hint, item) in pairs)


def _mapping(of: tuple[Any, ...], value: Any, where: str) -> dict[str, Any]:
    for key in value:
        read(of[0], key, f"{where} name")
    return {key: read(of[1], item, _join(where, key)) for key, item in value.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Stored):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if _is_list(value) else value


def _is_list(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str)


def _join(where: str, key: str) -> str:
    return f"{where}.{key[:60]}" if where else key[:60]
