"""Describe classes that have no source file, for instance those of a notebook, by the bytecode of their methods."""

from collections.abc import Iterator
from inspect import unwrap
from types import CodeType, FunctionType
from typing import Any

NOT_CODE = ("__doc__", "__module__", "__qualname__", "__firstlineno__", "__static_attributes__")  # no code


def bytecode_of(origin: Any) -> Iterator[Any]:
    """Yield a class or function, and everything of its own module that it uses, as nested lists."""
    waiting, seen = [origin], []
    while waiting:
        definition = waiting.pop()
        if definition in seen:
            continue
        seen.append(definition)
        members = list(_members(definition))
        yield [definition.__qualname__, members]
        for function in _functions(definition):
            named = (function.__globals__.get(name) for name in _names(function.__code__))
            waiting += [
                use
                for use in named
                if isinstance(use, type | FunctionType) and use.__module__ == origin.__module__
            ]


def _members(origin: Any) -> Iterator[Any]:
    """Yield the code of functions, and the plain values of class attributes, by name."""
    if not isinstance(origin, type):
        yield from (_code(function.__code__, function.__doc__) for function in _functions(origin))
        return
    for name, member in sorted(vars(origin).items()):
        if name not in NOT_CODE:
            code = [_code(function.__code__, function.__doc__) for function in _functions(member)]
            yield [name, code or (_constant(member) if _is_plain(member) else None)]


def _functions(member: Any) -> list[FunctionType]:
    """The functions of a class, or those behind a method, a property, a classmethod and the like."""
    if isinstance(member, type):
        return [function for value in vars(member).values() for function in _functions(value)]
    wrapped = [getattr(member, name, None) for name in ("__func__", "func", "fget", "fset")]
    callables = map(unwrap, filter(callable, [member, *wrapped]))
    return [function for function in callables if isinstance(function, FunctionType)]


def _code(code: CodeType, doc: str | None = None) -> list[Any]:
    constants = [_constant(value) for value in code.co_consts if doc is None or value != doc]
    return [code.co_code.hex(), list(code.co_names), constants]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _code(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _is_plain(value: Any) -> bool:
    """Whether `repr` describes a value completely; that of other objects holds an address."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bytes | int | float | complex)


def _names(code: CodeType) -> set[str]:
    inner = (value for value in code.co_consts if isinstance(value, CodeType))
    return set(code.co_names).union(*map(_names, inner))
