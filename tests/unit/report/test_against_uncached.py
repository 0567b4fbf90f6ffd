"""Points beside the uncached run and the best rival: which run, which rival, and what yes, no and open stand for."""

from pathlib import Path

import pandas as pd
import pytest

from metrics.inference import Estimate, paired_difference
from metrics.score import Score
from smoothbench.report import load
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.studies.against_uncached import ALLOWANCE, MARGIN, against_uncached, section
from smoothbench.report.tables.two_points import influences
from tests.support.report_folder import KINDS, SITES, build, edit, every, plans

LABELS = [label for label, *_ in plans()]
PSNR, FD = "psnr@256", "fd_nano@256"


def cells(frame: pd.DataFrame) -> dict[str, dict[str, str]]:
    """The cells of the table, by label and column."""
    (_, group), *_ = comparable_groups(frame)
    table = against_uncached(group, Path(frame.attrs["folder"]))
    assert table is not None
    return {row["policy"]: {str(key): str(cell) for key, cell in row.items()} for _, row in table.iterrows()}


def difference(frame: pd.DataFrame, labels: tuple[str, str], score: str) -> Estimate:
    rows, folder = frame.set_index("label"), Path(frame.attrs["folder"])
    a, b = (Score(float(rows.loc[one, score]), influences(folder, rows.loc[one])[score]) for one in labels)
    return paired_difference(a, b)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The uncached run, and points of four methods."""
    labels = [
        "no cache, 50 steps",
        "no cache, 26 steps",
        "no cache, 18 steps",
        "FORA N=1",
        "FORA N=2",
        "FORA N=3",
    ]
    labels += ["SmoothCache a=0.04", "SmoothCache a=0.3", "TaylorSeer N=2", "TaylorSeer N=4"]
    return load(build(tmp_path_factory.mktemp("results"), [LABELS.index(label) for label in labels]))


@pytest.fixture
def beside_a_fine_run(tmp_path: Path) -> pd.DataFrame:
    """The reference has 50 steps, and the others 40: one of them computes all."""
    labels = [
        "no cache, 50 steps",
        "no cache, 40 steps",
        "FORA N=2",
        "SmoothCache a=0.04",
        "no cache, 18 steps",
    ]
    folder = build(tmp_path, [LABELS.index(label) for label in labels])
    for name in ("fora-n=2", "smoothcache-a=0.04"):
        schedule = {"sites": SITES, "kinds": KINDS, "rows": every(2, 40)}
        edit(folder, name, schedule=schedule, solver={"name": "ddim", "steps": 40})
    return load(folder)


def test_the_best_rival_is_of_another_method_and_costs_no_more(results: pd.DataFrame) -> None:
    frame, table = results.set_index("label"), cells(results)
    assert "no cache, 50 steps" not in table and "FORA N=1" not in table, "the reference, and its twin"
    for label, row in table.items():
        others = frame.loc[
            [other for other in table if frame.loc[other, "family"] != frame.loc[label, "family"]]
        ]
        affordable = others[others["share"] <= frame.loc[label, "share"] + ALLOWANCE]
        if not len(affordable):
            assert row[f"{PSNR}, rival"] == "-"
            continue
        best = str(affordable[PSNR].idxmax())
        assert row[f"{PSNR}, rival"].endswith(f"({best})")
        expected = difference(results, (label, best), PSNR).value
        assert float(row[f"{PSNR}, rival"].split()[0]) == pytest.approx(expected, abs=0.06)
    assert any(row[f"{PSNR}, rival"] == "-" for row in table.values()), "nothing is as cheap as the cheapest"
    assert f"{PSNR}, nearer" not in table["FORA N=2"], "no fine run"


def test_families_that_begin_alike_are_one_method(results: pd.DataFrame) -> None:
    pair = results[results["label"].isin(["no cache, 50 steps", "TaylorSeer N=2", "FORA N=2"])]
    assert cells(pair)["TaylorSeer N=2"][f"{PSNR}, rival"].endswith("(FORA N=2)")
    one = pair.assign(family=pair["family"].replace("TaylorSeer", "FORA, forecast"))
    assert cells(one)["TaylorSeer N=2"][f"{PSNR}, rival"] == "-"


def test_as_good_is_by_the_upper_end_of_the_interval(results: pd.DataFrame) -> None:
    uncached, verdicts = "no cache, 50 steps", set[str]()
    first = float(results.set_index("label").loc[uncached, FD])
    margin = MARGIN * first
    made = {"SmoothCache a=0.04": first - 0.5, "TaylorSeer N=2": first + margin}
    values = results["label"].map(made).fillna(results[FD]).astype(float)
    frame = results.assign(**{FD: values})
    for label, row in cells(frame).items():
        estimate = difference(frame, (label, uncached), FD)
        verdict = "yes" if estimate.high <= margin else "no" if estimate.low > margin else "open"
        assert row[f"{FD}, as good"].endswith(f" {verdict}"), label
        verdicts.add(verdict)
    assert verdicts == {"yes", "no", "open"}
    assert "is_nano@256, as good" not in cells(frame)["FORA N=2"], "distances alone"


def test_nearer_to_a_fine_run_than_the_uncached_one(beside_a_fine_run: pd.DataFrame) -> None:
    table = cells(beside_a_fine_run)
    assert set(table) == {"FORA N=2", "SmoothCache a=0.04", "no cache, 18 steps"}, "neither of the two runs"
    for label, verdict in {"SmoothCache a=0.04": "yes", "no cache, 18 steps": "no"}.items():
        estimate = difference(beside_a_fine_run, (label, "no cache, 40 steps"), PSNR)
        assert (estimate.low > 0) is (verdict == "yes") and (estimate.high < 0) is (verdict == "no")
        assert table[label][f"{PSNR}, nearer"].endswith(f" {verdict}")
    rows = beside_a_fine_run.set_index("label")
    share = rows.loc["FORA N=2", "share"] / rows.loc["no cache, 40 steps", "share"]
    assert float(table["FORA N=2"]["MACs (%)"]) == pytest.approx(100 * share, abs=0.06), (
        "of the uncached run's"
    )
    quality = difference(beside_a_fine_run, ("FORA N=2", "no cache, 40 steps"), FD).value
    assert float(table["FORA N=2"][f"{FD}, as good"].split()[0]) == pytest.approx(quality, abs=0.006)


def test_nearer_by_a_distance_that_is_better_where_it_is_lower(beside_a_fine_run: pd.DataFrame) -> None:
    frame = beside_a_fine_run.assign(**{f"{PSNR}.higher_is_better": False})
    uncached = frame.loc[frame["label"] == "no cache, 40 steps", PSNR].iloc[0]
    frame.loc[frame["label"] == "FORA N=2", PSNR] = uncached
    verdicts = {"SmoothCache a=0.04": "no", "no cache, 18 steps": "yes", "FORA N=2": "open"}
    for label, verdict in verdicts.items():
        assert cells(frame)[label][f"{PSNR}, nearer"].endswith(f" {verdict}")


def test_clips_of_audio_are_near_by_their_mel_spectra(results: pd.DataFrame) -> None:
    names = {one: one.replace("psnr", "mel_l1") for one in results.columns if one.startswith("psnr")}
    assert "mel_l1@256, rival" in cells(results.rename(columns=names))["FORA N=2"]


def test_the_section_explains_its_words(results: pd.DataFrame) -> None:
    text = "\n".join(section(results).lines)
    assert text.startswith("### Against no cache") and "3 %" in text and "*Rival*" in text


def test_without_cached_points_there_is_no_section(tmp_path: Path) -> None:
    folder = build(tmp_path, [0, LABELS.index("no cache, 40 steps")])
    assert not section(load(folder)).lines


def test_without_the_uncached_run_there_is_no_section(tmp_path: Path) -> None:
    folder = build(tmp_path, [0, LABELS.index("FORA N=2")])
    edit(folder, "fora-n=2", solver={"name": "ddim", "steps": 40})
    assert not section(load(folder)).lines
