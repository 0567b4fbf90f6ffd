"""The cost table of an experiment, cost.csv."""

import csv
import io

from smoothbench.storage.files import write_atomic
from smoothbench.storage.record import Record
from smoothbench.storage.record_cost import Cost, PaperCost
from smoothbench.storage.record_differences import namesakes
from smoothbench.storage.results_folder import Store

PAPER_COLUMNS = ("tmacs_reported", "tmacs_paper_convention", "paper_scope", "paper_rows")
COST_COLUMNS = ("name", "steps", *PAPER_COLUMNS, "macs_linear", "macs")


def cost_csv(store: Store) -> None:
    """Write `cost.csv`: the MACs of a whole trajectory for one sample, guidance rows included, denoiser only.

    There is one line for each cell, whatever its seeds; cells of the same name differ in the column `differs_in`. The
    papers' columns, in TMACs of `paper_rows` rows, stay empty where no paper reports the point. Where a paper's scope
    is the pipeline, its components follow, in its convention and with the attention products.
    """
    # pooled costs last, in place of a part's
    records = sorted(store.records(), key=lambda record: bool(record.parts))
    cells = {record.cell_id: (record, record.cost) for record in records if record.cost}
    weighted = {record.name for record, _ in cells.values() if _weighted(record)}
    # a schedule that stood in for a calibration while there were no weights is not listed beside the calibrated one
    cells = {k: cell for k, cell in cells.items() if _weighted(cell[0]) or cell[0].name not in weighted}
    buffer, twins = io.StringIO(), namesakes([record for record, _ in cells.values()])
    extra = {key: _part_columns(known) | twins.get(key, {}) for key, (_, known) in cells.items()}
    columns = [*COST_COLUMNS, *dict.fromkeys(column for row in extra.values() for column in row)]
    table = csv.DictWriter(buffer, columns, lineterminator="\n")
    table.writeheader()
    for record, known in sorted(cells.values(), key=lambda c: (c[0].order, c[0].name, c[0].cell_id)):
        macs = {"macs_linear": known.macs_linear, "macs": known.macs}
        about = {"name": record.name, "steps": record.solver.steps}
        table.writerow(about | _paper_columns(record, known.paper) | macs | extra[record.cell_id])
    write_atomic(store.folder / "cost.csv", buffer.getvalue().encode())


def _weighted(record: Record) -> bool:
    return record.model.weights_sha256 != "random"


def _paper_columns(record: Record, paper: PaperCost | None) -> dict[str, object]:
    """What a paper prints about a point, and the same by our count."""
    columns: dict[str, object] = {}
    if record.reported:
        printed = record.reported.values.get("tmacs")
        columns["tmacs_reported"] = printed and printed.value
    if paper:
        computed = {"tmacs_paper_convention": round(paper.tmacs, 6), "paper_scope": paper.scope}
        columns |= computed | {"paper_rows": paper.rows}
    return columns


def _part_columns(known: Cost) -> dict[str, object]:
    parts = (known.paper and known.paper.parts) or {}
    return {
        f"{key}_{part}": round(value, 6)
        for part, component in parts.items()
        for key, value in component.to_json().items()
    }
