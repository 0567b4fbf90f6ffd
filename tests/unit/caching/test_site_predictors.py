"""Predictors that are bound to sites: weights from a table for each site and evaluation, and a rule of one's own."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from smoothbench.caching import Schedule, Site, WeightedSum, cached, find_sites
from smoothbench.caching.predictor import taylor_weights
from tests.support.small_policies import ScaledDifference
from tests.support.tiny_dit import TinyDiT, fora

SITES = ("blocks.0.self_attn", "blocks.1.ff")


def taylor_table(schedule: Schedule, order: int) -> list[list[float]]:
    """The weights of a Taylor predictor at each evaluation that a schedule skips."""
    rows: list[list[float]] = []
    computed: list[int] = []
    for e, bits in enumerate(schedule.computed):
        computed = [e, *computed] if bits[0] else computed
        rows.append([] if bits[0] else taylor_weights(list(map(float, computed[: order + 1])), float(e)))
    return rows


@pytest.mark.parametrize("order", [1, 2])
def test_weights_of_a_taylor_series_give_its_bits(tiny: TinyDiT, order: int) -> None:
    schedule = fora(tiny)
    with cached(tiny.denoiser, schedule, predictor=f"taylor{order}"):
        expected = tiny.run()
    rows = taylor_table(schedule, order)
    for weights in ({"*": rows}, dict.fromkeys(schedule.sites, rows)):
        with cached(tiny.denoiser, schedule, predictor=WeightedSum(weights)) as run:
            assert torch.equal(tiny.run(), expected)
    assert run.cache_bytes == (order + 1) * 6 * 4 * 16 * 16 * 4


def test_each_site_has_its_own_weights(tiny: TinyDiT) -> None:
    """The deepest history is kept only where a site's own weights need it."""
    schedule = fora(tiny)
    reuse, taylor = [[1.0]] * 12, taylor_table(schedule, 1)
    outputs = {}
    for ahead in (None, *schedule.sites):
        weights = {site: taylor if site == ahead else reuse for site in schedule.sites}
        with cached(tiny.denoiser, schedule, predictor=WeightedSum(weights)) as run:
            outputs[ahead] = tiny.run()
        assert run.cache_bytes == (6 + (ahead is not None)) * 4 * 16 * 16 * 4
    with cached(tiny.denoiser, schedule):
        assert torch.equal(tiny.run(), outputs[None])
    assert all(not torch.equal(outputs[None], outputs[site]) for site in schedule.sites)


def test_weights_also_predict_guidance_in_two_forwards(tiny: TinyDiT) -> None:
    schedule = fora(tiny)

    def run(predictor: Any) -> torch.Tensor:
        x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(5))
        with torch.inference_mode(), cached(tiny.denoiser, schedule, predictor=predictor, calls_per_eval=2):
            for t in torch.linspace(999, 0, 12).long():
                outputs = [
                    tiny.denoiser(x, timestep=t.expand(2), class_labels=torch.full((2,), label)).sample
                    for label in (3, 10)
                ]
                x = x - 0.1 * (outputs[0] + outputs[1])
        return x

    rows = taylor_table(schedule, 1)
    assert torch.equal(run(WeightedSum({"*": rows})), run("taylor1"))
    assert not torch.equal(run("taylor1"), run("reuse"))


def test_where_less_is_kept_than_weighed_the_newest_output_is_repeated(tiny: TinyDiT) -> None:
    schedule = fora(tiny)
    with cached(tiny.denoiser, schedule, predictor=WeightedSum({"*": [[9.0] * 20] * 12})):
        x = tiny.run()
    with cached(tiny.denoiser, schedule):
        assert torch.equal(tiny.run(), x)


def test_a_rule_of_its_own_for_each_site(tiny: TinyDiT) -> None:
    schedule = fora(tiny)
    names = [site.name for site in find_sites(tiny.denoiser)]
    nothing, half = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.5)
    runs = {}
    for name, shares in (("none", nothing), ("half", half), ("one", nothing | {names[3]: 0.5})):
        with cached(tiny.denoiser, schedule, predictor=ScaledDifference(shares)):
            runs[name] = tiny.run()
    with cached(tiny.denoiser, schedule):
        assert torch.equal(tiny.run(), runs["none"])
    assert not torch.equal(runs["one"], runs["none"]) and not torch.equal(runs["one"], runs["half"])


def test_weights_are_added_up_apart_from_the_outputs() -> None:
    sites = [Site("a", "ff", "a"), Site("b", "ff", "b")]
    first, second = WeightedSum({"a": [[], [0.5, 0.25]], "b": [[], [2.0]]}).bind(sites, 2)
    assert (first.depth, second.depth) == (2, 1)
    assert first.weights([0.0, -1.0, -2.0], 1.0) == [0.5, 0.25, 0.0]  # type: ignore[attr-defined]
    assert first.weights([0.0], 1.0) == [1.0]  # type: ignore[attr-defined]
    history = [(0.0, torch.tensor([4.0])), (-1.0, torch.tensor([8.0]))]
    assert first(history, 1.0).item() == 4.0 and second(history[:1], 1.0).item() == 8.0


TABLE = {"blocks.0.ff": [[1.0]] * 12}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another site": ({**TABLE, "blocks.9.ff": [[1.0]] * 12}, r"site blocks\.9\.ff, but the run has blocks\.0"),
    "fewer sites": (TABLE, r"the weights are for blocks\.0\.ff, and none are for site blocks\.0\.self_attn"),
    "evaluations": ({"*": [[1.0]] * 10}, "the weights are for 10 evaluations, but the run has 12 evaluations"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_weights_of_another_run_are_refused(tiny: TinyDiT, case: str) -> None:
    weights, message = REFUSED[case]
    with (
        pytest.raises(ValueError, match=message),
        cached(tiny.denoiser, fora(tiny), predictor=WeightedSum(weights)),
    ):
        tiny.run()


@pytest.mark.parametrize(
    "weights", [{}, {"a": []}, {"a": [[1.0]], "b": [[1.0], [1.0]]}, {"a": [[float("nan")]]}]
)
def test_tables_that_are_none_are_refused(weights: dict[str, Sequence[Sequence[float]]]) -> None:
    with pytest.raises(ValueError, match="weights"):
        WeightedSum(weights)
    assert WeightedSum({"*": [[1]]}).digest == WeightedSum({"*": [[1.0]]}).digest
    assert WeightedSum({"*": [[1.0]]}).digest != WeightedSum({"*": [[2.0]]}).digest


def test_a_predictor_must_bind_itself_to_all_sites(tiny: TinyDiT) -> None:
    class Lazy(ScaledDifference):
        def bind(self, sites: Any, evals: Any) -> Any:
            return []

    with (
        pytest.raises(ValueError, match=r"Lazy\.bind gives 0 predictors for 6 sites"),
        cached(tiny.denoiser, fora(tiny), predictor=Lazy({})),
    ):
        tiny.run()
