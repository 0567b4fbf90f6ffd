"""report.html in a browser: what the first screen says, and what clicks do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smoothbench.report import load
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.page.html_page import page
from smoothbench.storage.files import read_arrays
from tests.oracles.verdict import Oracle
from tests.support.browser import visit
from tests.support.report_folder import build, edit, plans, preview

pytestmark = pytest.mark.slow
RESULTS = Path(__file__).parents[3] / "results/dit_ddim"
SAMPLES = 40
NONE, MANY, SAME = "no cache, 50 steps", "FORA N=5", "FORA N=1"


def written(folder: Path, target: Path, pictures: dict[str, str] | None = None) -> Path:
    parts = [(part, pictures or {}) for _, part in comparable_groups(load(folder))]
    target.write_text(page(parts, folder, []), encoding="utf-8")
    return target


@pytest.fixture(scope="module")
def published_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(
        RESULTS, tmp_path_factory.mktemp("published") / "report.html", {"headline": "headline.png"}
    )


@pytest.fixture(scope="module")
def folder_with_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with a report and, beside it, the samples of two points and of a third that shares them."""
    folder = build(tmp_path_factory.mktemp("samples") / "run", range(len(plans())))
    ids = {row["label"]: row["sample_id"] for _, row in load(folder).iterrows()}
    for sample_id in {ids[label] for label in (NONE, MANY, SAME)}:
        (folder / "samples" / sample_id).mkdir()
        for seed in range(SAMPLES):
            preview(sample_id, seed).save(folder / "samples" / sample_id / f"{seed:09d}.png")
    written(folder, folder / "report.html")
    return folder


@pytest.mark.parametrize("width", [1280, 800])
def test_the_first_screen_says_what_is_best_and_what_cannot_be_told_apart(
    width: int, published_page: Path, tmp_path: Path
) -> None:
    script = """
      const fits = (node) => {
        const box = node.getBoundingClientRect();
        return box.height > 0 && box.bottom <= innerHeight;
      };
      const texts = (card, selector) => [...card.querySelectorAll(selector)].map((node) => node.innerText);
      const cards = all(".card").filter(fits).map((card) => ({
        budget: card.querySelector("h3").innerText,
        scores: texts(card, ".by span").map((text) => text.split(" ")[0]),
        best: [...card.querySelectorAll(".best")].map((node) => texts(node, "b")),
        text: texts(card, ".why li").join("; "),
        costs: texts(card, ".best small"),
      }));
      const note = all(".verdict .note").filter(fits).map((node) => node.innerText);
      const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
      return { cards, note, wide, height: innerHeight, figure: $(".figures img").getBoundingClientRect().top };"""
    shown = visit(published_page, script, tmp_path, width)
    scores = ("psnr@2048", "fd_nano@2048")
    oracle, factors = Oracle(RESULTS, scores), (2.0, 3.0)
    assert [card["budget"] for card in shown["cards"]] == [f"At {x:g}\u00d7 fewer MACs" for x in factors]
    for card, factor in zip(shown["cards"], factors, strict=True):
        assert card["scores"] == list(scores)
        for score, best in zip(scores, card["best"], strict=True):
            assert set(best) == oracle.unbeaten(score, "MACs", factor)
    two, three = (" ".join(card["text"].split()) for card in shown["cards"])
    assert [card["costs"] for card in shown["cards"]] == [
        ["37 %", "37 %", "43 %", "37 %"],
        ["28 %", "31 %", "29 %"],
    ]
    assert "alone is unbeaten of 6 methods; better than no cache, 18 steps: +5.76 [+5.61, +5.91]" in two
    assert "3 of 6 methods are unbeaten and cannot be told apart" in two
    assert "alone is unbeaten of 4 methods" in three
    assert "2 of 4 methods are unbeaten and cannot be told apart" in three
    assert "cannot be told apart. Unbeaten: no other method at this cost or less" in shown["note"][0]
    assert "N = 2048; 120 paired comparisons" in shown["note"][0]
    assert shown["figure"] < 0.75 * shown["height"] and shown["wide"] == 0  # the figure begins on it


CLICKS = """
      const table = $("table.sortable"), box = $("p.filter input");
      const quality = table.querySelectorAll("tr.groups button")[1];
      const lines = () => [...table.querySelectorAll("tbody tr")].filter((row) => row.offsetHeight);
      const shown = (row) => [...row.children].filter((cell) => cell.offsetWidth);
      const cells = (row) => shown(row).map((cell) => cell.innerText);
      const columns = () => [cells(table.querySelector("tr.titles")), cells(lines()[3]).length];
      const names = () => lines().map((row) => row.children[0].innerText);
      const marks = () => all("svg.chart g.point").length;
      const search = (words) => { box.value = words; box.dispatchEvent(new Event("input")); };
      const pressed = () => all(".method[aria-pressed=true]");
      const folded = columns();
      quality.click();
      const unfolded = columns();
      quality.click();
      const again = columns(), every = [names().length, marks()];
      all(".method").find((button) => button.innerText === "L2C").click();
      const picked = [names(), marks(), pressed().length];
      search("1e-05");
      const searched = [names(), $(".count").innerText.trim()];
      search("");
      pressed()[0].click();
      search("no cache, 14 ");
      const words = names();
      search("");
      const back = [names().length, marks()];
      $("svg.chart g.point:nth-of-type(5)").dispatchEvent(new Event("click"));
      const label = $(".detail h4").innerText, enter = (mark) => mark.dispatchEvent(new Event("pointerenter"));
      enter($("svg.chart g.point:nth-of-type(1)"));
      const stays = $(".detail h4").innerText;
      $("button.beside").click();
      await until(() => $(".pairs[data-ready] canvas"));
      const second = all(".compare select")[1].selectedOptions[0].text, first = $(".both thead th").innerText;
      const order = () => all(".compare .note").find((note) => note.innerText.startsWith("Left")).innerText;
      const choices = all(".compare select"), orders = [order()];
      for (const value of [choices[1].value, "0"]) {
        [choices[0].value, choices[1].value] = [choices[1].value, value];
        choices[1].dispatchEvent(new Event("change"));
        orders.push(order());
      }
      await until(() => $(".pairs[data-ready] canvas"));
      const loaded = performance.getEntriesByType("resource").map((one) => one.name);
      return { folded, unfolded, again, every, picked, searched, back, words, label, stays, orders, first, second,
               canvases: all(".pairs canvas").length, outside: loaded.filter((name) => !name.startsWith("data:")) };"""


