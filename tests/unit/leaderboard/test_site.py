"""The pages of a leaderboard: ranks that follow from the scores, links that lead somewhere, commands that make rows."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from smoothbench.leaderboard.__main__ import main
from smoothbench.leaderboard.cards import cards
from smoothbench.leaderboard.commands import row_commands, script_commands
from smoothbench.leaderboard.ranking import boards
from smoothbench.leaderboard.submission import read_submissions
from tests.contracts.freeze import points
from tests.oracles.verdict import Oracle
from tests.support.compose import composed
from tests.support.html_document import parsed, text_of, walk
from tests.support.published_part import RESULTS, part_of

FEW = ("fora-orientation=mirrored-interval=3", "fewer-steps=18", "fora_taylor")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return part_of(tmp_path_factory.mktemp("published") / "dit_ddim", "dit_ddim", *FEW)


@pytest.fixture(scope="module")
def site(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of two people's records: one has handed in a part of what the other has."""
    other = tmp_path_factory.mktemp("other") / "again"
    part_of(other, "dit_ddim", FEW[0])
    out = tmp_path_factory.mktemp("out") / "site"
    assert main([str(few), str(other), "--out", str(out)]) == 0
    return out


def documents(site: Path) -> dict[str, list[Any]]:
    return {path.name: parsed(path.read_text(encoding="utf-8")) for path in site.glob("*.html")}


def test_a_rank_counts_the_methods_that_are_shown_to_be_better() -> None:
    scores = ("psnr@2048", "fd_nano@2048")
    oracle = Oracle(RESULTS / "dit_ddim", scores)
    (board,) = boards(read_submissions([RESULTS / "dit_ddim"]))
    for budget, rankings in board.standings.items():
        for score, ranking in zip(scores, rankings, strict=True):
            labels = {place.row: str(board.rows.at[place.row, "label"]) for place in ranking}
            assert set(labels.values()) == set(oracle.offers(budget.saving, budget.factor))
            for place in ranking:
                others = [label for row, label in labels.items() if row != place.row]
                better = [one for one in others if oracle.better(one, labels[place.row], score)]
                worse = [one for one in others if oracle.better(labels[place.row], one, score)]
                assert place.rank == 1 + len(better)
                assert {labels[row] for row in place.tied} == set(others) - {*better, *worse}


def test_every_link_leads_somewhere_and_nothing_is_loaded(site: Path) -> None:
    pages = documents(site)
    places = {name: {node[1]["id"] for node in walk(root) if "id" in node[1]} for name, root in pages.items()}
    assert set(pages) == {"index.html", "methods.html", "submissions.html", "model-dit-nano.html"}
    for name, root in pages.items():
        for node in walk(root):
            assert "src" not in node[1] and node[0] not in ("script", "link", "img")
            if "href" in node[1]:
                file, _, place = node[1]["href"].partition("#")
                assert not place or place in places[file or name], node[1]["href"]
                assert not file or file in pages
        assert "default-src 'none'" in next(
            node[1].get("content", "") for node in walk(root) if "http-equiv" in node[1]
        )


def test_the_first_page_says_who_is_first_and_who_cannot_be_told_apart(site: Path) -> None:
    text = text_of(documents(site)["index.html"])
    assert "first at 2× fewer MACs" in text and "psnr@2048 FORA N=3, order 1 of 3" in text
    assert re.search(r"fd_nano@2048 FORA N=3, (order 1|mirrored)", text)


def test_a_point_that_two_people_handed_in_stands_once(site: Path) -> None:
    text = text_of(documents(site)["model-dit-nano.html"])
    assert text.count("also handed in by again") == 2  # the reference, too
    assert "(dit_ddim)" in text


def test_the_same_records_give_the_same_bytes_and_old_pages_go(site: Path, few: Path, tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in site.iterdir()}
    out = Path(shutil.copytree(site, tmp_path / "site"))
    (out / "model-gone.html").write_text("of a model that nobody hands in any more")
    (out / "notes.html").write_text("mine")
    mark = json.loads((out / "leaderboard.json").read_text())
    (out / "leaderboard.json").write_text(
        json.dumps({"pages": [*mark["pages"], "model-gone.html", "../x.html"]})
    )
    assert main([str(few), str(site.parent.parent / "none"), "--out", str(out)]) == 2
    assert (out / "model-gone.html").exists()
    assert main([str(few), "--out", str(out)]) == 0
    again = {path.name: path.read_bytes() for path in out.iterdir()}
    assert again.pop("notes.html") == b"mine" and "model-gone.html" not in again
    assert again["methods.html"] == first["methods.html"] and again.keys() == first.keys()


def test_every_method_has_a_card_in_the_words_of_its_class(few: Path) -> None:
    (one,) = read_submissions([few])
    titles = {card.title: card for card in cards(one.records.values())}
    assert len(titles) == 3
    assert titles["FORA"].text[0].startswith("FORA computes all sites at fixed intervals")
    assert titles["FORA"].heads["fora"].arxiv == "2407.01425"
    taylor = next(card for card in titles.values() if card.method.predictor == "taylor")
    assert taylor.text[-1].startswith("Predictor: ") and "Raises" not in " ".join(taylor.text)


def test_a_row_has_the_command_that_makes_it() -> None:
    (one,) = read_submissions([RESULTS / "dit_ddim"])
    by_name = {record.name: record for record in one.records.values()}
    command = "python -m smoothbench -m +exp=dit_ddim seed=0,1,2,3 num_samples=512 'metrics=[image,effnet]'"
    assert row_commands(by_name["reference"], one) == [command]
    for name, only in ((FEW[0], "fora"), (FEW[1], "fewer")):
        (made,) = row_commands(by_name[name], one)
        assert made == f"{command} 'only=[{only}]'"
        arguments = [part for part in shlex.split(made)[4:] if not part.startswith(("seed=", "num_samples="))]
        ids = points(*arguments, "seed=1", "num_samples=512")
        _, point_id, cell_id = ids[name].split()
        assert by_name[name].parts[1] == point_id and by_name[name].cell_id == cell_id


def test_a_recorded_command_comes_first(few: Path, tmp_path: Path) -> None:
    (one,) = read_submissions([few])
    record = next(record for record in one.records.values() if record.name == "fora_taylor")
    parts = [{"command": f"python -m smoothbench +exp=mine seed={seed}"} for seed in (0, 1)]
    recorded = type(record).from_json(record.to_json() | {"provenance": {"parts": parts}})
    assert row_commands(recorded, one) == [f"{part['command']} 'only=[fora_taylor]'" for part in parts]
    alone = type(record).from_json(record.to_json() | {"experiment": "nobody's", "provenance": {}})
    assert row_commands(alone, one) == []


def test_the_script_holds_the_commands_of_all_published_results() -> None:
    commands = script_commands(RESULTS / "commands.sh")
    table = dict(
        re.findall(
            r"^\| \[(\S+)\].*?\| `(python -m smoothbench (?:-m )?\+exp.*?)` \|", _readme(), re.MULTILINE
        )
    )
    assert len(table) > 10 and {name: commands[name] for name in table} == table
    folders = {
        path.parent.relative_to(RESULTS).as_posix() for path in RESULTS.rglob("records") if path.is_dir()
    }
    assert {name for name in folders if not name.startswith("runs/")} <= commands.keys()
    for command in commands.values():
        arguments = [part for part in shlex.split(command)[3:] if part != "-m"]
        composed(*(re.sub(r"^([\w.+/]+=)([^\[,]*),.*", r"\1\2", part) for part in arguments))


def _readme() -> str:
    return (RESULTS / "README.md").read_text(encoding="utf-8")
