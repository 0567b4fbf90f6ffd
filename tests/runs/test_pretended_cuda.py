"""All models on a pretended CUDA device: nothing mixes devices, and no evaluation of a schedule makes it wait."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from baselines.fora import FORA
from smoothbench.caching import Evaluation, Schedule, Trajectory, cached, find_sites
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.protocols import Model, Solver
from smoothbench.sampling.calibrate_point import measure_curves
from smoothbench.sampling.loop import SeededNoise, final_sample, latents, sampling_states, silent
from tests.support.compose import experiment
from tests.support.every_model import NAMES, every_model, published
from tests.support.pretended_cuda import CUDA, PINNED, Event, Ledger, pretended_cuda, synchronisations
from tests.support.runs import read

CPU = torch.device("cpu")
SEEDS = range(2)
CALIBRATION = {"num_samples": 2, "k_max": 1, "seed": 999, "draw": 0, "unconditional": False}
Built = Callable[[str, torch.device], tuple[Model, Solver]]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with pretended_cuda() as ledger:
        yield ledger


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Models by name and device; each is built once."""
    builds = every_model(published(tmp_path_factory.mktemp("weights")))
    models: dict[tuple[str, torch.device], tuple[Model, Solver]] = {}

    def build(name: str, device: torch.device) -> tuple[Model, Solver]:
        if (name, device) not in models:
            models[name, device] = builds[name](device)
        return models[name, device]

    return build


def alternating(model: Model, solver: Solver) -> Schedule:
    """Every other evaluation computes all."""
    return FORA(2).plan(Trajectory.over(ChosenSites(model).branches, solver.coordinates))


def states_and_events(
    model: Model, solver: Solver, ledger: Ledger, announce: Any
) -> tuple[Tensor, list[list[Event]]]:
    """The finished samples, and the events of every evaluation."""
    events: list[list[Event]] = []
    states = sampling_states(model, solver, SEEDS, announce)
    e, state = next(states)
    while e < len(solver.coordinates):
        with ledger.since() as during:
            e, state = next(states)
        events.append(during)
    return solver.sample(state), events


