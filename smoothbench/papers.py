"""What the papers printed: their tables as data, read one row at a time."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from smoothbench.json_checks import explain, require
from smoothbench.storage.paper_row import VALUE_NAME, PaperRow, PaperValue

FOLDER = Path(__file__).parents[1] / "results" / "reported"
PRINTED = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?: \+- ([0-9]+(?:\.[0-9]+)?))?")


def row(name: str, folder: Path = FOLDER) -> PaperRow:
    """Return a row of a paper's table by its name `file/table/row`.

    A value's interval is as `+-` printed it or None, its decimals are those that were printed. Values printed in per
    cent come as shares. With a row comes where its values were read, and those of its own base, where the file says
    so. ValueError, naming what there is, for an unknown file, table or row, and for a file that cannot be read.
    """
    file, _, rest = str(name).partition("/")
    number_, _, row_id = rest.partition("/")
    content = _read(folder / f"{_known(file, _files(folder), f'table file in {folder}')}.json")
    tables = content["tables"]
    table = tables[_known(number_, list(tables), f"table of {file}")]
    rows = {printed_row["id"]: printed_row for printed_row in table["rows"]}
    printed_row = rows[_known(row_id, list(rows), f"row of {file}/{number_}")]
    base = rows.get(printed_row.get("base"))
    return PaperRow(
        paper=content["paper"],
        arxiv=content["arxiv"],
        table=number_,
        row=printed_row["label"],
        inferred=printed_row["inferred"],
        values=_values(printed_row, table["percent"]),
        note=printed_row.get("note"),
        num_samples=table["num_samples"],
        hardware=table["hardware"],
        source=printed_row.get("source"),
        base=(base and _values(base, table["percent"])) or None,
    )


def names(folder: Path = FOLDER) -> list[str]:
    """List every `file/table/row` that `row` knows; ValueError for a file that cannot be read."""
    return [
        f"{file}/{table}/{printed_row['id']}"
        for file in _files(folder)
        for table, content in _read(folder / f"{file}.json")["tables"].items()
        for printed_row in content["rows"]
    ]


def _files(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.json"))


def _known(name: str, known: list[str], what: str) -> str:
    if name not in known:
        raise ValueError(f"no {what} is named {name!r}: there are {', '.join(known) or 'none'}")
    return name


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        _check(content)
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read ({explain(error)}): restore it from git") from error
    return dict(content)


def _check(content: Any) -> None:
    for key in ("paper", "arxiv"):
        require(require(content, "content", dict)[key], key, str)
    for name, table in require(content["tables"], "tables", dict).items():
        require(table, name, dict)
        require(table["num_samples"], f"{name}.num_samples", int, type(None))
        require(table["hardware"], f"{name}.hardware", str)
        require(table["percent"], f"{name}.percent", list)
        for printed_row in require(table["rows"], f"{name}.rows", list):
            _check_row(
                require(printed_row, f"{name}.rows", dict), require(table["columns"], f"{name}.columns", list)
            )
        _check_sources(table["rows"])


def _check_row(printed_row: dict[str, Any], columns: list[str]) -> None:
    for key in ("id", "label"):
        require(printed_row[key], f"row's {key}", str)
    require(printed_row["inferred"], f"{printed_row['id']}.inferred", bool)
    require(printed_row.get("note"), f"{printed_row['id']}.note", str, type(None))
    for key, text in require(printed_row["values"], f"{printed_row['id']}.values", dict).items():
        if key not in columns or not re.fullmatch(VALUE_NAME, key):
            raise ValueError(
                f"its {printed_row['id']} has a value {key!r}, which is none of the table's columns"
            )
        if not PRINTED.fullmatch(require(text, f"{printed_row['id']}.{key}", str)):
            raise ValueError(f"its {printed_row['id']}.{key} is {text[:40]!r}, not like '2.65 +- 0.04'")


def _check_sources(rows: list[dict[str, Any]]) -> None:
    """Check where rows say that they were read, and that their bases are rows of the same table, with none above."""
    bases = {printed_row["id"]: printed_row.get("base") for printed_row in rows}
    for printed_row in rows:
        name, source, base = printed_row["id"], printed_row.get("source"), printed_row.get("base")
        if source not in (None, "paper", "note"):
            raise ValueError(f"its {name}.source is {source!r:.40}, not 'paper' or 'note'")
        if base is not None and (base not in bases or bases[base] is not None):
            raise ValueError(f"its {name}.base is {base!r:.40}, which is no row of the table without a base")


def _values(printed_row: dict[str, Any], percent: list[str]) -> dict[str, PaperValue]:
    return {key: _value(text, key in percent) for key, text in printed_row["values"].items()}


def _value(text: str, percent: bool) -> PaperValue:
    """A printed value; decimal arithmetic keeps its digits where per cent become shares."""
    printed = PRINTED.fullmatch(text)
    assert printed is not None  # _check_row saw it
    factor = Decimal("0.01") if percent else Decimal(1)
    value, interval = (None if digits is None else Decimal(digits) * factor for digits in printed.groups())
    assert value is not None
    return PaperValue(
        float(value),
        None if interval is None else float(interval),
        len(printed[1].partition(".")[2]) + 2 * percent,
    )
