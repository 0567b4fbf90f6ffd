"""What the report does with uncertainty: corrected tests, pooled points, ranks, tails, and pairs."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smoothbench.report import load, summary, write
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.document import document
from smoothbench.report.tables.column import WORSE, Column
from smoothbench.report.tables.pairing_gain import block_spread, pairing_gain
from smoothbench.report.tables.point_tables import (
    against_real,
    by_turns,
    fidelity,
    fidelity_columns,
    quality,
    report_table,
    strings,
)
from smoothbench.report.tables.two_points import compare
from tests.support.report_folder import SCORES, build, build_pooled, edit, made, record, save


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("template") / "dit_ddim", (0, 1, 5, 6, 7, 8, 13, 18))


@pytest.fixture
def results(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "dit_ddim"))


def text_of(folder: Path) -> str:
    frame = load(folder)
    return document([(part, []) for _, part in comparable_groups(frame)], frame.attrs["ignored"])


def point(frame: pd.DataFrame, name: str) -> pd.Series:
    return frame[frame["name"] == name].iloc[0]


def test_triangles_are_holms(results: Path) -> None:
    """Alone, each of the first three would be found; corrected over four, one is."""
    p_values = {"fora-n=2": 0.01, "fora-n=3": 0.02, "fora-n=4": 0.03, "no-cache,-40-steps": 0.2}
    for name, p in p_values.items():
        edit(results, name, scores={"made@256": made(0.5, p)})
    edit(results, "fora-n=1", scores={"made@256": made(0.0, 1.0)})  # the reference's own samples: no policy
    frame = load(results)
    corrected = {name: point(frame, name)["made@256.delta.p.holm"] for name in p_values}
    assert corrected == pytest.approx(dict(zip(p_values, (0.04, 0.06, 0.06, 0.2), strict=True)))
    assert math.isnan(point(frame, "fora-n=1")["made@256.delta.p.holm"])
    cells = report_table(frame).set_index("policy")["made@256 \u2193"]
    assert [WORSE in cells[f"FORA N={n}"] for n in (2, 3, 4)] == [True, False, False]
    assert "after Holm's correction" in text_of(results)


def test_points_with_the_same_samples_are_one_hypothesis(results: Path) -> None:
    for name in ("fora-n=2", "fora-n=3"):
        edit(results, name, sample_id="f" * 12, scores={"made@256": made(0.5, 0.02)})
    edit(results, "fora-n=4", scores={"made@256": made(0.5, 0.9)})
    frame = load(results)
    assert point(frame, "fora-n=2")["made@256.delta.p.holm"] == pytest.approx(0.04)  # of 2, not of 3
    assert point(frame, "fora-n=3")["made@256.delta.p.holm"] == pytest.approx(0.04)


def test_holm_counts_the_policies_of_one_table(results: Path) -> None:
    for name in ("fora-n=2", "fora-n=3"):
        edit(results, name, scores={"made@256": made(0.5, 0.03)})
    assert point(load(results), "fora-n=2")["made@256.delta.p.holm"] == pytest.approx(0.06)
    edit(results, "fora-n=3", reference_id="0" * 12)
    frame = load(results)
    assert point(frame, "fora-n=2")["made@256.delta.p.holm"] == pytest.approx(0.03)
    assert len(list(comparable_groups(frame))) == 2  # another reference, another table
    with pytest.raises(ValueError, match="reference_id"):
        report_table(frame)


def test_parts_of_a_pooled_point_are_hidden(tmp_path: Path) -> None:
    folder = build_pooled(tmp_path, (0, 6, 7))
    frame = load(folder)
    assert list(frame["label"]) == ["no cache, 50 steps", "FORA N=2", "FORA N=3"]
    assert frame.attrs["parts"] == 9 and set(frame["num_samples"]) == {192}
    assert frame["seeds"].iloc[0] == "0-63, 1000000-1000063, 2000000-2000063"
    text = text_of(folder)
    assert "seeds 0-63, 1000000-1000063, 2000000-2000063 (3 disjoint ranges)" in text
    assert "merged of parts" in text and text.count("\n| policy | steps |") == 1
    next((folder / "records").glob("fora-n=2-*.json")).unlink()  # a part: the pooled one still stands
    for path in (folder / "records").glob("*.json"):
        if '"parts": [], ' not in path.read_text():
            path.unlink()
    assert len(list(comparable_groups(load(folder)))) == 3  # now the parts show, a table a block


def test_spread_over_blocks_beside_the_error(tmp_path: Path) -> None:
    frame = load(build_pooled(tmp_path, range(8), blocks=5))
    found = block_spread(frame).set_index("score").loc["fd_nano@320"]
    row = frame.iloc[2]
    assert row["fd_nano@320.blocks.sd"] == pytest.approx(np.std(row["fd_nano@320.blocks"], ddof=1))
    spreads = frame["fd_nano@320.blocks"].map(lambda each: np.std(each, ddof=1)) / math.sqrt(5)
    assert found["spread"] == pytest.approx(spreads.median())
    assert found["ratio"] == pytest.approx(math.sqrt(((spreads / frame["fd_nano@320.se"]) ** 2).mean()))
    assert 0.7 < found["ratio"] < 1.4  # the folder's blocks were drawn with just these errors
    assert "| fd_nano@320 | 5 |" in text_of(tmp_path)
    assert block_spread(load(build(tmp_path / "single", (0, 6)))).empty


def test_the_spread_over_parts_of_different_sizes_means_nothing(tmp_path: Path) -> None:
    folder = build_pooled(tmp_path, (0, 6))
    for path in (folder / "records").glob("*.json"):
        content = json.loads(path.read_text())
        if content["parts"]:
            content["seeds"][-1][1] -= 32
            path.write_text(json.dumps(content | {"num_samples": content["num_samples"] - 32}))
    assert block_spread(load(folder)).empty


def test_how_much_tighter_pairs_are(results: Path) -> None:
    frame = load(results)
    found = pairing_gain(frame).set_index("score").loc["fd_nano@256"]
    reference, others = frame.iloc[0], frame[~frame["label"].isin(["no cache, 50 steps", "FORA N=1"])]
    gains = np.hypot(others["fd_nano@256.se"], reference["fd_nano@256.se"]) / others["fd_nano@256.delta.se"]
    assert found["gain"] == pytest.approx(float(np.median(gains))) and found["points"] == len(others) == 6
    assert (found["least"], found["most"]) == (min(gains), max(gains)) and found["least"] > 1
    assert f"| fd_nano@256 | {np.median(gains):.1f} times |" in text_of(results)
    assert "psnr@256" not in set(pairing_gain(frame)["score"])


def test_where_all_have_one_value_none_is_the_best() -> None:
    assert Column("", ["1", "1", "-"], pd.Series([1.0, 1.0, math.nan])).ranks() == [0, 0, 0]
    assert Column("", ["1", "2", "1"], pd.Series([1.0, 2.0, 1.0])).ranks() == [1, 2, 1]


def test_rank_agreement_in_the_report(results: Path) -> None:
    assert "| fd_effnet@256" not in text_of(results).partition("rank the policies alike")[2]
    assert "| fd_nano@256 and fd_effnet@256 | +" in text_of(results)


def test_two_tables_and_the_tails(results: Path) -> None:
    frame = load(results)
    assert set(against_real(frame)) | set(fidelity(frame)) == set(SCORES)
    assert set(fidelity(frame)) == {"psnr@256", "ssim@256", "dist_nano@256"}
    table = strings(fidelity_columns(frame)).set_index("policy")
    assert "no cache, 50 steps (reference)" not in table.index
    row, shown = point(frame, "fora-n=3"), table.loc["FORA N=3"]
    quantiles = ("psnr@256.q0.05", "psnr@256.q0.01", "dist_nano@256.q0.95", "dist_nano@256.q0.99")
    headings = [f"{name}@256, worst {share} %" for name in ("psnr", "dist_nano") for share in (5, 1)]
    for quantile, heading in zip(quantiles, headings, strict=True):
        assert float(shown[heading]) == pytest.approx(row[quantile], abs=0.01)
    assert text_of(results).count("\n| policy |") == 3  # the short one, and two behind it


@pytest.mark.slow
def test_terminal_is_narrow_and_says_where_the_rest_is(results: Path) -> None:
    more = {f"metric_{i}@256": made(0.1, 0.5) for i in range(6)}
    edit(results, "fora-n=2", scores=record(6, 256, (0, 256))["scores"] | more)
    lines = summary(results).splitlines()
    assert max(map(len, lines)) <= 120
    heading = next(line for line in lines if line.startswith("policy"))
    assert "fd_nano@256" in heading and "psnr@256" in heading
    assert any("more scores" in line and "report.md and table.csv" in line for line in lines)


@pytest.mark.slow
def test_copied_folder_rebuilds_the_tables(tmp_path: Path) -> None:
    folder = build(tmp_path / "dit_ddim", (0, 6), ("fd_nano@256",))
    names = ("report.md", "table.csv", "table.tex")
    write(folder)
    first = [(folder / name).read_bytes() for name in names]
    copy = tmp_path / "elsewhere" / "copy"
    rendered = shutil.ignore_patterns("*.png", "*.svg", "report.*", "table.*")
    shutil.copytree(folder, copy, ignore=lambda d, found: rendered(d, found) if d == str(folder) else set())
    assert not (copy / "report.md").exists()
    write(copy)
    assert [(copy / name).read_bytes() for name in names] == first


def test_compare_pairs_float32_influences(results: Path) -> None:
    a, b = (np.load(next((results / "scores").glob(f"fora-n={n}-*.npz"))) for n in (2, 3))
    assert a["fd_nano@256"].dtype == np.float32
    difference = a["fd_nano@256"].astype(np.float64) - b["fd_nano@256"].astype(np.float64)
    frame = load(results)
    value = point(frame, "fora-n=2")["fd_nano@256"] - point(frame, "fora-n=3")["fd_nano@256"]
    half = 1.969315 * difference.std(ddof=1) / 16  # t with 255 degrees of freedom
    line = next(line for line in compare(results, "fora-n=2", "fora-n=3").splitlines() if "fd_nano" in line)
    assert f"{value:+.4g} [{value - half:+.4g}, {value + half:+.4g}]" in line and "p = " in line


def test_compare_refuses_what_does_not_pair(results: Path) -> None:
    with pytest.raises(ValueError, match="0 points are called nothing: choose by name of fora-n=1, fora"):
        compare(results, "fora-n=2", "nothing")
    other = record(6, 256, (256, 512))
    save(results, other)
    with pytest.raises(ValueError, match="2 points are called fora-n=2: choose by point_id"):
        compare(results, "fora-n=2", "fora-n=3")
    with pytest.raises(ValueError, match="other seeds"):
        compare(results, other["point_id"], "fora-n=3")
    next((results / "scores").glob("fora-n=3-*.npz")).write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(ValueError, match=r"no readable .*run it again"):
        compare(results, "fora-n=3", "fora-n=4")


def test_quality_is_a_distance_to_real_data_however_short_other_names_are(results: Path) -> None:
    frame = load(results)
    assert quality(frame) == "fd_nano@256" and by_turns(frame)[0] == "fd_nano@256"

    def renamed(name: str, metric: str) -> pd.DataFrame:
        """The same scores, of which only one compares with real data."""
        kept = frame.drop(columns=[c for s in against_real(frame)[1:] for c in frame if c.startswith(f"{s}")])
        (only,) = against_real(kept)
        columns = {c: c.replace(only, name) for c in kept if c.startswith(only)}
        return kept.rename(columns=columns).assign(**{f"{name}.metric": metric})

    assert quality(renamed("is@256", "is")) == "is@256"
    assert quality(renamed("vbproxy_noise@256", "noise_sigma")) is None
    assert quality(renamed("arniqa@256", "torchmetric")) is None


def test_compare_refuses_points_of_two_tables(results: Path) -> None:
    edit(results, "fora-n=2", reference_id="0" * 12)
    with pytest.raises(ValueError, match="cannot share a table"):
        compare(results, "fora-n=2", "fora-n=3")
