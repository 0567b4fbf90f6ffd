"""The verdict that a report opens with: every statement recomputed from records and per-sample scores."""

import json
import re
import shutil
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smoothbench.report import load, summary
from smoothbench.report.data.frame import OLDER
from smoothbench.report.data.groups import comparable_groups
from smoothbench.report.document import document
from smoothbench.report.page.html_page import page
from smoothbench.report.verdict.budgets import Budget, baseline, budgets, compared_rows, is_uncached, offers
from smoothbench.report.verdict.findings import Verdict, verdict
from smoothbench.report.verdict.words import NAMED, paragraph, statements, table
from tests.oracles.verdict import Oracle
from tests.support.report_folder import build, plans

RESULTS = Path(__file__).parents[3] / "results"
PUBLISHED = {
    "dit_ddim": ("psnr@2048", "fd_nano@2048"),
    "dit_dpmpp": ("psnr@2048", "fd_nano@2048"),
    "stable_audio_dpmpp3m": ("mel_l1@256", "fd_nano@256"),
    "opensora_rflow": ("psnr@128", "fd_nano@128"),
}
NUMBER = r"[+-]?[\d.]+"


def judged(folder: Path) -> Verdict:
    (_, frame), *_ = comparable_groups(load(folder))
    made = verdict(frame, folder)
    assert made is not None
    return made


@pytest.mark.parametrize("experiment", PUBLISHED)
def test_every_statement_on_published_results_follows_from_the_scores(experiment: str) -> None:
    folder, scores = RESULTS / experiment, PUBLISHED[experiment]
    made, oracle = judged(folder), Oracle(folder, scores)
    assert tuple(one.score for one in made.scores) == scores
    assert made.compared == len(oracle.p)
    labels, base = made.rows["label"], str(oracle.base["label"])
    for budget, findings in made.findings.items():
        for score, finding in zip(scores, findings, strict=True):
            unbeaten = [labels[i] for i in finding.unbeaten]
            assert set(unbeaten) == oracle.unbeaten(score, budget.saving, budget.factor), (budget, score)
            worse = {
                label for label in unbeaten if oracle.has(base, score) and oracle.better(base, label, score)
            }
            assert {labels[i] for i in finding.worse_than_none} == worse
            better = {
                label for label in unbeaten if oracle.has(base, score) and oracle.better(label, base, score)
            }
            assert {labels[i] for i in finding.better_than_none} == better
            if finding.over_none is not None:
                ours = (finding.over_none.value, finding.over_none.low, finding.over_none.high)
                assert ours == pytest.approx(oracle.interval(unbeaten[0], base, score), rel=1e-6)
            if finding.over_fewer is not None and finding.fewer is not None:
                ours = (finding.over_fewer.value, finding.over_fewer.low, finding.over_fewer.high)
                expected = oracle.interval(unbeaten[0], labels[finding.fewer], score)
                assert ours == pytest.approx(expected, rel=1e-6)


def test_the_paragraph_says_what_is_best_at_2x_and_3x_and_what_cannot_be_told_apart() -> None:
    text = " ".join(paragraph(judged(RESULTS / "dit_ddim")))
    assert (
        "At 2\u00d7 fewer MACs, by psnr@2048 \u2191, FORA N=3, order 1 alone is unbeaten of 6 methods" in text
    )
    assert (
        "At 3\u00d7 fewer MACs, by psnr@2048 \u2191, no cache, 14 steps alone is unbeaten of 4 methods"
        in text
    )
    apart = "are unbeaten and cannot be told apart: SmoothCache alpha=0.2; FORA N=4, mirrored"
    assert f"2 of 4 methods {apart}" in text and text.endswith(
        "Holm's correction over all of them; 95 % intervals are not corrected."
    )
    assert (
        "SmoothCache alpha=0.2 is better than no cache, 14 steps: -0.186 [-0.263, -0.109]; not shown" in text
    )
    assert (
        "not shown to differ from no cache: +0.064 [+0.009, +0.120]; none of these is shown to be worse"
        in text
    )
    assert "shown to be worse than no cache: FORA N=3, order 1)" in text


