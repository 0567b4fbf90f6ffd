"""STDiT3's sites: what is kept of them, what is saved, and their error curves."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.fora import FORA
from smoothbench.caching import Schedule, Site, cached, calibrate, find_sites
from smoothbench.caching.compiled import Compiled
from tests.oracles.stdit3_equations import Inputs, inputs, tiny

KINDS = [f"{side}_{kind}" for side in ("spatial", "temporal") for kind in ("self_attn", "cross_attn", "ff")]


def test_three_branches_of_each_block_in_order_of_execution() -> None:
    model, seen = tiny(), list[str]()
    sites = find_sites(model)
    assert [site.kind for site in sites] == KINDS * 2
    assert [(s.name, s.path, s.norm, s.block) for s in (sites[6], sites[10], sites[11])] == [
        ("spatial_blocks.1.self_attn", "spatial_blocks.1.attn", "spatial_blocks.1.norm1", 1),
        ("temporal_blocks.1.cross_attn", "temporal_blocks.1.cross_attn", None, 1),
        ("temporal_blocks.1.ff", "temporal_blocks.1.mlp", "temporal_blocks.1.norm2", 1),
    ]
    for site in sites:
        module = model.get_submodule(site.path)
        module.register_forward_pre_hook(lambda *_, path=site.path: seen.append(path))
    model(**inputs())
    assert seen == [site.path for site in sites]


def sampling(model: nn.Module, evals: int = 6, start: Inputs | None = None) -> Callable[[], Tensor]:
    """A trajectory of so many evaluations, without guidance: rows r and r + rows / 2 belong together."""
    start_inputs = start or inputs(rows=4)

    def run() -> Tensor:
        x = start_inputs["x"]
        for e in range(evals):
            time = torch.full((len(x),), 1000 * (1 - e / evals))
            x = x + 0.2 * model(**{**start_inputs, "x": x, "timestep": time})[:, :4]
        return x

    return run


def test_none_policy_none_are_the_same_bits() -> None:
    model = tiny()
    run = sampling(model)
    before = run()
    with cached(model, FORA(2), evals=6) as cache:
        reused = run()
    assert torch.equal(run(), before) and not torch.equal(reused, before)
    assert set(cache.calls.values()) == {4} and len(cache.calls) == 12
    nothing = Schedule.of(find_sites(model), [[True] * 12] * 6)
    with pytest.warns(UserWarning, match="skipped nothing"), cached(model, nothing) as cache:
        assert torch.equal(run(), before)


def again() -> Callable[..., Tensor]:
    """A hook by which a branch's second output is its first."""
    seen: list[Tensor] = []

    def hook(module: nn.Module, args: Any, out: Tensor) -> Tensor:
        seen.append(out)
        return seen[0] if len(seen) == 2 else out

    return hook


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_reuses_what_is_kept_before_the_gate(kind: str) -> None:
    """One kind at a time: the run equals one in which these branches return their last outputs, gates fresh."""
    model = tiny()
    sites, run = find_sites(model), sampling(model, 3)
    bits = [[e != 1 or site.kind != kind for site in sites] for e in range(3)]
    with cached(model, Schedule.of(sites, bits)) as cache:
        got = run()
    assert {site.kind for site in sites if cache.calls[site.name] == 2} == {kind}
    hooks = [model.get_submodule(s.path).register_forward_hook(again()) for s in sites if s.kind == kind]
    expected = run()
    for handle in hooks:
        handle.remove()
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    assert (run() - got).abs().max() > 1e-5


def test_a_skipped_branch_skips_its_norm() -> None:
    model, seen = tiny(), list[int]()
    sites, run = find_sites(model), sampling(model, 2)
    for name, module in model.named_modules():
        if name.endswith(("norm1", "norm2")):
            module.register_forward_hook(lambda _, args, out: seen.append(out.shape[1]))
    with cached(model, Schedule.of(sites, [[True] * 12, [False] * 12])):
        run()
    assert seen == [18] * 8 + [1] * 8, "of 3 frames of 2 x 3 tokens"


