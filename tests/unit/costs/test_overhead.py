"""What `python -m smoothbench.overhead` measures: kernels, floors, bytes, shares, and the lines that it prints."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smoothbench.caching import Schedule, cached
from smoothbench.caching.fast import sums
from smoothbench.costs.overhead.alive import new_bytes, only_new_objects
from smoothbench.costs.overhead.beside import beside
from smoothbench.costs.overhead.cases import case
from smoothbench.costs.overhead.command import main
from smoothbench.costs.overhead.floors import ends_of
from smoothbench.costs.overhead.kernels import KernelCounter, kernels
from smoothbench.costs.overhead.realised import Rounds
from smoothbench.costs.overhead.runs import almost_full, growth, runs
from smoothbench.costs.overhead.tables import beside_lines
from smoothbench.costs.peers import diffusers_hooks
from smoothbench.costs.peers.peer import Peer
from smoothbench.errors import UsageError
from smoothbench.sampling.loop import latents, silent


def _nothing() -> None: ...


MODELS = ("dit_nano", "stable_audio_nano", "opensora_nano")


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_kernels_are_what_computes_or_moves(context: Any) -> None:
    x, weight = torch.randn(2, 3, 4), torch.randn(5, 4)
    with context(), KernelCounter() as counter:
        y = F.linear(x.transpose(0, 1).contiguous(), weight)  # a copy and a product
        y = F.layer_norm(y.view(3, 2, 5), (5,))[:, :1]
        torch.empty_like(y).copy_(y.chunk(2)[0][:1].detach())
    assert counter.count == 4


@pytest.mark.slow
def test_a_model_s_kernels_by_level() -> None:
    branch, span = kernels(case("dit_nano", [], 6, ["branch", "span"]))
    assert branch.bare == span.bare > branch.computed >= span.computed > span.reused >= branch.reused > 0


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_floor_embeds_and_has_the_head_of_its_denoiser(model: str) -> None:
    subject: Any = case(model, [], 4, ["branch"]).model
    tokens: list[Tensor] = []

    def unchanged(module: Any, args: Any, kwargs: Any, output: Tensor) -> Tensor:
        tokens.append(args[0] if args else kwargs["hidden_states"])
        return tokens[-1]

    denoiser = subject.denoiser
    blocks = getattr(denoiser, "transformer_blocks", None) or [
        *denoiser.spatial_blocks,
        *denoiser.temporal_blocks,
    ]
    hooks = [block.register_forward_hook(unchanged, with_kwargs=True) for block in blocks]
    x = torch.randn(1, *subject.sample_shape)
    rows: list[Tensor] = []
    hooks.append(denoiser.register_forward_pre_hook(lambda module, args: rows.append(args[0])))
    with torch.inference_mode():
        conditioning = subject.conditioning(subject.labels_or_prompts([0]))
        subject.predict(x, 500.0, conditioning, lambda index: None)
        ends = ends_of(denoiser, 2)
        assert ends is not None
        embedded = ends.embed(rows[0][:, : subject.sample_shape[0]])
        output = ends.head(embedded)
        for hook in hooks:
            hook.remove()
        expected = denoiser_output(subject, x, conditioning)
    assert embedded.shape == tokens[0].shape and output.shape == expected.shape
    if model == "dit_nano":  # the others' tokens also depend on time, frame and place
        torch.testing.assert_close(embedded, tokens[0])


def denoiser_output(subject: Any, x: Tensor, conditioning: Any) -> Tensor:
    outputs: list[Any] = []
    hook = subject.denoiser.register_forward_hook(lambda module, args, output: outputs.append(output))
    subject.predict(x, 500.0, conditioning, lambda index: None)
    hook.remove()
    first = outputs[0]
    return first if isinstance(first, Tensor) else first[0]


def test_no_floor_is_written_for_other_denoisers() -> None:
    assert ends_of(nn.Linear(1, 1), 2) is None


def test_bytes_of_new_tensors_that_are_alive() -> None:
    model, old = nn.Linear(10, 10), torch.zeros(500)
    with only_new_objects():
        kept = torch.zeros(1000)
        views = kept[10:], model.weight.t(), old
        torch.zeros(2000)
        assert new_bytes(model) == 4000 and len(views) == 3
        del kept, views
        assert new_bytes(model) == 0


@pytest.mark.slow
def test_what_is_kept_grows_with_the_predictor_s_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "AT_MOST", 0)  # outputs are kept, not their sums
    caches = ["fora,policy.interval=2", "fora,policy.interval=2,predictor=taylor1"]
    subject = case("dit_nano", caches, 7, ["branch"])
    timed = runs(subject, 1)
    sizes = {name: growth(timed[name], subject.model) for name in timed}
    reuse, taylor = (sizes[f"branch, {cache}"] for cache in caches)
    outputs = 12 * 2 * 49 * 96 * 4  # sites x rows x tokens x width x bytes
    assert reuse - sizes["uncached"] >= outputs and taylor - reuse == outputs
    assert [cache.predictor_name for cache in subject.caches("branch")] == ["reuse", "taylor1"]


def test_almost_everything_is_computed() -> None:
    full = Schedule(("a.0.x", "a.0.y"), ("x", "y"), ((True, True),) * 3, {"method": "none"})
    schedule = almost_full(full)
    assert schedule.bit_strings() == ["11", "11", "00"] and schedule.meta["method"] != "none"


@pytest.mark.slow
def test_the_timed_runs_sample_what_they_say() -> None:
    subject = case("dit_nano", ["fora,policy.interval=2"], 4, ["branch", "span"])
    bare = latents(subject.model, subject.solver, range(2), silent)
    samples = {name: timed.run(lambda: None) for name, timed in runs(subject, 2).items()}
    for name in ("bare forward", "uncached"):
        torch.testing.assert_close(samples[name][0], bare, rtol=1e-3, atol=1e-4)
    for level in ("branch", "span"):
        schedule = subject.caches(level)[0].schedule
        with cached(subject.model.denoiser, schedule, fast=False) as run:
            expected = latents(subject.model, subject.solver, range(2), run.step)
        torch.testing.assert_close(
            samples[f"{level}, fora,policy.interval=2"][0], expected, rtol=1e-3, atol=1e-4
        )
        assert not torch.allclose(expected, bare, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_method_that_plans_and_fits_on_the_calibration_batch_is_timed() -> None:
    subject = case("dit_nano", ["fitted,policy.full=3"], 4, ["denoiser"])
    (fitted,) = subject.caches("denoiser")
    assert (fitted.predictor_name, fitted.share) == ("StateMatching", 0.75)
    timed = runs(subject, 1)
    reference = latents(subject.model, subject.solver, range(1), silent)
    sample: Any = timed["denoiser, fitted,policy.full=3"].run(lambda: None)
    assert 0 < float((sample[0] - reference).abs().mean()) < 0.1


@pytest.mark.parametrize(
    "cache, message",
    [
        ("nothing", "dit_nano, nothing: "),
        ("fora,policy.nothing=2", "nothing"),
        ("fora,policy.interval=0", "interval"),
    ],
)
def test_caches_that_cannot_be_composed_are_named(cache: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        case("dit_nano", [cache], 4, ["branch"])


def printed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["overhead", "--models", "dit_nano", "--batches", "1", *arguments])
    return main()


@pytest.mark.slow
def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "overhead.json"
    arguments = [
        "--rounds",
        "6",
        "--steps",
        "4",
        "--levels",
        "span",
        "--predictors",
        "reuse",
        "--json",
        str(file),
    ]
    caches = ["--caches", "fora,policy.interval=2", "--parts", "realised", "reused"]
    assert printed(monkeypatch, *arguments, *caches) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "interleaved rounds: 6, wall time" in lines and "4 evaluations" in lines
    assert [line for line in lines if line.startswith("batch 1    everything reused, span: ")]
    measured = json.loads(file.read_text())
    (model,) = measured["models"]
    rows = {row["label"]: row for row in model["realised"][0]["runs"]}
    assert list(rows) == ["uncached", "all computed and kept", "FORA N=2, repository"]
    assert rows["FORA N=2, repository"]["implied"] == pytest.approx(4 / 3, abs=0.02)
    assert measured["conditions"]["rounds"] == [6] and model["reused"][0]["levels"][0]["level"] == "span"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--rounds", "5"], "--rounds 5: an interval needs at least 6"),
        (["--rounds", "6", "7"], "--rounds: 2 numbers for 1 batches"),
        (["--batches", "0"], "--batches 0: at least 1 sample"),
        (["--steps", "3"], "--steps 3: at least 4"),
        (["--json", "nowhere/at.json"], "--json nowhere/at.json: its folder does not exist"),
        (["--smoothcache", "nowhere"], "--smoothcache nowhere: has no SmoothCache/smooth_cache_helper.py"),
    ],
)
def test_the_command_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert printed(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_ours_beside_a_peer_s() -> None:
    masks = ["fora,policy.interval=2", "fora,policy.interval=3"]
    subject = case("dit_nano", masks, 7, ["span"])
    peers = [peer for peer in diffusers_hooks.peers() if "MagCache" in peer.name]
    absent = Peer("another", "branches", "no_such_package", "pip install another", lambda *_: _nothing)
    fails = Peer("a third", "branches", "torch", "", lambda *_: _nothing)
    table, lines = beside(subject, 1, Rounds(6, time.perf_counter), [*peers, absent, fails])
    assert lines == [
        "another: not installed: pip install another",
        "a third: does not run on dit_nano (UsageError: it skips nothing here)",
    ]
    ours, theirs = table["SmoothBench, span"], table["diffusers MagCache"]
    for mine, other in zip(ours[1:], theirs[1:], strict=True):  # the same mask on the same blocks
        assert mine.implied == pytest.approx(other.implied, rel=1e-3)
    stream = 2 * 49 * 96 * 4
    assert theirs[1].cache_bytes == stream and theirs[1].implied > 1.5
    first = next(beside_lines(1, table))
    assert first.startswith("| 1 | SmoothBench, span | span | ") and first.count("|") == 9
