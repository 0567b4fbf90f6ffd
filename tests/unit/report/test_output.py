"""The table for a paper, and what a publication keeps."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from smoothbench.caching import ErrorCurves
from smoothbench.report import load, write
from smoothbench.report.publish import publish
from smoothbench.report.tables.latex import escape, to_latex
from smoothbench.results import load as open_results
from smoothbench.storage.results_folder import Store
from tests.support.report_folder import CALIBRATION, build, build_pooled, edit, made

FEW = ("fd_nano@256", "psnr@256")
UNSCORED: tuple[str, ...] = ()  # without scores there are no plots, which take long


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return build(tmp_path / "dit_ddim", (0, 6, 7, 14), FEW)


def body(latex: str) -> list[list[str]]:
    """The cells of a tabular, its heading first."""
    lines = [line for line in latex.splitlines() if line.endswith(r" \\")]
    return [line.removesuffix(r" \\").split(" & ") for line in lines]


def test_latex_is_a_booktabs_tabular(results: Path) -> None:
    latex = to_latex(load(results))
    rows = body(latex)
    assert len(rows) == 1 + 4 and {len(row) for row in rows} == {6}
    assert r"\begin{tabular}{lrrrrr}" in latex and latex.rstrip().endswith(r"\end{tabular}")
    assert all(latex.count(rule) == 1 for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
    assert rows[0][3:] == [r"fd\_nano@256 $\downarrow$", r"$\Delta$", r"psnr@256 $\uparrow$"]
    assert latex.count("{") == latex.count("}") and latex.isascii()


def test_latex_says_what_the_table_says(results: Path) -> None:
    frame = load(results)
    fora, smooth = (body(to_latex(frame))[i] for i in (2, 4))
    assert smooth[3].startswith(r"\textbf{") and fora[3].startswith(r"\underline{")
    row = frame[frame["label"] == "FORA N=2"].iloc[0]
    half = (row["fd_nano@256.delta.high"] - row["fd_nano@256.delta.low"]) / 2
    assert fora[4] == rf"${row['fd_nano@256.delta']:+.3f} \pm {half:.3f}$\textsuperscript{{*}}"
    assert fora[3] == rf"\underline{{{row['fd_nano@256']:.2f} $\pm$ 0.12}}"
    assert body(to_latex(frame, ["psnr@256"]))[1][3] == "--"  # the reference has none


def test_latex_escapes_labels(results: Path) -> None:
    label = "[a] 50 % & b_1 # $x$ {y} ~^\\ \u03b1 \u00e9 \u6f22 -3"
    edit(results, "fora-n=2", label=label)
    first = body(to_latex(load(results)))[2][0]
    expected = (
        r"{[}a] 50 \% \& b\_1 \# \$x\$ \{y\} \textasciitilde{}\textasciicircum{}\textbackslash{} $\alpha$"
    )
    assert first == escape(label)
    assert escape(label) == expected + " \u00e9 ? -3"


def test_latex_of_negative_values_and_unmarked_differences(results: Path) -> None:
    low = {"value": -2.0, "low": -2.2, "high": -1.8}
    for name, p in (("fora-n=2", 0.5), ("fora-n=3", 0.01)):
        edit(results, name, scores={"made@256": made(0.5, p) | low})
    rows = body(to_latex(load(results), ["made@256"]))
    assert [row[3] for row in rows[2:4]] == [r"$-$2.00 $\pm$ 0.20"] * 2
    assert [row[4].endswith(r"\textsuperscript{*}") for row in rows[2:4]] == [False, True]


@pytest.mark.slow
def test_published_points_are_pooled_ones(tmp_path: Path) -> None:
    folder, target = build_pooled(tmp_path / "runs", (0, 6)), tmp_path / "results"
    publish(folder, target)
    frame = load(target)
    assert sorted(frame["record"]) == sorted(
        path.name.removesuffix(".json.gz") for path in target.glob("records/*")
    )
    assert sorted(frame["record"]) == sorted(path.stem for path in target.glob("scores/*.npz"))
    assert {path.name for path in (target / "previews").iterdir()} == set(frame["sample_id"])
    assert len(frame) == 2 and len(list((folder / "records").iterdir())) == 8
    write(folder)
    for name in ("report.md", "table.csv", "table.tex"):
        assert (folder / name).read_bytes() == (target / name).read_bytes()


@pytest.mark.slow
def test_published_folder_keeps_only_the_curves_in_use(tmp_path: Path) -> None:
    folder = build(tmp_path / "dit_ddim", (0, 14), UNSCORED)
    (folder / "curves" / "other.npz").write_bytes(b"of a point that is gone")
    publish(folder, tmp_path / "results")
    curves = [path.relative_to(tmp_path / "results").as_posix() for path in tmp_path.glob("results/curves/*")]
    assert curves == [CALIBRATION["file"]]


def test_a_published_folder_is_packed_and_reads_as_the_run_does(tmp_path: Path) -> None:
    folder, target = build(tmp_path / "dit_ddim", (0, 14), UNSCORED), tmp_path / "results"
    publish(folder, target)
    plain = {path.stem: path for path in folder.glob("records/*.json")}
    for stem, path in plain.items():
        packed = gzip.decompress((target / "records" / f"{stem}.json.gz").read_bytes())
        assert packed == path.read_bytes()
    assert len(list((target / "records").iterdir())) == len(plain)
    small, large = (path / CALIBRATION["file"] for path in (target, folder))
    assert small.stat().st_size < large.stat().st_size
    assert ErrorCurves.load(small).digest() == ErrorCurves.load(large).digest()
    pd.testing.assert_frame_equal(load(target), load(folder))
    (name,) = [point for point in load(target)["name"] if point.startswith("smoothcache")]
    (stored,) = Store(target).records()
    assert stored == open_results(target).point(name).record == open_results(folder).point(name).record
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    publish(folder, target)
    publish(target, tmp_path / "again")  # a copy of a copy is the same
    after = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    again = {target / path.relative_to(tmp_path / "again"): path for path in tmp_path.glob("again/**/*.*")}
    assert after == before == {name: path.read_bytes() for name, path in again.items() if path.is_file()}


@pytest.mark.parametrize(
    "content",
    [b"{", b"\x1f\x8b\x08 torn", gzip.compress(b"{"), gzip.compress(b"{}" * 99)[:-9]],
    ids=["no JSON", "no gzip", "no JSON within", "cut off"],
)
def test_a_damaged_packed_record_is_named(tmp_path: Path, content: bytes) -> None:
    publish(build(tmp_path / "dit_ddim", (0, 6), UNSCORED), tmp_path / "results")
    (tmp_path / "results/records/torn.json.gz").write_bytes(content)
    frame = load(tmp_path / "results")
    (line,) = frame.attrs["ignored"]
    assert line.startswith("records/torn.json.gz: ") and "\n" not in line and len(frame) == 2


def test_publication_of_an_older_schema_is_replaced(tmp_path: Path) -> None:
    folder, target = (build(tmp_path / name, (0, 8), UNSCORED) for name in ("dit_ddim", "results"))
    torn = folder / "records" / "torn.json"
    torn.write_text("{")
    with pytest.raises(ValueError, match=r"1 of its records cannot be read \(records/torn.json"):
        publish(folder, target)
    assert len(load(target)) == 2  # nothing was lost
    torn.unlink()
    for name in ("no-cache,-50-steps", "fora-n=4"):
        edit(target, name, schema=1)
    edit(target, "fora-n=4", experiment="another")
    with pytest.raises(ValueError, match="holds another experiment"):
        publish(folder, target)
    edit(target, "fora-n=4", experiment="dit_ddim")
    publish(folder, target)
    assert len(load(target)) == 2 and not load(target).attrs["ignored"]


@pytest.mark.slow
def test_a_file_is_no_place_to_publish_to(tmp_path: Path) -> None:
    folder, target = build(tmp_path / "dit_ddim", (0, 8), UNSCORED), tmp_path / "file"
    target.write_text("mine")
    with pytest.raises(ValueError, match="it is a file, choose a folder"):
        publish(folder, target)
    assert target.read_text() == "mine"


def test_publishing_again_replaces_what_is_gone_and_nothing_else(tmp_path: Path) -> None:
    small, target = build(tmp_path / "runs" / "dit_ddim", (0, 6, 18), UNSCORED), tmp_path / "results"
    publish(small, target)
    (target / "NOTES.md").write_text("kept")
    next((small / "records").glob("taylorseer-n=2-*.json")).unlink()
    publish(small, target)
    assert len(load(target)) == 2 and (target / "NOTES.md").exists()
    for inside in (small, small / "in", small.parent):
        with pytest.raises(ValueError, match="one lies in the other"):
            publish(small, inside)
    edit(target, "fora-n=2", experiment="another")
    with pytest.raises(ValueError, match="holds another experiment"):
        publish(small, target)


def test_a_plan_on_the_calibration_batch_is_not_drawn_as_error_curves(tmp_path: Path) -> None:
    folder = build(tmp_path / "planned", (0, 6, 7, 14), UNSCORED)
    assert "error_curves.png" in {path.name for path in write(folder)}
    record = next(
        path for path in (folder / "records").glob("*.json") if CALIBRATION["file"] in path.read_text()
    )
    record.write_text(record.read_text().replace(CALIBRATION["file"], "plans/0.json"))
    (folder / "plans").mkdir()
    (folder / "plans/0.json").write_text("{}")
    (folder / "error_curves.png").unlink()
    assert "error_curves.png" not in {path.name for path in write(folder)}