def test_error_curves_of_each_sample() -> None:
    """They are those that it has alone with its guidance row, temporal branches included."""
    model, batch = tiny(), inputs(rows=4)
    together = calibrate(model, sampling(model, start=batch), k_max=5)
    assert together.l1.shape == (2, 12, 6) and together.k_max == 5
    curves = together.per_sample()
    for sample in range(2):
        pair = [sample, sample + 2]
        alone = {k: v[pair] if isinstance(v, Tensor) else v for k, v in batch.items()}
        single = calibrate(model, sampling(model, start=alone), k_max=5).per_sample()[0]
        torch.testing.assert_close(single, curves[sample], rtol=1e-3, atol=1e-6, equal_nan=True)
    assert (curves[0] - curves[1]).nan_to_num().abs().amax((1, 2)).min() > 1e-4


class Folding(nn.Module):
    """A denoiser of x [B, T, S] whose branch sees, and returns, [(B T), S]."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Tanh()

    def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
        folded = (x * timestep[:, None, None]).flatten(0, 1)
        return self.branch(folded).unflatten(0, (len(x), -1))

    def cache_sites(self) -> Iterator[Site]:
        yield Site("blocks.0.ff", "ff", "branch")


def test_rows_that_a_branch_sees_folded_are_told_apart() -> None:
    x, denoiser = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0)), Folding()
    times = [torch.tensor([1.0, 2, 3, 4]) / e for e in (1, 2, 4)]
    curves = calibrate(denoiser, lambda: [denoiser(x, t) for t in times], k_max=2, calls_per_eval=1)
    outputs = [torch.tanh(x * t[:, None, None]) for t in times]
    for sample in range(2):
        rows = [sample, sample + 2]
        for e, lag in ((1, 1), (2, 1), (2, 2)):
            change = (outputs[e] - outputs[e - lag])[rows].abs().sum() / outputs[e][rows].abs().sum()
            assert curves.per_sample()[sample, 0, e, lag - 1].item() == pytest.approx(change.item(), rel=1e-5)


def test_costs_that_calibration_counts() -> None:
    """Per sample, both guidance rows; the fold changes no count."""
    model = tiny()
    sites = calibrate(model, sampling(model)).trajectory.sites
    tokens, d = 18, 32
    assert {s.kind: s.macs_linear for s in sites} == {
        kind: 2 * d**2 * (8 * tokens if kind.endswith("ff") else 4 * tokens)
        for kind in KINDS
        if "cross" not in kind
    } | {kind: 2 * d**2 * (2 * tokens + 2 * 6) for kind in KINDS if "cross" in kind}


@pytest.mark.slow
def test_compiled_graphs_follow_a_schedule() -> None:
    model = tiny(depth=1)
    sites, run = find_sites(model), sampling(model, 4, inputs())
    schedule = Schedule.of(sites, [[True] * 6, [False] * 6] * 2)
    with cached(model, schedule):
        expected = run()
    compiled = Compiled(model, backend="eager")
    with compiled.following(schedule):
        torch.testing.assert_close(run(), expected, rtol=0, atol=1e-5)


def test_schedules_of_six_kinds_to_json_and_back() -> None:
    """A kind's list, and a block's of its own over it, in published names and in ours."""
    sites = find_sites(tiny())
    bits = [[e != 1 or s.kind != "temporal_ff" or s.block == 1 for s in sites] for e in range(2)]
    schedule = Schedule.of(sites, bits)
    data = schedule.to_json()
    assert {"spatial_attn", "spatial_attn2", "spatial_mlp", "temporal_attn"} <= data.keys()
    assert data["temporal_mlp-0"] == [1, 0] and data["temporal_mlp-1"] == [1, 1]
    for names in ("published", "canonical"):
        assert Schedule.from_json(schedule.to_json(names), sites).computed == schedule.computed
