"""What a class without source is made of: the bytecode of its methods, for instance those of a notebook's cell."""

from collections.abc import Iterator
from inspect import unwrap
from types import CodeType, FunctionType
from typing import Any

NOT_CODE = ("__doc__", "__module__", "__qualname__", "__firstlineno__", "__static_attributes__")  # no code


def bytecode_of(part: Any) -> Iterator[Any]:
    """A class or function and what of its own module it uses, each as nested lists."""
    waiting, seen = [part], []
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.append(each)
        members = list(_members(each))
        yield [each.__qualname__, members]
        for function in _functions(each):
            named = (function.__globals__.get(name) for name in _names(function.__code__))
            waiting += [
                use
                for use in named
                if isinstance(use, type | FunctionType) and use.__module__ == part.__module__
            ]


def _members(part: Any) -> Iterator[Any]:
    """Code of functions and plain values of class attributes, by name."""
    if not isinstance(part, type):
        yield from (_code(function.__code__, function.__doc__) for function in _functions(part))
        return
    for name, member in sorted(vars(part).items()):
        if name not in NOT_CODE:
            code = [_code(function.__code__, function.__doc__) for function in _functions(member)]
            yield [name, code or (_constant(member) if _is_plain(member) else None)]


def _functions(member: Any) -> list[FunctionType]:
    """The functions of a class, or behind a method, a property and the like."""
    if isinstance(member, type):
        return [function for each in vars(member).values() for function in _functions(each)]
    parts = [getattr(member, name, None) for name in ("__func__", "func", "fget", "fset")]
    return [
        each for each in map(unwrap, filter(callable, [member, *parts])) if isinstance(each, FunctionType)
    ]


def _code(code: CodeType, doc: str | None = None) -> list[Any]:
    constants = [_constant(each) for each in code.co_consts if doc is None or each != doc]
    return [code.co_code.hex(), list(code.co_names), constants]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _code(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _is_plain(value: Any) -> bool:
    """Whether its text says what it is, and no address."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bytes | int | float | complex)


def _names(code: CodeType) -> set[str]:
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(_names, inner))
