"""The records of an experiment as one flat DataFrame."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metrics.inference import holm
from smoothbench.json_checks import explain
from smoothbench.report.data.distinctions import with_distinctions
from smoothbench.report.data.groups import GROUP
from smoothbench.report.data.latency import add_latency
from smoothbench.report.data.record_row import row_of
from smoothbench.report.data.vbench import add_vbench
from smoothbench.storage.files import load_json
from smoothbench.storage.latency_file import Latency
from smoothbench.storage.record import Record
from smoothbench.storage.record_files import record_files, record_stem
from smoothbench.storage.record_schema import refuse_by_place

log = logging.getLogger(__name__)

OLDER = (
    "by other code or settings of the metric than the newest scores of this table: run the experiment again"
)


def load(folder: str | Path) -> pd.DataFrame:
    """Read the records of a results folder into a frame, one row a point, in the experiment's own order.

    Columns: those of the record, flat; `macs`, `macs_linear` (per sample), `share` of the reference's MACs,
    `by_kind` (dict); for each score `<score>`, `.se`, `.low`, `.high`, `.q<level>` (quantiles over samples),
    `.delta`, `.delta.low`, `.delta.high`, `.delta.p`, `.delta.p.holm`, `.blocks` (the value of each part),
    `.blocks.sd`, `.flag`, `.config_hash`, `.higher_is_better`, `.metric` (what that is called), `.by_encoder`
    (whether features of an encoder go into it); `latency` (seconds a batch), `latency.mad`, `speedup_macs`,
    `speedup_measured`; `distinction` and `facts...`, see `with_distinctions`, by which labels are told apart too; those
    of `papers.paper_columns` and `vbench.add_vbench` where there are any. A record among the parts of another is left
    out. `attrs["ignored"]` lists the files that could not be read, `attrs["parts"]` counts those left out,
    `attrs["sections"]` names sections of the report by experiment, and `attrs["folder"]` is the folder.
    ValueError if there is no record.
    """
    folder = Path(folder)
    refuse_by_place(folder)
    read, ignored = _read(folder)
    if not read:
        why = f" ({len(ignored)} ignored; {ignored[0]})" if ignored else ""
        raise ValueError(
            f"no readable record in {folder}/records{why}: run python -m smoothbench +exp=... first"
        )
    sections = _sections(read)
    rows = _shown(read)
    if not rows:
        raise ValueError(f"the records in {folder}/records are all parts of each other: run it again")
    # renamed results keep their place: the permutations of a study depend on it
    rows.sort(key=lambda row: (row["experiment"], row["order"], row["name"], row.pop("formerly")))
    frame = _add_flags(with_distinctions(pd.DataFrame(rows), GROUP))
    frame = add_latency(frame, _read_latency(folder / "latency.json"))
    frame, unread = add_vbench(_add_holm(frame), folder)
    frame.attrs |= {"ignored": ignored + unread, "parts": len(read) - len(rows), "sections": sections}
    frame.attrs["folder"] = str(folder)
    return frame


def _sections(rows: list[Any]) -> dict[str, list[str]]:
    """Take the names of the report's sections out of the rows, by experiment."""
    names: dict[str, dict[str, None]] = {}
    for row in rows:
        listed = row.pop("sections")
        listed = listed if isinstance(listed, list) else []
        texts = (name for name in listed if isinstance(name, str))
        names.setdefault(row["experiment"], {}).update(dict.fromkeys(texts))
    return {experiment: list(ordered) for experiment, ordered in names.items()}


def _shown(rows: list[Any]) -> list[Any]:
    """Without parts that are merged, and without merged points of which a part has failed since."""
    failed = {row["point_id"] for row in rows if row["status.quality"] != "done"}
    sound = [row for row in rows if not failed & set(row["parts"])]
    merged = {part for row in sound for part in row["parts"] if part != row["point_id"]}
    return [row for row in sound if row["point_id"] not in merged]


def scores(frame: pd.DataFrame) -> list[str]:
    """Return the names of the scores that at least one point of the frame has, the plainest first.

    A longer name is a variant (`fd_inf_nano` of `fd_nano`): shorter ones come first, equal ones by letters.
    """
    suffix = ".higher_is_better"
    names = [str(column).removesuffix(suffix) for column in frame.columns if str(column).endswith(suffix)]
    return sorted((name for name in names if frame[name].notna().any()), key=lambda name: (len(name), name))


