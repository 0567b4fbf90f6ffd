"""A paper's convention of counting MACs: checked, counted and described in one place."""

from typing import Any, get_args

import pytest
from omegaconf import OmegaConf

from smoothbench.caching import Macs, Site, Trajectory
from smoothbench.errors import UsageError
from smoothbench.paper_convention import SCOPES, TERA, Convention
from smoothbench.storage.record_cost import ComponentCost, Scope

T = int(TERA)
SITE = Site("blocks.0.ff", "ff", "", macs=7 * T, macs_linear=5 * T)
TRAJECTORY = Trajectory((SITE,), (1.0, 0.0), rest_macs=3 * T, rest_macs_linear=2 * T)
CALLS = {SITE.name: 1}
NODE = {"scope": "branches", "rows": 4, "remainder_per_evaluation": 0.5}


def test_every_scope_of_a_record_is_described() -> None:
    assert tuple(SCOPES) == get_args(Scope)


@pytest.mark.parametrize(("scope", "linear"), [("branches", 5), ("denoiser", 9)])
def test_linear_layers_count_for_the_rows_of_the_paper(scope: Scope, linear: int) -> None:
    """Four rows are two samples with guidance; the remainder comes on top, at each of the two evaluations."""
    found = Convention(scope, 4, 0.5, "a note").count(TRAJECTORY, CALLS, guidance_rows=2)
    assert (found.tmacs_explained, found.tmacs) == (2 * linear, 2 * linear + 1)
    assert (found.scope, found.rows, found.remainder_per_evaluation) == (scope, 4, 0.5)
    assert (found.note, found.parts) == ("a note", None)


def test_components_beside_the_denoiser_count_once_a_sample() -> None:
    decoder = Macs(3 * T, T)
    found = Convention("pipeline", 4, 0.0).count(TRAJECTORY, CALLS, 2, {"decoder": decoder})
    assert found.tmacs == found.tmacs_explained == 2 * 9 + 3
    assert found.parts == {"denoiser": ComponentCost(18.0, 26.0), "decoder": ComponentCost(3.0, 4.0)}


def test_a_node_is_read_as_it_is() -> None:
    assert Convention.from_config(None) is None
    assert Convention.from_config(OmegaConf.create(NODE)) == Convention("branches", 4, 0.5)
    assert Convention.from_config(NODE | {"note": "why"}) == Convention("branches", 4, 0.5, "why")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (3, "paper=3: must be a node with scope, rows, remainder_per_evaluation, note"),
        (NODE | {"row": 1}, "paper.row: there are scope, rows, remainder_per_evaluation, note"),
        (NODE | {"scope": "all"}, "paper.scope=all: there are branches, denoiser, pipeline"),
        (NODE | {"scope": ["branches"]}, r"paper.scope=\['branches'\]: there are"),
        ({"rows": 4, "remainder_per_evaluation": 0}, "paper.scope=None: there are"),
        (NODE | {"rows": 0}, "paper.rows=0: must be a whole number from 1"),
        (NODE | {"rows": True}, "paper.rows=True: must be a whole number from 1"),
        (NODE | {"remainder_per_evaluation": -1}, "=-1: must be a number from 0, in TMACs"),
        (NODE | {"remainder_per_evaluation": float("nan")}, "=nan: must be a number from 0, in TMACs"),
        (NODE | {"note": "two\nlines"}, "paper.note=two lines: must be a line of text"),
    ],
)
def test_what_is_no_convention_is_one_clear_line(node: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Convention.from_config(node)
    assert "\n" not in str(caught.value)


def test_a_convention_describes_itself() -> None:
    assert Convention("branches", 64, 0.00611).describe() == (
        "in the paper's convention, 64 rows through the linear layers of attention and MLP over the whole trajectory,"
        " no attention products."
    )
    assert "1 row through all linear layers and convolutions" in Convention("denoiser", 1, 0).describe()
    assert "without 0.00611 TMACs an evaluation" in Convention("branches", 64, 0.00611).describe_remainder()
