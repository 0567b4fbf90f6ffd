"""What an evaluation of a fast forward launches and keeps, and that a sample does not depend on its batch."""

from typing import Any

import pytest
import torch
from diffusers import DiTTransformer2DModel
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from smoothbench.caching import InputWeights, Schedule, cached, find_sites
from smoothbench.caching.fast import dit
from smoothbench.models.nano.image.model import PixelDiT
from smoothbench.sampling.loop import latents
from smoothbench.solvers.ddim import DDIM
from tests.support.fast_models import EVALS, fast_model
from tests.support.pretended_cuda import CUDA, pretended_cuda

DEPTH = 28  # of DiT-XL/2
VIEWS = {
    *("view", "_unsafe_view", "reshape", "expand", "transpose", "t", "permute", "slice", "select", "unbind"),
    *(
        "unsqueeze",
        "squeeze",
        "split",
        "alias",
        "detach",
        "as_strided",
        "_reshape_alias",
        "empty",
        "unflatten",
    ),
}


class Kernels(TorchDispatchMode):
    """Counts the operators that are no views."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func._schema.name.removeprefix("aten::") not in VIEWS
        return func(*args, **(kwargs or {}))


def deep_dit(dtype: torch.dtype = torch.float32, head: int = 8) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = DiTTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=head,
            in_channels=4,
            out_channels=8,
            num_layers=DEPTH,
            sample_size=8,
            patch_size=2,
            num_embeds_ada_norm=10,
        )
    return model.eval().requires_grad_(False).to(dtype)


@pytest.mark.parametrize("level", ["branch", "span"])
def test_kernels_of_a_fully_reused_evaluation(level: Any) -> None:
    model, timesteps = deep_dit(), (999.0, 600.0, 300.0)
    sites = find_sites(model, level)
    schedule, x = Schedule.steps(sites, [True, False, False]), torch.randn(4, 4, 8, 8)
    with torch.no_grad(), cached(model, schedule, coordinates=timesteps) as run:
        for e, t in enumerate(timesteps):
            run.step(e, t)
            time, labels = torch.full((4,), int(t)), torch.tensor([1, 3, 1, 10])
            with Kernels() as kernels:
                model(x, timestep=time, class_labels=labels)
            assert run.is_fast
    assert kernels.count <= 16


def test_a_denoiser_that_is_reused_costs_a_sum_alone() -> None:
    """Neither its kernels nor its modulations: those of computed evaluations alone are computed ahead."""
    model, timesteps = deep_dit(), (999.0, 600.0, 300.0, 100.0)
    sites, x, made = find_sites(model, "denoiser"), torch.randn(4, 4, 8, 8), list[int]()
    rows = [[0.5, 0.5] if e > 1 else [] for e in range(4)]
    weights = InputWeights({"denoiser": rows}, inputs={"denoiser": [row[:1] for row in rows]})
    labels = torch.tensor([1, 3, 1, 10])
    for full in (4, 2):
        schedule = Schedule.steps(sites, [e < full for e in range(4)], {"method": "none"})
        with torch.no_grad(), cached(model, schedule, predictor=weights, coordinates=timesteps) as run:
            for e, t in enumerate(timesteps):
                run.step(e, t)
                time = torch.full((4,), int(t))
                with Kernels() as kernels, Largest() as largest:
                    model(x, timestep=time, class_labels=labels)
                made += [largest.bytes] if e == 0 else []
            assert run.is_fast
    assert kernels.count <= 4  # a product, two additions, and a copy for the caller
    assert made[1] == made[0] // 2


def test_ungated_branches_that_are_reused_together_keep_one_sum() -> None:
    model = fast_model("stable_audio")
    sites = find_sites(model.denoiser)
    sizes = {}
    for every in (1, 2):  # the second branch of each block has a column of its own
        bits = [
            [int(e % (2 * every if i % 3 == 1 else 2) == 0) for i in range(len(sites))] for e in range(EVALS)
        ]
        with cached(model.denoiser, Schedule.of(sites, bits), coordinates=model.timesteps) as run:
            model.run(run.step)
        sizes[every] = run.cache_bytes
    tokens = 2 * 25 * 32 * 4  # bytes of a stream
    # the feed-forward and the next block's self-attention are neighbours
    assert sizes == {1: tokens, 2: 5 * tokens}


def test_bfloat16() -> None:
    model, timesteps = deep_dit(torch.bfloat16), (999.0, 600.0, 300.0, 100.0)
    schedule = Schedule.steps(find_sites(model), [True, True, False, False])
    x, labels = torch.randn(4, 4, 8, 8).bfloat16(), torch.tensor([1, 3, 1, 10])

    def sample(**arguments: Any) -> Tensor:
        outputs = []
        with torch.no_grad(), cached(model, schedule, predictor="taylor1", **arguments) as run:
            for e, t in enumerate(timesteps):
                run.step(e, t)
                outputs.append(model(x, timestep=torch.full((4,), int(t)), class_labels=labels).sample)
        return torch.cat(outputs)

    fast, other = sample(coordinates=timesteps), sample(fast=False)
    assert fast.dtype == torch.bfloat16
    torch.testing.assert_close(fast.float(), other.float(), rtol=0.05, atol=0.05 * float(other.abs().max()))


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that is made, and whether those before of that size were freed by then."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.at_once, self._made = 0, 0, list[StorageWeakRef]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._made = [storage for storage in self._made if not storage.expired()]
        output = func(*args, **(kwargs or {}))
        if func._schema.name == "aten::empty":
            self.bytes = max(self.bytes, output.nbytes)
            self._made.append(StorageWeakRef(output.untyped_storage()))
            self.at_once = max(self.at_once, len(self._made))
        return output


def test_modulations_computed_ahead_are_bounded_over_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    model, timesteps = deep_dit(head=16), tuple(float(t) for t in range(900, 0, -100))
    sites, x = find_sites(model), torch.randn(8, 4, 8, 8)
    policy = Schedule.steps(sites, [e % 2 == 0 for e in range(len(timesteps))])

    def sample() -> tuple[Tensor, Largest]:
        output = x
        with torch.no_grad(), Largest() as made, cached(model, policy, coordinates=timesteps) as run:
            for e, t in enumerate(timesteps):
                run.step(e, t)
                output = model(x, timestep=torch.full((8,), int(t)), class_labels=torch.arange(8)).sample
            assert run.is_fast
        return output, made

    whole, unbounded = sample()
    monkeypatch.setattr(dit, "KEPT_FOR_ALL", unbounded.bytes // 2)
    output, made = sample()
    assert made.bytes <= unbounded.bytes // 2 and made.at_once == unbounded.at_once
    assert torch.equal(output, whole)


@pytest.mark.parametrize("bound", [None, 2**16])
@pytest.mark.parametrize("interval", [1, 2])
def test_a_sample_of_the_nano_model_does_not_depend_on_its_batch(
    interval: int, bound: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor on the classes beside it, for which products are computed together."""
    if bound is not None:  # of so many bytes that a batch decides how many evaluations are computed ahead
        monkeypatch.setattr(dit, "KEPT_FOR_ALL", bound)
    model, solver = PixelDiT("dit_nano", "dit", 2.0, torch.device("cpu")), DDIM(4)
    rows = [e % interval == 0 for e in range(solver.steps)]
    policy = Schedule.steps(find_sites(model.denoiser), rows, {"method": "none"})

    def sample(seeds: range) -> Tensor:
        with cached(model.denoiser, policy, coordinates=solver.coordinates) as run:
            return latents(model, solver, seeds, run.step)

    whole = sample(range(8))
    for part in (range(1), range(2, 4), range(3, 8)):
        assert torch.equal(sample(part), whole[part.start : part.stop])