def test_the_table_has_a_row_for_each_budget_and_shows_what_the_findings_hold() -> None:
    made = judged(RESULTS / "dit_ddim")
    cells = table(made)
    assert len(cells) == len(made.findings) <= 8
    for row, (budget, (near, _)) in zip(cells.to_dict("records"), made.findings.items(), strict=True):
        assert row["budget"] == str(budget)
        shown = row["unbeaten by psnr@2048 \u2191"]
        assert shown.endswith(f"(of {len(near.methods)})")
        assert all(made.rows.at[i, "label"] in shown for i in near.unbeaten[:NAMED])
        if near.over_fewer is not None:
            value, low, high = map(float, re.findall(NUMBER, row["psnr over fewer steps"]))
            assert (value, low, high) == pytest.approx(
                (near.over_fewer.value, near.over_fewer.low, near.over_fewer.high), abs=0.005
            )


def test_report_page_and_terminal_open_with_it(tmp_path: Path) -> None:
    folder = build(tmp_path, range(len(plans())))
    (_, frame), *_ = comparable_groups(load(folder))
    sentence = paragraph(judged(folder))[0]
    markdown = document([(frame, [])], [])
    assert markdown.index(sentence) < markdown.index("- Points:")
    cards, first = page([(frame, {})], folder, []), statements(judged(folder))[0]
    assert all(
        escape(text) in cards.replace("\u00a0", " ") for text in (*first.labels, first.standing, *first.facts)
    )
    assert sentence in " ".join(summary(folder).split())


def test_without_methods_or_scores_there_is_none(tmp_path: Path) -> None:
    folder = build(tmp_path, [0, 1])
    (_, frame), *_ = comparable_groups(load(folder))
    assert verdict(frame, folder) is None
    assert "### Verdict" not in document([(frame, [])], [])
    shutil.rmtree(folder / "scores")
    assert "### Verdict" not in document([(frame, [])], [])


def test_without_a_reference_the_report_says_why_there_is_no_verdict(tmp_path: Path) -> None:
    folder = build(tmp_path, [1, 6, 7])
    (_, frame), *_ = comparable_groups(load(folder))
    assert "There is no verdict: no cache is not among the points." in document([(frame, [])], [])


def test_methods_without_the_score_are_not_compared_and_said_to_have_none(tmp_path: Path) -> None:
    folder = build(tmp_path, range(len(plans())))
    for path in (folder / "records").glob("*.json"):
        content = json.loads(path.read_text())
        share = (content["cost"] or {"share": 1})["share"]
        if share < 0.35 or (share < 0.5 and content["family"] != "FORA"):
            content["scores"].pop("psnr@256", None)
            path.write_text(json.dumps(content))
    text = " ".join(paragraph(judged(folder)))
    assert (
        "At 3\u00d7 fewer MACs, by psnr@256 \u2191, none of the 3 methods within the budget has that score."
        in text
    )
    assert re.search("At 2\u00d7 .*?, FORA N=. is the only method within the budget with that score", text)


def test_a_missing_file_of_scores_is_named(tmp_path: Path) -> None:
    folder = build(tmp_path, range(len(plans())))
    next((folder / "scores").glob("fora-n=4*")).unlink()
    (_, frame), *_ = comparable_groups(load(folder))
    text = document([(frame, [])], [])
    assert (
        "There is no verdict: FORA-N=4 has no readable" in text or "There is no verdict: fora-n=4 has" in text
    )


def test_scores_of_other_seeds_are_named(tmp_path: Path) -> None:
    folder = build(tmp_path, range(len(plans())))
    path = next((folder / "scores").glob("fora-n=4*"))
    with np.load(path) as data:
        arrays = dict(data)
    np.savez(path, **arrays | {"seeds": arrays["seeds"] + 1})
    (_, frame), *_ = comparable_groups(load(folder))
    assert re.search("There is no verdict: .* has other seeds than ", document([(frame, [])], []))


