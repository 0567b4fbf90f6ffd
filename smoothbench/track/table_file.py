"""All points of a results folder as one table file, which every other tool reads."""

from pathlib import Path

import pandas as pd

from smoothbench.errors import UsageError
from smoothbench.report.tables.point_tables import numbers
from smoothbench.storage.files import temporary_path


def to_parquet(frame: pd.DataFrame, place: str | None, folder: Path) -> str:
    """Write the columns of table.csv, of all tables together, as Parquet; return the file.

    Args: place, the file; None for table.parquet in the results folder. Raises UsageError where pyarrow is missing.
    """
    path = Path(place) if place else folder / "table.parquet"
    if path.is_dir():
        raise UsageError(f"--at {path}: it is a folder: name a file")
    table = numbers(frame)
    # a column of texts and numbers has no type in Parquet
    mixed = [name for name in table if table[name].dtype == object]
    table[mixed] = table[mixed].map(lambda value: None if value is None or value != value else str(value))
    try:
        with temporary_path(path) as temporary:
            table.to_parquet(temporary, index=False, engine="pyarrow")
    except ImportError as error:
        raise UsageError("--to parquet: pyarrow is not installed: pip install pyarrow") from error
    return str(path)
