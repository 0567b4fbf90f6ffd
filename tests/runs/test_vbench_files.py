"""VBench's own files: lists of prompts and results that are no good, and what the command says of its filter."""

import json
from pathlib import Path
from typing import Any

import pytest

from smoothbench.errors import UsageError
from smoothbench.interop.vbench.__main__ import main
from smoothbench.interop.vbench.prompt_list import read_listing
from smoothbench.interop.vbench.totals import imported_results, read_results
from smoothbench.models.base.prompts import Prompts
from tests.support.latent_dits import refusal


def test_empty_prompts_of_vbench(tmp_path: Path) -> None:
    path = tmp_path / "VBench_full_info.json"
    path.write_text(json.dumps([{"prompt_en": text, "dimension": ["color"]} for text in ("a", " ")]))
    with pytest.raises(UsageError, match="one of its prompts is empty"):
        read_listing(path)
    refusal(lambda: Prompts(str(path), "vbench"), path, "entry 2 has an empty prompt_en")


def test_results_that_are_there_twice_or_out_of_range(tmp_path: Path) -> None:
    path = tmp_path / "x_eval_results.json"

    def read(text: str) -> Any:
        path.write_text(text)
        return read_results([path])

    refusal(lambda: read('{"color": [0.5, [{}]], "color": [0.6, [{}]]}'), path, "'color' stands there twice")
    refusal(lambda: read('{"color": [-0.1, [{}]]}'), path, "its color is -0.1, not a share of 1")
    refusal(
        lambda: read('{"temporal_style": [-1.1, [{}]]}'), path, "its temporal_style is -1.1, not a cosine"
    )
    assert read('{"temporal_style": [-0.1, [{}]]}')["temporal_style"].value == -0.1
    assert read('{"subject_consistency": [1.0000001, [{}]]}')["subject_consistency"].value > 1
    dimensions = {"color": {"value": -0.1, "videos": 1}}
    refusal(lambda: imported_results({"schema": 1, "dimensions": dimensions}), "not a share of 1")


def test_help_names_the_filter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    help_text = capsys.readouterr().out
    assert "25" in help_text and "static_filter" in help_text