def test_a_score_by_older_code_of_its_metric_is_not_compared(tmp_path: Path) -> None:
    folder = build(tmp_path, range(len(plans())))
    (_, frame), *_ = comparable_groups(load(folder))
    frame.loc[frame["label"] == "FORA N=4", "psnr@256.flag"] = OLDER
    made = verdict(frame, folder)
    assert made is not None
    near, quality = made.scores
    place = made.rows.index[made.rows["label"] == "FORA N=4"][0]
    assert place not in near.values and place in quality.values


def test_fewer_steps_are_those_of_the_solver_with_the_best_value(tmp_path: Path) -> None:
    folder = build(tmp_path, range(len(plans())))
    (_, frame), *_ = comparable_groups(load(folder))
    other = frame["label"] == "no cache, 26 steps"
    frame.loc[other, "family"] = "no cache, Euler"
    for value, steps in ((99.0, 26), (0.0, 33)):
        frame.loc[other, "psnr@256"] = value
        made = verdict(frame, folder)
        assert made is not None
        near, _ = made.findings[Budget(1.5, "MACs")]
        assert made.rows.at[near.fewer, "label"] == f"no cache, {steps} steps"


def test_a_fine_reference_is_no_offer_and_no_base(tmp_path: Path) -> None:
    """Where the reference is a fine run, no cache at the steps of the caches is what costs 1."""
    folder = build(tmp_path, range(len(plans())))
    (_, frame), *_ = comparable_groups(load(folder))
    frame.loc[frame["reference"].astype(bool), "steps"] = 500
    frame.loc[frame["label"].isin(["no cache, 40 steps", "no cache, 33 steps"]), "steps"] = 50
    made = verdict(frame, folder)
    assert made is not None
    base = made.rows[made.rows["label"] == "no cache, 40 steps"].iloc[0]
    assert base["relative.MACs"] == 1.0


def test_fewer_steps_alone_have_the_reference_as_their_base(tmp_path: Path) -> None:
    """A report of no cache alone, as it is while caches are still to be drawn, takes no other steps for no cache."""
    folder = build(tmp_path, range(len(plans())))
    (_, frame), *_ = comparable_groups(load(folder))
    rows = compared_rows(frame)
    uncached = rows[is_uncached(rows)].reset_index(drop=True)
    assert len(uncached) > 1
    base = baseline(uncached)
    assert base is not None and uncached.at[base, "reference"]


def test_times_of_different_days_are_compared_by_their_speedups(tmp_path: Path) -> None:
    folder = build(tmp_path, range(len(plans())))
    (_, frame), *_ = comparable_groups(load(folder))
    frame.loc[~frame["reference"].astype(bool), "latency"] *= (
        3  # a slow day, on which the reference was slow as well
    )
    rows = compared_rows(frame)
    assert rows["relative.time"].to_numpy() == pytest.approx(
        1 / rows["speedup_measured"].to_numpy(), rel=1e-9
    )


def test_methods_with_the_same_samples_are_one(tmp_path: Path) -> None:
    folder = build(tmp_path, range(len(plans())))
    (_, frame), *_ = comparable_groups(load(folder))
    rows = compared_rows(frame)
    budget = next(each for each in budgets(rows) if len(offers(rows, each)) > 2)
    first, second, *others = offers(rows, budget)
    rows.loc[second, "sample_id"] = rows.loc[first, "sample_id"]
    assert offers(rows, budget) == [first, *others]


def test_a_share_that_was_asked_for_is_a_budget_of_its_own() -> None:
    usual = [1.5, 2.0, 3.0, 5.0]
    asked = [budget for budget in budgets(pd.DataFrame({"at": [0.4, np.nan, 0.4]})) if budget.by_user]
    assert [(budget.factor, str(budget)) for budget in asked] == [(2.5, "2.5\u00d7 fewer MACs")]
    for shares in ([0.45, 0.3], [np.nan], [0.38, 0.24, 0.12]):  # near the usual ones, none, or a survey
        assert [budget.factor for budget in budgets(pd.DataFrame({"at": shares}))] == usual
