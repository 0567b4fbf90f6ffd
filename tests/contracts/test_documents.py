"""The documents lead where they say, and numbers in heads of experiments stand in published records."""

import json
import re
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml

from docs import metrics_table
from smoothbench.report import load

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "results", "baselines", "smoothbench", "notebooks")
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
)
EXPERIMENTS = sorted((ROOT / "conf/exp").rglob("*.yaml"))


def published(path: Path) -> bool:
    return "runs" not in path.relative_to(ROOT).parts


def anchors(text: str) -> set[str]:
    """The places of a document that links may name: its headings, as GitHub names them, and its own."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
    return slugs | set(re.findall(r'<a id="([\w-]+)">', text))


def test_the_list_of_scores_is_that_of_the_configuration() -> None:
    """If not: python -m docs.metrics_table"""
    assert metrics_table.PAGE.read_text() == metrics_table.page()


@pytest.mark.parametrize(
    "path", [*filter(published, DOCUMENTS)], ids=lambda path: str(path.relative_to(ROOT))
)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{path.name}: {link}"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{path.name}: {link}"


@pytest.mark.parametrize(
    "name",
    [
        "architecture",
        "measurement",
        "commands",
        "library",
        "models",
        "results",
        "glossary",
        "fitted",
        "interop",
        "your_pipeline",
        "your_schedule",
    ],
)
def test_the_readme_leads_to_every_document(name: str) -> None:
    assert f"(docs/{name}.md" in (ROOT / "README.md").read_text()


def stands_in(number: str, text: str) -> bool:
    """Whether a text has this number, and not as a part of a longer one."""
    return re.search(rf"(?<![\d.]){re.escape(number.removeprefix('+'))}(?!\d)", text) is not None


def test_findings_of_the_readme_stand_in_the_findings() -> None:
    findings = (ROOT / "results/FINDINGS.md").read_text()
    section = (ROOT / "README.md").read_text().split("## Findings")[1].split("\n## ")[0]
    linked = re.findall(r"\[([\d.]+ (?:dB|%))\]\(results/FINDINGS\.md#([\w-]+)\)", section)
    assert len(linked) == 8
    for number, place in linked:
        bullet = findings.split(f'<a id="{place}"></a>')[1].split("\n- ")[0]
        assert stands_in(number, " ".join(bullet.split())), f"{place}: {number}"


# what paths in documents are relative to
PLACES = ("", "smoothbench", "smoothbench/models", "smoothbench/report", "tests")
TEMPLATES = ("NAME", "FAMILY", "ROOM")


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_documents_name_files_that_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    paths = re.findall(r"`([\w./]+(?:\.py|\.yaml|\.md|\.json|/))`", text)
    named = [path for path in paths if not any(word in path for word in TEMPLATES) and path[0].islower()]
    missing = [path for path in named if not any((ROOT / place / path).exists() for place in PLACES)]
    assert len(named) > 5 and not missing


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/commands.md"])
def test_targets_of_make_exist(name: str) -> None:
    rules = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    targets = re.findall(r"(?:^|`|\()make (\w+)", (ROOT / name).read_text(), re.M)
    assert targets and set(targets) <= set(rules)


def words(table: str) -> list[str]:
    return [
        word
        for cell in re.findall(r"^\| (.+?) \|", table, re.M)
        for word in re.findall(r"\*\*(.+?)\*\*", cell)
    ]


def test_the_glossary_gives_one_meaning_to_a_word() -> None:
    defined = words((ROOT / "docs/glossary.md").read_text())
    assert len(defined) == len(set(defined)) > 40
    assert {"site", "schedule", "policy", "predictor", "branch", "baseline", "`_nano`"} <= set(defined)


def paragraph(path: Path, word: str) -> str:
    """What an experiment's head says after `word:`, its lines joined."""
    found = re.search(rf"^# {word}: (.*\n(?:#   .*\n)*)", path.read_text(), re.M)
    assert found, f"{path.name}: the head needs a line `# {word}: ...`"
    return " ".join(found[1].replace("\n#   ", " ").split())


def sources(text: str) -> list[Path]:
    paths = [ROOT / name for name in re.findall(r"results/[\w./-]*[\w]", text)]
    assert paths, "a head names the published file that its numbers are from"
    return paths


def prose(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_says_what_it_gives(path: Path) -> None:
    text = paragraph(path, "Gives")
    if path.stem == "smoke":  # nothing is published of it
        return
    files = sources(text)
    assert all(file.exists() for file in files)
    known = "".join(map(prose, files)) + path.read_text().split("defaults:")[1]
    decimals = re.findall(r"(?<![\w.=])[+-]?\d+\.\d+", re.sub(r"results/\S+", "", text))
    assert decimals, "numbers that must come out"
    assert not [number for number in decimals if not stands_in(number, known)]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_says_how_long_it_takes(path: Path) -> None:
    text = paragraph(path, "Takes")
    if path.stem == "smoke":
        return
    files = sources(text)
    assert all(file.exists() for file in files)
    if total := re.search(r"latencies add up to ([\d.]+) s for (\d+)", text):
        latency = json.loads(files[0].read_text())
        frame = load(files[0].parent)
        assert f"{frame['latency'].sum():.1f}" == total[1] and str(latency["batch_size"]) == total[2]
        seconds = frame["latency"].sum() / latency["batch_size"] * 256
        minutes = re.search(r"about (\d+) minutes", text)
        assert minutes and abs(seconds / 60 - int(minutes[1])) < 0.06 * int(minutes[1]) + 0.5
    if span := re.search(r"within ([\d.]+) minutes", text):
        assert f"{minutes_between(load(files[0].parent)):.1f}" == span[1]
    if shared := re.search(r"(\d+) points share (\d+) sets", text):
        frame = load(files[0].parent)
        assert (str(len(frame)), str(frame["sample_id"].nunique())) == shared.groups()
    for seconds_a_batch in re.findall(r"(\d\.\d{3,4}) s", text):
        assert any(seconds_a_batch in prose(file) for file in files)


def minutes_between(frame: pd.DataFrame) -> float:
    """From the first record of a folder to its last."""
    times = [datetime.fromisoformat(provenance["time"]) for provenance in frame["provenance"]]
    return (max(times) - min(times)).total_seconds() / 60


def test_the_citation_is_one() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["title"] == "SmoothBench" and citation["message"]
    assert citation["authors"] == [{"name": "SmoothBench contributors"}]
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{citation["version"]}"' in project and f'license = "{citation["license"]}"' in project


def test_the_extra_for_video_names_protobuf() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert '"protobuf>=4"' in text.partition("\nvideo = [")[2].partition("]")[0]