def test_clicks_fold_columns_and_show_methods_and_points(published_page: Path, tmp_path: Path) -> None:
    shown = visit(published_page, CLICKS, tmp_path)
    titles, width = shown["folded"]
    assert len(titles) == width == 7 and shown["again"] == shown["folded"]
    titles, width = shown["unfolded"]
    assert len(titles) == width == 15 and any(title.startswith("kid_nano@2048") for title in titles)
    assert shown["every"] == shown["back"] == [29, 29]
    labels = ["no cache, 50 steps (reference)", "L2C lambda=1e-05", "L2C lambda=0.0001"]
    assert shown["picked"] == [labels, 3, 2]  # a button above the table, one below the chart
    assert shown["searched"] == [["L2C lambda=1e-05"], "1 of 29 points"]
    assert shown["words"] == ["no cache, 14 steps"]  # not every row with a 14 somewhere in a number
    assert shown["label"] == shown["stays"] == shown["second"] and shown["first"] == NONE
    reference_first, itself, reference_second = (text.partition("psnr@2048")[2] for text in shown["orders"])
    assert reference_first == "; first the seeds on which the second point is worst."
    assert itself == "." and reference_second == "; first the seeds on which the first point is worst."
    assert shown["canvases"] == 3 * 8 and shown["outside"] == []


def test_two_points_show_their_worst_seeds_first_and_differ_where_their_samples_do(
    folder_with_samples: Path, tmp_path: Path
) -> None:
    script = """
      const choices = all(".compare select"), set = (choice, name) => {
        choice.value = [...choice.options].find((option) => option.text === name).value;
      };
      const darkest = (canvas) => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return 255 - Math.min(...data);
      };
      const look = async (...names) => {
        names.forEach((name, i) => set(choices[i], name));
        choices[1].dispatchEvent(new Event("change"));
        await until(() => $(".pairs[data-ready] canvas"));
        return all(".pairs figure").map((figure) => {
          const canvas = figure.querySelector("canvas.difference");
          return { seed: Number(figure.dataset.seed), side: canvas.width, dark: darkest(canvas) };
        });
      };
      const far = await look("NONE", "MANY"), same = await look("NONE", "SAME");
      return { far, same, note: $("#compare-0 + .note").innerText };"""
    for name, label in (("NONE", NONE), ("MANY", MANY), ("SAME", SAME)):
        script = script.replace(f'"{name}"', f'"{label}"')
    shown: dict[str, Any] = visit(folder_with_samples / "report.html", script, tmp_path)
    arrays = read_arrays(next((folder_with_samples / "scores").glob("fora-n=5-*.npz")))
    assert arrays is not None
    influence = dict(zip(arrays["seeds"].tolist(), arrays["psnr@256"].tolist(), strict=True))
    seeds = [one["seed"] for one in shown["far"]]
    assert len(seeds) == 24 and seeds == sorted(seeds, key=influence.__getitem__)
    assert seeds[0] == min(range(SAMPLES), key=influence.__getitem__)  # the worst of all that have a sample
    ids = {row["label"]: row["sample_id"] for _, row in load(folder_with_samples).iterrows()}
    for one in shown["far"]:
        a, b = (np.asarray(preview(ids[label], one["seed"]), dtype=int) for label in (NONE, MANY))
        assert one["side"] == 28 and one["dark"] == min(255, 4 * np.abs(a - b).max())
    assert all(one["dark"] == 0 for one in shown["same"])
    assert f"of the {SAMPLES} whose samples lie beside this report" in shown["note"]


def test_long_and_odd_labels_stay_text_within_a_narrow_window(tmp_path: Path) -> None:
    folder = build(tmp_path / "odd", range(len(plans())))
    odd = ["</script><b>\"FORA\"</b> & 'x'", "TaylorSeer " + "of_many_parameters=0.000001," * 6]
    for name, label in zip(("fora-n=4", "taylorseer-n=4"), odd, strict=True):
        edit(folder, name, label=label)
    script = """
      const names = all("table.sortable tbody th").map((cell) => cell.innerText);
      const best = all(".card .best b").map((name) => name.innerText);
      const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
      const out = all("main *").filter((node) => {
        const held = node.closest(".scroll *, .drawing *, .figures figure *, option");
        return !held && node.getBoundingClientRect().right > innerWidth;
      });
      return { names, best, wide, out: out.map((node) => node.outerHTML.slice(0, 200)) };"""
    shown = visit(written(folder, tmp_path / "report.html"), script, tmp_path, 500)
    assert set(odd) <= set(shown["names"]) and odd[1] in shown["best"]
    assert shown["wide"] == 0 and shown["out"] == []


def test_a_page_says_that_samples_do_not_lie_beside_it(published_page: Path) -> None:
    text = published_page.read_text(encoding="utf-8")
    assert "The samples do not lie beside this report: these are the first seeds" in text
    assert len(text) < 2 * 2**20