def test_coordinates_that_are_not_the_timesteps_are_found_when_a_device_has_finished() -> None:
    """A fast forward takes them for the timesteps, as it may not wait for the device to read those."""
    with pretended_cuda():
        model, solver = PixelDiT("dit_nano", "dit", 2.0, CUDA), DDIM(4)
        policy = Schedule.steps(find_sites(model.denoiser), [True, False, True, False])
        wrong = [t + 1 for t in solver.coordinates]

        def sample(fast: bool) -> None:
            with cached(model.denoiser, policy, coordinates=wrong, fast=fast) as run:
                latents(model, solver, range(2), lambda e, t, index: run.step(e, wrong[e], index))

        sample(fast=False)
        with pytest.raises(ValueError, match="the DiTTransformer2DModel got other timesteps than"):
            sample(fast=True)


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_timestep_that_comes_again_needs_what_all_its_evaluations_need(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """As in solvers of two stages, also where the second evaluation lies beyond those computed ahead."""
    model, timesteps = deep_dit(), (900.0, 700.0, 700.0, 500.0, 500.0, 300.0)
    policy = Schedule.steps(find_sites(model), [True, False, True, False, True, False])
    x, labels = torch.randn(2, 4, 8, 8), torch.tensor([1, 3])

    def sample(fast: bool) -> Tensor:
        outputs = []
        with torch.no_grad(), cached(model, policy, coordinates=timesteps, fast=fast) as run:
            for e, t in enumerate(timesteps):
                run.step(e, t)
                outputs.append(model(x, timestep=torch.full((2,), int(t)), class_labels=labels).sample)
                assert run.is_fast == fast
        return torch.cat(outputs)

    row_bytes = (6 * DEPTH + 2) * 16 * 4
    monkeypatch.setattr(dit, "KEPT_FOR_A_CLASS", at_once * row_bytes)
    torch.testing.assert_close(sample(fast=True), sample(fast=False), rtol=1e-4, atol=1e-5)
