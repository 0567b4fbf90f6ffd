"""smoothbench.results: what a folder gives, and what it is refused for."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import smoothbench.results
from smoothbench.errors import UsageError
from smoothbench.report import write
from smoothbench.report.tables.point_tables import report_table
from smoothbench.report.tables.two_points import compare
from smoothbench.results import Results, load
from tests.support.report_folder import build, edit, record, save

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference, a point that failed, FORA N=3 and SmoothCache, and two points of another number of samples."""
    folder = build(tmp_path_factory.mktemp("results") / "dit_ddim", (0, 7, 14, 21))
    for order in (0, 7):
        other = record(order, 512, (0, 512))
        save(folder, other | {"scores": {"fd_nano@512": other["scores"]["fd_nano@512"]}})
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return load(folder)


def test_a_folder_gives_points_and_groups_that_compare(results: Results) -> None:
    assert len(results.frame) == 6 and [len(group.frame) for group in results.groups] == [4, 2]
    assert "N = 256" in results.groups[0].title and "N = 512" in results.groups[1].title
    assert "6 points" in repr(results) and "4 points" in repr(results.groups[0])


def test_the_table_is_the_reports_and_shows_four_scores(results: Results) -> None:
    group = results.groups[0]
    table, whole = results.table(), report_table(group.frame)
    assert list(table.frame.columns)[3:] == [
        next(title for title in whole if str(title).startswith(name)) for name in group.headline[:4]
    ]
    for title in table.frame.columns:
        assert list(table.frame[title]) == list(whole[title])
    assert table.markdown().count("\n") == 2 + len(table.frame) and "**" in table.markdown()
    assert table._repr_markdown_() == table.markdown() and str(table).startswith("policy")
    assert len(results.table(["psnr@256"]).frame.columns) == 4


def test_pictures_show_the_scores_that_are_named(results: Results) -> None:
    titles = [axes.get_title("left") for axes in results.pareto("latency", ["psnr@256", "ssim@256"]).axes]
    assert [title for title in titles if title] == ["psnr@256", "ssim@256"]
    group = results.groups[0]
    names = list(group.front("psnr@256")["name"])
    assert "fora-n=3" in names or "smoothcache-a=0.08" in names
    assert group.schedules(names).axes and group.contact_sheet(["fora-n=3"]).axes
    assert "psnr@256" in set(group.fidelity_table(["psnr@256"]).frame.columns.str.split().str[0])
    assert list(group.pairing_gain()["score"]) and group.block_spread().empty


@pytest.mark.slow
def test_files_of_the_report_are_functions_of_a_group(folder: Path, results: Results, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    write(copy, brief=True)  # all tables, and few pictures
    assert results.groups[0].csv().encode() == (copy / "table.csv").read_bytes()
    assert results.groups[0].latex().encode() == (copy / "table.tex").read_bytes()
    assert results.groups[1].csv().encode() == (copy / "ddim-50-guidance2-n512-seeds0_511.csv").read_bytes()


def test_points_are_compared_in_pairs(folder: Path, results: Results) -> None:
    ids = [
        results.groups[0].frame.set_index("name").at[name, "point_id"]
        for name in ("fora-n=3", "smoothcache-a=0.08")
    ]
    assert results.compare(*ids) == compare(folder, *ids)


def test_a_lone_name_is_one_name(results: Results) -> None:
    group = results.groups[0]
    assert str(group.table("psnr@256")) == str(group.table(["psnr@256"]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda results: results.table(["fid"]), "no score fid: there are psnr@256, ssim@256"),
        (lambda results: results.pareto(scores=["fid"]), "no score fid"),
        (lambda results: results.groups[0].front("fid"), "no score fid"),
        (
            lambda results: results.groups[0].front("psnr@256", "speed"),
            "no cost speed: take macs, share, or latency",
        ),
        (lambda results: results.groups[0].latex(["fid"]), "no score fid"),
        (lambda results: results.groups[0].schedules(["gone"]), "no point gone: there are no-cache"),
        (lambda results: results.point("gone"), "0 points are called gone: choose by name of"),
        (lambda results: results.point("fora-n=3"), "2 points are called fora-n=3: choose by point_id of"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(results: Results, call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=message) as caught:
        call(results)
    assert "\n" not in str(caught.value)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    return build(tmp_path / "dit_ddim", (0, 6), ("fd_nano@256",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema": 3, "na', "1 of its files cannot be read (records/torn.json: "),
        ('{"schema": 99}', "its schema is 99, this version reads 3"),
        (
            '{"schema": 2}',
            "its results are of an earlier version, whose ids contain import paths: python -m",
        ),
        ('{"schema": 3}', "it has no 'experiment'"),
        ("[1]", "records/torn.json"),
    ],
)
def test_a_folder_with_a_damaged_or_old_record_is_refused_in_one_line(
    damaged: Path, content: str, message: str
) -> None:
    (damaged / "records" / "torn.json").write_text(content)
    with pytest.raises(UsageError) as caught:
        load(damaged)
    assert (
        message in str(caught.value) and str(damaged) in str(caught.value) and "\n" not in str(caught.value)
    )


def test_a_folder_without_records_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    for folder, message in ((tmp_path, "no readable record in"), (tmp_path / "gone", "no such folder")):
        with pytest.raises(UsageError, match=message) as caught:
            load(folder)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="no such folder"):
        load(ROOT / "README.md")


def test_a_record_that_is_damaged_after_loading_is_named(damaged: Path) -> None:
    results = load(damaged)
    edit(damaged, "fora-n=2", order="first")
    with pytest.raises(UsageError, match=r'records/fora-n=2-.*\.json: its order is "first"'):
        results.point("fora-n=2")


def test_the_package_documents_every_public_name() -> None:
    for name in smoothbench.results.__all__:
        public = getattr(smoothbench.results, name)
        assert public.__doc__
        members = vars(public).items() if isinstance(public, type) else ()
        plain = [
            member
            for key, member in members
            if not key.startswith("_") and callable(getattr(member, "fget", member))
        ]
        assert all((member.fget if isinstance(member, property) else member).__doc__ for member in plain)


@pytest.mark.slow
def test_it_loads_no_network_and_starts_without_a_model() -> None:
    """Reading results must not load weights or touch the samplers' data, nor wait for what scores samples.

    Kendall's tau, which few reports need, would have every start wait for scipy.stats, a sixth of all imports.
    """
    code = (
        "import sys; from smoothbench.results import load; r = load('results/learning_to_cache'); r.table();"
        "print(len(r.frame), *(name in sys.modules for name in ('diffusers.models', 'torchmetrics', 'scipy.stats')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["13", "False", "False", "False"]


def test_json_of_a_published_record_is_what_the_point_holds() -> None:
    point = load(ROOT / "results/learning_to_cache").point("l2c-penalty=1e-05")
    (path,) = (ROOT / "results/learning_to_cache/records").glob(f"*-{point.record.point_id}.json.gz")
    assert point.record.to_json() == json.loads(gzip.decompress(path.read_bytes()))
    assert torch.is_tensor(load(ROOT / "results/learning_to_cache").point("at_l2c-interval=2").curves.l1)  # type: ignore[union-attr]
