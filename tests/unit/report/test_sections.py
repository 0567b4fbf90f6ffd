"""Sections of a report that an experiment names: found by name, made of the records, left out where they fail."""

import json
import logging
from pathlib import Path

import pytest
import yaml

import conf
from smoothbench.config.expand import settings
from smoothbench.config.report_sections import section_names, sections_of_experiment
from smoothbench.errors import UsageError
from smoothbench.report import load, write
from smoothbench.report.publish import publish
from smoothbench.report.studies.named_sections import named_sections, section_function
from smoothbench.report.studies.section import Section
from tests.support.compose import composed
from tests.support.report_folder import build, edit

pytestmark = pytest.mark.slow

MODULE = """
from matplotlib.figure import Figure
from smoothbench.report.studies.section import Section

def counted(points):
    return Section(["## Counted", "", f"{len(points)} points of {points['experiment'].iloc[0]}", ""], {"dots": Figure})

def section(points):
    return Section(["## In short"], {"dots": Figure}, summarises=True)

def failing(points):
    raise RuntimeError("no such\\nthing")

def other(points):
    return ["lines alone"]

def escaping(points):
    return Section([], {"../dots": Figure})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two points of an experiment of a user's own, whose module of sections lies on the path."""
    (tmp_path / "own_sections.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    folder = build(tmp_path / "mine", (0, 6), ("fd_nano@256",))
    for path in (folder / "records").glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"experiment": "mine"}))
    return folder


def name_sections(folder: Path, *names: object) -> None:
    edit(folder, "fora-n=2", config={"report": list(names)})


def test_a_users_experiment_has_its_own_section_after_the_tables(folder: Path) -> None:
    name_sections(folder, "own_sections.counted")
    paths = {path.name for path in write(folder, vector=True)}
    text = (folder / "report.md").read_text()
    assert "\n## Counted\n\n2 points of mine\n\n![dots](dots.png)\n" in text
    assert text.index("### Verdict") < text.index("### In short") < text.index("## Counted")
    assert {"dots.png", "dots.svg", "pareto_macs.png"} <= paths, "a section beside the usual pictures"


def test_a_section_that_summarises_stands_for_pictures_and_details(folder: Path, tmp_path: Path) -> None:
    name_sections(folder, "own_sections")
    published = {path.relative_to(tmp_path / "copy").parts[0] for path in publish(folder, tmp_path / "copy")}
    assert "records" in published and not published & {"scores", "previews", "curves", "pareto_macs.png"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("own_sections.absent", "AttributeError: module 'own_sections' has no attribute 'absent'"),
        ("no_such_module.section", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("nothing", "ImportError: there is no module nothing"),
        ("own_sections.failing", "RuntimeError: no such thing"),
        ("own_sections.other", "TypeError: it returned a list, not a Section"),
        ("own_sections.escaping", "ValueError: '../dots' is no name of a picture"),
    ],
)
def test_a_section_that_cannot_be_made_is_one_line(
    folder: Path, caplog: pytest.LogCaptureFixture, name: str, why: str
) -> None:
    name_sections(folder, name, "own_sections.counted")
    with caplog.at_level(logging.WARNING):
        write(folder)
    (line,) = [record.getMessage() for record in caplog.records if "section" in record.getMessage()]
    assert line.startswith(f"left out a section of the report: {name}: {why}") and "\n" not in line
    text = (folder / "report.md").read_text()
    assert "## Counted" in text and f"### Sections that could not be made\n\n- {name}: {why}" in text


def test_what_a_record_names_that_is_no_name_is_passed_over(folder: Path) -> None:
    name_sections(folder, 3, None, "own_sections.counted")
    assert len(named_sections(load(folder)).made) == 1
    edit(folder, "fora-n=2", config={"report": {"a": 1}})
    assert named_sections(load(folder)).made == []


def test_the_yaml_of_an_experiment_names_sections_for_records_that_do_not(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "list.yaml").write_text("- experiment")
    (tmp_path / "deeper" / "own.yaml").write_text("experiment: own\nreport: [a.b, c]\nother: ${missing}\n")
    assert sections_of_experiment("own", tmp_path) == ("a.b", "c")
    assert sections_of_experiment("another", tmp_path) == ()
    assert sections_of_experiment("calibration_size") == ("smoothbench.report.studies.calibration_size",)


@pytest.mark.parametrize("value", [3, "a b", "", "a..b", "a.b()", [["a"]], {"a": 1}, "../a"])
def test_a_value_that_names_no_section_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match=r"^report=.* must name a function"):
        section_names(value)


def test_a_run_hands_the_names_to_its_records() -> None:
    plan = settings(composed("+exp=smoke", "report=[own.section,own]"))
    assert plan.report == ("own.section", "own") and settings(composed("+exp=smoke")).report == ()


def experiments_with_sections() -> list[tuple[str, str]]:
    """Experiments of conf/exp with the sections that they name."""
    files = sorted((Path(conf.__file__).parent / "exp").rglob("*.yaml"))
    nodes = [yaml.safe_load(path.read_text()) for path in files]
    return [(node["experiment"], name) for node in nodes for name in section_names(node.get("report"))]


def test_the_studies_name_their_sections() -> None:
    studies = {"calibration_size", "calibration_variance"}
    studies |= {f"{kind}_{medium}" for kind in ("rivals", "fitted") for medium in ("image", "audio", "video")}
    assert {name for name, _ in experiments_with_sections()} == studies


@pytest.mark.parametrize(("experiment", "name"), experiments_with_sections())
def test_every_section_in_conf_is_made_of_the_published_records(experiment: str, name: str) -> None:
    assert name in sections_of_experiment(experiment)
    published = Path(conf.__file__).parents[1] / "results" / experiment
    make = section_function(name)
    if (published / "records").is_dir():
        section = make(load(published))
        assert isinstance(section, Section) and section.lines and bool(section.pictures) == section.summarises


def test_no_module_of_the_report_knows_an_experiment_by_name() -> None:
    report = Path(str(load.__code__.co_filename)).parents[1]
    texts = {path.name: path.read_text() for path in report.rglob("*.py")}
    known = [
        name for name, text in texts.items() if "calibration_size" in text or "calibration_variance" in text
    ]
    assert sorted(known) == ["calibration_size.py", "calibration_variance.py"]