def higher_is_better(frame: pd.DataFrame, score: str) -> bool:
    """Return the direction of a score, as its records state it; ValueError where they contradict each other."""
    directions = set(frame[f"{score}.higher_is_better"].dropna())
    if len(directions) != 1:
        raise ValueError(f"the records of {score} disagree about higher_is_better: run its metric again")
    return bool(directions.pop())


def is_reference(rows: pd.DataFrame, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark the rows that are a reference of the frame or have the very samples of one, bool [rows]."""
    samples = frame.loc[frame["reference"].astype(bool), "sample_id"]
    return rows["sample_id"].isin(samples).to_numpy(dtype=bool)


def costs_alone(frame: pd.DataFrame) -> pd.Series:
    """Mark the points whose run was for costs and no samples, bool [rows]."""
    return (frame["status.quality"] == "skipped") & frame["reason"].str.startswith(
        ("stage=cost", "stage=latency")
    )


def states(frame: pd.DataFrame) -> str:
    """Count the points of each status, in words."""
    counts = frame["status"].mask(_costed(frame), "costs alone").value_counts()
    return ", ".join(f"{counts[state]} {state}" for state in sorted(counts.index))


def unfinished(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the points that failed, or were skipped though the run was to do them."""
    return frame[(frame["status"] != "done") & ~_costed(frame)]


def _costed(frame: pd.DataFrame) -> pd.Series:
    """Which points have the cost that alone they were asked for, bool [rows]."""
    return costs_alone(frame) & (frame["status.cost"] == "done")


def _read(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of the records that can be read, and a line for each that cannot."""
    rows: dict[str, dict[str, Any]] = {}
    ignored = []
    for path in record_files(folder):
        try:
            record = Record.from_json(load_json(path))
            row = row_of(record)
            if row["point_id"] in rows:
                raise ValueError(f"another file holds the same point {row['point_id']}")
            place = record.formerly or record.point_id
            rows[row["point_id"]] = row | {
                "record": record_stem(path),
                "formerly": place,
                "sections": record.config.get("report"),
            }
        except (OSError, ValueError, KeyError, RecursionError) as error:
            ignored.append(f"records/{path.name}: {explain(error)}")
            log.warning("ignored %s", ignored[-1])
    return list(rows.values()), ignored


def _add_holm(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with `<score>.delta.p.holm`: p corrected over the policies of a table, score by score.

    Points with the same samples are one hypothesis; the reference and its equals are none.
    """
    columns = {}
    for score in scores(frame):
        adjusted = pd.Series(math.nan, index=frame.index)
        for _, part in frame.groupby(GROUP):
            tested = part[part[f"{score}.delta.p"].notna() & ~is_reference(part, part)]
            distinct = tested.drop_duplicates("sample_id")
            if distinct.empty:
                continue
            p_values = holm(distinct[f"{score}.delta.p"].to_numpy(dtype=np.float64))
            by_samples = dict(zip(distinct["sample_id"], p_values, strict=True))
            adjusted[tested.index] = tested["sample_id"].map(by_samples)
        columns[f"{score}.delta.p.holm"] = adjusted
    return pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis="columns")


def _add_flags(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a flag on scores that other code or settings of their metric made than the newest ones."""
    times = pd.Series([str(each.get("time", "")) for each in frame["provenance"]], index=frame.index)
    for score in scores(frame):
        flags, hashes = frame[f"{score}.flag"].copy(), frame[f"{score}.config_hash"]
        for _, part in frame[hashes.notna()].groupby(GROUP):
            newest = hashes[times[part.index].idxmax()]
            older = part.index[hashes[part.index] != newest]
            flags[older] = [f"{flag}; {OLDER}" if flag else OLDER for flag in flags[older]]
        frame = frame.assign(**{f"{score}.flag": flags})
    return frame


def _read_latency(path: Path) -> Latency | None:
    if not path.exists():
        return None
    try:
        return Latency.from_json(load_json(path))
    except (OSError, ValueError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{path} cannot be read ({explain(error)}): remove it, and with stage=latency measure latency again"
        ) from error