def assert_close(here: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(
        here.cpu(), expected, rtol=tolerance, atol=tolerance * float(expected.abs().max())
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("predictor", "fast"), [("reuse", True), ("taylor2", True), ("taylor1", False)])
def test_no_evaluation_of_a_schedule_makes_the_device_wait(
    name: str, predictor: str, fast: bool, built: Built, ledger: Ledger
) -> None:
    """After the first one; the noise of a solver that draws it comes from each sample's generator on the CPU, and is
    the one thing that may be copied to the device: from pinned memory, without waiting."""
    model, solver = built(name, CPU)
    schedule = alternating(model, solver)
    how: dict[str, Any] = {"predictor": predictor, "fast": fast, "coordinates": solver.coordinates}
    with cached(model.denoiser, schedule, **how) as run:
        expected = latents(model, solver, SEEDS, run.step)
    model, solver = built(name, CUDA)
    with cached(model.denoiser, schedule, **how) as run:
        samples, events = states_and_events(model, solver, ledger, run.step)
    later = [event for during in events[1:] for event in during]
    assert not synchronisations(later)
    noise = [event for event in later if event.kind == PINNED]
    assert later == noise and all(event.line.startswith("smoothbench/sampling/loop.py") for event in noise)
    assert bool(noise) == ("stable_audio" in name)
    assert samples.device == CUDA and set(run.calls.values()) <= {
        2 * model.forwards,
        3 * model.forwards,
        4,
        5,
    }
    assert_close(samples, expected, 3e-2 if "bfloat16" in name else 1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_an_uncached_run_does_not_wait_either(name: str, built: Built, ledger: Ledger) -> None:
    model, solver = built(name, CUDA)
    samples, events = states_and_events(model, solver, ledger, silent)
    assert not synchronisations([event for during in events[1:] for event in during])
    assert ledger.launches > 50 * len(solver.coordinates)
    assert samples.device == CUDA


@pytest.mark.parametrize("level", ["span", "denoiser"])
@pytest.mark.parametrize("name", ["dit", "uvit", "stable_audio", "opensora"])
def test_neither_does_a_schedule_of_spans_or_of_the_whole_denoiser(
    name: str, level: Literal["span", "denoiser"], built: Built, ledger: Ledger
) -> None:
    model, solver = built(name, CPU)
    rows = [e != 2 for e in range(len(solver.coordinates))]
    schedule = Schedule.steps(find_sites(model.denoiser, level), rows, {"method": "x"})
    with cached(model.denoiser, schedule) as run:
        expected = latents(model, solver, SEEDS, run.step)
    model, solver = built(name, CUDA)
    with cached(model.denoiser, schedule) as run:
        samples, events = states_and_events(model, solver, ledger, run.step)
    assert not synchronisations([event for during in events[1:] for event in during])
    assert_close(samples, expected)


class WhereItMoved:
    """Computes all at every other evaluation, if the denoiser's input has changed by more than a hundredth."""

    def __init__(self) -> None:
        self.last: Tensor | None = None
        self.decisions: list[bool] = []

    def decide(self, evaluation: Evaluation) -> list[bool]:
        x, last = evaluation.hidden_states, self.last
        self.last = x
        if last is None:
            return [True] * len(evaluation.sites)
        change = ((x - last).abs().mean() / last.abs().mean()).item()
        self.decisions.append(change > 0.01 and evaluation.e % 2 == 0)
        return [self.decisions[-1]] * len(evaluation.sites)


@pytest.mark.parametrize("name", ["dit_nano", "uvit", "opensora"])
def test_a_policy_that_decides_at_run_time(name: str, built: Built, ledger: Ledger) -> None:
    """It decides as on the CPU, and waits once for each of its own decisions."""
    decisions, samples = [], []
    for device in (CPU, CUDA):
        policy = WhereItMoved()
        model, solver = built(name, device)
        with ledger.since() as events, cached(model.denoiser, policy, evals=len(solver.coordinates)) as run:
            samples.append(final_sample(solver, sampling_states(model, solver, SEEDS, run.step)))
        decisions.append(policy.decisions)
    assert decisions[0] == decisions[1] and len(decisions[0]) >= 3
    reads = [line for line in synchronisations(events) if "tests/runs/test_pretended_cuda" in line]
    assert len(reads) == len(decisions[1])
    assert_close(samples[1], samples[0])


@pytest.mark.parametrize("name", [name for name in NAMES if "bfloat16" not in name])
def test_calibration_and_decoding(name: str, built: Built, ledger: Ledger) -> None:
    curves, decoded = [], []
    for device in (CPU, CUDA):
        model, solver = built(name, device)
        sites = find_sites(model.denoiser)
        curves.append(measure_curves(model, sites, solver, CALIBRATION).whole_batch())
        decoded.append(model.decode(latents(model, solver, SEEDS, silent)))
    torch.testing.assert_close(curves[1], curves[0], rtol=1e-3, atol=1e-4, equal_nan=True)
    assert decoded[1].device == CPU and decoded[1].dtype == decoded[0].dtype
    assert (decoded[1].float() - decoded[0].float()).abs().mean() <= decoded[0].float().std() / 50


def test_a_whole_run(tmp_path: Path, ledger: Ledger) -> None:
    """From the command's settings to records, latencies included; no Inception network, which takes seconds."""
    few = ("num_samples=2", "solver.steps=3", "latency.rounds=1", "metrics=[psnr,agreement_nano]")
    experiment(tmp_path, "device=cuda", "only=[fora,smoothcache]", *few).run()
    records = read(tmp_path)
    assert len(records) == 4 and ledger.launches > 1000
    for record in records.values():
        assert record["status"] == {"quality": "done", "cost": "done"}, record["name"]
        assert record["numerics"]["tf32_matmul"] is False


def test_a_value_read_on_purpose_fails(built: Built, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    model, solver = built("dit_nano", CUDA)
    original = model.predict

    def reading(x: Tensor, *rest: Any) -> Tensor:
        return original(x, *rest) * (1.0 if x.sum().item() < 1e9 else 0.0)

    monkeypatch.setattr(model, "predict", reading)
    _, events = states_and_events(model, solver, ledger, silent)
    waits = [synchronisations(during) for during in events]
    assert all(len(lines) == 1 and "test_pretended_cuda.py" in lines[0] for lines in waits)
    assert all("value read (_local_scalar_dense)" in lines[0] for lines in waits)


def test_a_forgotten_device_fails(built: Built, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    model, solver = built("dit_nano", CUDA)
    monkeypatch.setattr(model, "conditioning", lambda labels: torch.cat([labels, labels]))
    with ledger.since() as events:
        latents(model, solver, SEEDS, silent)  # the model's own forward moves labels once more
    forgotten = [line for line in synchronisations(events) if "class_conditional.py" in line]
    assert len(forgotten) == len(solver.coordinates)
    monkeypatch.setattr(
        model, "run", lambda denoiser, x, t, labels: denoiser(x.cpu(), torch.full((4,), 9), labels)
    )
    with pytest.raises(RuntimeError, match=r"Expected all tensors to be on the same device.* cpu .* cuda:0 "):
        latents(model, solver, SEEDS, silent)


def test_noise_is_that_of_the_cpu(ledger: Ledger) -> None:
    here, there = (SeededNoise([3, 4], (5,), device) for device in (CPU, CUDA))
    for _ in range(2):
        assert torch.equal(here(), there().cpu())


@pytest.mark.parametrize("name", ["dit_nano", "uvit", "stable_audio_nano", "opensora"])
def test_conditions_are_made_once_a_run(name: str, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """And every forward of a kind gets the very same tensors."""
    model, solver = built(name, CPU)
    made, seen = list[Any](), list[set[int]]()
    original = model.conditioning
    monkeypatch.setattr(model, "conditioning", lambda labels: made.append(original(labels)) or made[-1])

    def note(_: Any, args: Any, kwargs: Any) -> None:
        seen.append({id(value) for value in (*args, *kwargs.values()) if isinstance(value, Tensor)})

    hook = model.denoiser.register_forward_pre_hook(note, with_kwargs=True)
    latents(model, solver, SEEDS, silent)
    hook.remove()
    assert len(made) == 1 and len(seen) == model.forwards * len(solver.coordinates)
    tensors = made[0] if isinstance(made[0], tuple) else (made[0],)
    for forward, ids in enumerate(seen):
        expected = tensors if model.forwards == 1 else tensors[forward % 2 : forward % 2 + 1]
        assert {id(tensor) for tensor in expected} <= ids, forward
