"""Whatever is part of what a point is, and differs within a folder, stands in a heading or a label."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from smoothbench.errors import UsageError
from smoothbench.export import point_of
from smoothbench.records import cost_csv
from smoothbench.report import summary
from smoothbench.report.compare import compare
from smoothbench.report.distinctions import distinction
from smoothbench.report.document import document, setting_title
from smoothbench.report.frame import load, settings
from smoothbench.report.latex import to_latex
from smoothbench.report.plots import pareto
from smoothbench.report.tables import numbers, report_table
from smoothbench.report.write import write
from smoothbench.store import Store
from tests.report_folder import CALIBRATION, digest, record, save, save_curves, save_previews

SHOWN = (0, 5, 7)  # the reference, FORA N=1 (its samples) and N=3
PLAIN = {"_target_": "smoothbench.solvers.ddim.DDIM", "steps": 50}
SOLVER = {"_target_": "smoothbench.solvers.ddim.DDIM", "steps": 50, "eta": 0.0}


def add(folder: Path, key: str, orders: tuple[int, ...] = SHOWN, **changes: Any) -> None:
    """Points of one table; `model`, `config` and others are merged into their records, `key` into their ids."""
    for order in orders:
        content = record(order, 256, (0, 256)) | {"per_block": 256}
        content["scores"] = {"fd_nano@256": content["scores"]["fd_nano@256"]}
        for name, change in changes.items():
            merged = isinstance(change, dict) and isinstance(content[name], dict)
            content[name] = content[name] | change if merged else change
        for name in ("point_id", "cell_id", "sample_id", "reference_id"):
            content[name] = digest(content[name], key)
        save(folder, content)
        save_previews(folder, content)


def weighted(letter: str, path: str | None = None) -> dict[str, Any]:
    """A model whose weights have a hash of one letter."""
    return {
        "model": {"weights_sha256": letter * 64},
        "config": {"model": {"path": path or f"checkpoints/{letter}"}},
    }


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """The same experiment with weights A and with weights B."""
    for letter in "ab":
        add(tmp_path, letter, **weighted(letter))
    return tmp_path


def titles(folder: Path) -> list[str]:
    return sorted(setting_title(part) for _, part in settings(load(folder)))


def test_two_checkpoints_have_headings_of_their_own_everywhere(checkpoints: Path) -> None:
    paths = write(checkpoints)
    said = [f"weights checkpoints/{letter} ({letter * 8})" for letter in "ab"]
    texts = {path.name: path.read_text() for path in paths if path.suffix in (".md", ".html", ".tex")}
    headings = re.findall(r"^## (.*)", texts["report.md"], re.M)
    page = re.findall(r"<h2>(.*?)</h2>", texts["report.html"])
    links = re.findall(r'<li><a href="#part-\d">(.*?)</a>', texts["report.html"])
    printed = [line for line in summary(checkpoints).splitlines() if line.startswith("dit_ddim:")]
    tables = [text.splitlines()[0] for name, text in texts.items() if name.endswith(".tex")]
    for found in (headings, page, links, printed, tables):
        assert len(found) == 2
        assert sorted(text in heading for text in said for heading in found) == [False, False, True, True]


def test_pictures_say_which_checkpoint_they_show_and_show_one(checkpoints: Path) -> None:
    drawn = [path for path in write(checkpoints) if path.suffix == ".svg" and "pareto" in path.name]
    texts = [re.sub(r"<[^>]*>", "", path.read_text()) for path in drawn]
    assert len(texts) == 2
    for _, part in settings(load(checkpoints)):
        figure = pareto(part)
        title, more = figure.get_suptitle().split("\n")
        assert "dit_nano, ddim" in title and more == distinction(part.iloc[0]) and "checkpoints/" in more
        assert len(set(part["identity"])) == 1


def test_a_folder_of_one_table_reads_as_ever(tmp_path: Path) -> None:
    add(tmp_path, "a", **weighted("a"))
    frame = load(tmp_path)
    assert titles(tmp_path) == ["dit_nano, ddim 50 steps, guidance 2, N = 256"]
    assert list(frame["label"]) == ["no cache, 50 steps", "FORA N=1", "FORA N=3"]
    assert (
        not {"distinction", "facts", "facts.model"} & set(numbers(frame)) and distinction(frame.iloc[0]) == ""
    )
    assert "config_hash" not in numbers(frame).to_csv()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"dtype": "bfloat16"}}, ("dtype float32", "dtype bfloat16")),
        ({"model": {"model_numerics": "diffusers"}}, ("", "model_numerics diffusers")),
        ({"model": {"architecture": {"num_layers": 6}}}, ("", "architecture.num_layers 6")),
        ({"model": {"vae_sha256": "c" * 64}, "config": {"model": {"vae": "my/vae"}}}, ("", "vae my/vae (cccccccc)")),
        (
            {"model": {"prompts_sha256": "d" * 64}, "config": {"model": {"prompts": {"file": "new.txt"}}}},
            ("", "prompts new.txt (dddddddd)"),
        ),
        ({"seeds": [[1000, 1256]]}, ("seeds 0-255", "seeds 1000-1255")),
        ({"provenance": {"kind": "cuda"}}, ("device cpu", "device cuda")),
        ({"config": {"solver": SOLVER | {"eta": 1.0}}}, ("eta 0", "eta 1")),
        ({"config": {"solver": SOLVER | {"numerics": "diffusers"}}}, ("", "numerics diffusers")),
        ({}, ("reference ", "reference ")),  # nothing that the records tell, but another pair
    ],
)  # fmt: skip
def test_other_facts_stand_in_the_heading(
    tmp_path: Path, changes: dict[str, Any], said: tuple[str, str]
) -> None:
    add(tmp_path, "a", config={"solver": SOLVER})
    add(tmp_path, "b", **{"config": {"solver": SOLVER}} | changes)
    base = "dit_nano, ddim 50 steps, guidance 2, N = 256"
    found = titles(tmp_path)
    assert len(set(found)) == 2 and all(title.startswith(base) for title in found)
    assert all(any(text in title for title in found) for text in said)
    assert all(len(title) < len(base) + 60 for title in found)


def test_what_a_heading_says_already_is_not_said_twice(tmp_path: Path) -> None:
    add(tmp_path, "a")
    add(tmp_path, "b", model={"guidance": 4.0})
    assert titles(tmp_path) == [f"dit_nano, ddim 50 steps, guidance {g}, N = 256" for g in (2, 4)]
    assert sorted(distinction(part.iloc[0]) for _, part in settings(load(tmp_path))) == [
        "guidance 2",
        "guidance 4",
    ]


def test_a_setting_that_was_left_out_elsewhere_is_named(tmp_path: Path) -> None:
    add(tmp_path, "a", config={"solver": PLAIN})
    add(tmp_path, "b", config={"solver": PLAIN | {"numerics": "diffusers"}})
    base = "dit_nano, ddim 50 steps, guidance 2, N = 256"
    assert titles(tmp_path) == [base, f"{base}, numerics diffusers"]


def test_the_settings_of_other_solvers_and_models_do_not_compare(tmp_path: Path) -> None:
    add(tmp_path, "a", config={"solver": SOLVER})
    other = {"_target_": "mine.Euler", "rho": 7.0}
    add(tmp_path, "b", solver={"name": "euler"}, config={"solver": other})
    assert titles(tmp_path) == [
        f"dit_nano, {name} 50 steps, guidance 2, N = 256" for name in ("ddim", "euler")
    ]


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"predictor": "taylor1"}, "FORA N=3 (predictor taylor1)"),
        ({"config": {"cache": {"interval": 4}}}, "FORA N=3 (interval 4)"),
        ({"config": {"solver": SOLVER | {"eta": 1.0}}}, "FORA N=3 (eta 1)"),
        ({"calibration": CALIBRATION | {"num_samples": 9}}, "FORA N=3 (calibration.num_samples 9)"),
        (
            {"code": {"policy": {"version": 1, "source": "beef" * 3}}},
            "FORA N=3 (code of the policy beefbeef)",
        ),
        ({"batch_size": 16}, "FORA N=3 (batch_size 16)"),
        ({}, "FORA N=3 (point "),
    ],
)
def test_points_of_one_label_are_told_apart(tmp_path: Path, changes: dict[str, Any], label: str) -> None:
    told: dict[str, Any] = {
        "config": {"cache": {"interval": 3, "label": "FORA N=3"}, "solver": SOLVER}, "calibration": CALIBRATION,
        "code": {"policy": {"version": 1, "source": "cafe" * 3}}, "batch_size": 8, "predictor": "reuse",
    }  # fmt: skip
    add(tmp_path, "", (0,))
    for key, more in (("a", told), ("b", told | changes)):
        content = record(7, 256, (0, 256)) | more | {"sample_id": digest(key), "point_id": digest(key)}
        save(tmp_path, content | {"reference_id": record(0, 256, (0, 256))["reference_id"]})
    reference = next((tmp_path / "records").glob("no-cache*"))
    plain = json.loads(reference.read_text()) | {"reference_id": record(0, 256, (0, 256))["reference_id"]}
    reference.write_text(json.dumps(plain))
    labels = list(report_table(load(tmp_path))["policy"])
    assert len(set(labels)) == 3 and sum(each.startswith(label) for each in labels) == (1 if changes else 2)


def test_other_numerics_than_the_references_stand_in_the_label(tmp_path: Path) -> None:
    add(tmp_path, "", (0, 5))
    add(tmp_path, "", (7,), numerics={"tf32_matmul": True})
    labels = list(report_table(load(tmp_path))["policy"])
    assert [label for label in labels if "tf32" in label] == ["FORA N=3 (tf32_matmul true)"]


def test_a_twin_is_the_one_with_the_same_samples(tmp_path: Path) -> None:
    for key, letter in (("a", "a"), ("b", "b")):
        add(tmp_path, key, **weighted(letter))
    for _, part in settings(load(tmp_path)):
        assert "FORA N=1 (skips nothing; = no cache, 50 steps)" in list(report_table(part)["policy"])


def test_scores_of_older_code_of_a_metric_are_flagged(tmp_path: Path) -> None:
    add(tmp_path, "", (0, 5, 7))
    path = next((tmp_path / "records").glob("fora-n=3-*.json"))
    content = json.loads(path.read_text())
    content["scores"]["fd_nano@256"]["config_hash"] = "other"
    content["provenance"]["time"] = "2020-01-01T00:00:00Z"
    path.write_text(json.dumps(content))
    frame = load(tmp_path)
    flags = dict(zip(frame["name"], frame["fd_nano@256.flag"], strict=True))
    assert "other code or settings of the metric" in flags["fora-n=3"]
    assert "other code" not in flags["no-cache,-50-steps"] + flags["fora-n=1"]
    text = document([(frame, [])], [])
    assert re.search(r"fd_nano@256\u2020: .*by other code or settings of the metric.*\(FORA N=3\)", text)


def test_scores_of_other_code_are_not_compared(tmp_path: Path) -> None:
    add(tmp_path, "")
    assert "+" in compare(tmp_path, "fora-n=3", "no-cache,-50-steps").splitlines()[1]
    path = next((tmp_path / "records").glob("fora-n=3-*.json"))
    path.write_text(path.read_text().replace('"config_hash": "', '"config_hash": "other'))
    line = compare(tmp_path, "fora-n=3", "no-cache,-50-steps").splitlines()[1]
    assert line.split(maxsplit=1) == ["fd_nano@256", "not compared: other code or settings of the metric, "
                                      "run the experiment again"]  # fmt: skip


def test_points_of_one_name_are_offered_with_what_they_differ_in(checkpoints: Path) -> None:
    with pytest.raises(ValueError, match=r"2 points are called fora-n=3.*\(FORA N=3, weights checkpoints/a"):
        compare(checkpoints, "fora-n=3", "fora-n=3")
    records = Store(checkpoints).records()
    with pytest.raises(
        UsageError, match=r"2 points are called fora-n=3.*\(weights checkpoints/a \(aaaaaaaa\)\)"
    ):
        point_of(records, checkpoints, "fora-n=3")


def test_the_cost_table_tells_cells_of_one_name_apart(tmp_path: Path) -> None:
    add(tmp_path, "a", (5, 7))
    cost_csv(Store(tmp_path))
    assert "differs_in" not in (tmp_path / "cost.csv").read_text()
    add(tmp_path, "b", (7,), model={"guidance": 4.0})
    cost_csv(Store(tmp_path))
    with (tmp_path / "cost.csv").open(newline="") as file:
        found = [(row["name"], row["differs_in"]) for row in csv.DictReader(file)]
    assert set(found) == {
        ("fora-n=3", "guidance 2"), ("fora-n=3", "guidance 4"), ("fora-n=1", ""),
    }  # fmt: skip


def test_latex_says_in_its_comment_which_setting_it_is(checkpoints: Path) -> None:
    heads = [to_latex(part).splitlines()[0] for _, part in settings(load(checkpoints))]
    assert [head for head in heads if "checkpoints/a" in head] and len(set(heads)) == 2
    assert all("(seeds 0-255), weights " in head for head in heads)


def test_a_study_of_two_checkpoints_mixes_nothing(tmp_path: Path) -> None:
    save_curves(tmp_path)
    for letter in "ab":
        add(
            tmp_path,
            letter,
            (0, 13),
            experiment="calibration_size",
            schedule=record(13, 256, (0, 256))["schedule"] | {"meta": {"alpha": 0.04}},
            calibration=CALIBRATION,
            **weighted(letter),
        )
    names = {path.name for path in write(tmp_path)}
    assert len([name for name in names if re.fullmatch(r"calibration_size.*\.png", name)]) == 2
    headings = re.findall(r"^## Calibration size.*", (tmp_path / "report.md").read_text(), re.M)
    assert sorted("checkpoints/a" in heading for heading in headings) == [False, True]
    assert (tmp_path / "report.html").read_text().count('<section class="figures">') == 2
