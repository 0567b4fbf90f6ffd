"""`python -m smoothbench.storage.record_schema` writes record.schema.json, the JSON Schema of records.

Any validator of JSON Schema can check a record with it. Consistency between fields (seeds and sample counts, sites and
bits) is checked by `Record.from_json` alone.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import smoothbench.storage
from smoothbench.errors import UsageError
from smoothbench.storage.files import read_json
from smoothbench.storage.record import SCHEMA, Record
from smoothbench.storage.record_files import record_files
from smoothbench.storage.typed_json import Stored, members

BY_PLACE = 2  # the schema of records whose ids hold import paths and the paths of files
FILE = Path(str(smoothbench.storage.__file__)).with_name("record.schema.json")
DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAMES: Mapping[type, str] = {
    int: "integer",
    float: "number",
    bool: "boolean",
    str: "string",
    type(None): "null",
}


def record_schema() -> dict[str, Any]:
    """Return the JSON Schema of a record, draft 2020-12."""
    definitions: dict[str, Any] = {}
    root = _object(Record, definitions)
    return {"$schema": DIALECT, "title": "A record of SmoothBench", **root, "$defs": definitions}


def schema_text() -> str:
    """Return the content of record.schema.json."""
    return json.dumps(record_schema(), indent=1) + "\n"


def refuse_by_place(folder: Path) -> None:
    """Raise UsageError where a results folder holds records of schema 2, whose ids hold paths of code and files."""
    for _, schema in _schemas(folder):
        if schema == BY_PLACE:
            raise UsageError(
                f"{folder}: its results are of an earlier version, whose ids contain import paths: "
                f"python -m smoothbench.migrate {shlex.quote(str(folder))}, then the same command again"
            )


def refuse_newer(folder: Path) -> None:
    """Raise UsageError where a results folder holds a newer version's records, which this one would write anew."""
    for path, schema in _schemas(folder):
        if type(schema) is int and schema > SCHEMA:
            raise UsageError(
                f"{path}: its schema is {schema}, of a newer version than this one, which reads {SCHEMA}: update "
                "smoothbench, or choose another results_dir=..."
            )


def _schemas(folder: Path) -> Iterator[tuple[Path, Any]]:
    """The file of each record, and its schema; of one that cannot be read none: whoever reads it warns of it."""
    for path in record_files(folder):
        record = read_json(path)
        yield path, record.get("schema") if isinstance(record, dict) else None


def _object(cls: type[Stored], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a class, and add those of the classes inside it to the definitions."""
    required = [member.key for member in members(cls) if not member.optional]
    properties = {member.key: _schema(member.hint, definitions) for member in members(cls)}
    summary = " ".join((cls.__doc__ or "").split("\n\n")[0].split())
    return {"description": summary, "type": "object", "properties": properties, "required": required}


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is object:
        return {}
    if origin is Annotated:
        rules = [rule.schema() for rule in arguments[1:]]
        return {
            **_schema(arguments[0], definitions),
            **{key: value for rule in rules for key, value in rule.items()},
        }
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(option, definitions) for option in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return _array(arguments, definitions)
    if origin is Mapping:
        names = _schema(arguments[0], definitions)
        return {
            "type": "object",
            **({} if arguments[0] is str else {"propertyNames": names}),
            "additionalProperties": _schema(arguments[1], definitions),
        }
    if isinstance(hint, type) and issubclass(hint, Stored):
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = {}  # reserves its place, before those of the classes inside it
            definitions[hint.__name__] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    return {"type": NAMES[hint]}


def _array(items: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    if items[-1] is Ellipsis:
        return {"type": "array", "items": _schema(items[0], definitions)}
    fixed = [_schema(item, definitions) for item in items]
    return {"type": "array", "prefixItems": fixed, "minItems": len(fixed), "maxItems": len(fixed)}


if __name__ == "__main__":
    FILE.write_text(schema_text(), encoding="utf-8")
