"""U-ViT as a model of the harness: guidance in two forwards, and what caching makes of them."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.fora import FORA
from baselines.none import NoCache
from smoothbench.caching import MacCounter, Schedule, Trajectory, cached, find_sites
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build_model
from smoothbench.errors import UsageError
from smoothbench.models.uvit.architecture import UViT
from smoothbench.models.uvit.latent import LatentUViT
from smoothbench.running.experiment import Experiment
from smoothbench.sampling.loop import latents, silent
from smoothbench.solvers.dpm_singlestep import DPMSolverSinglestep
from tests.support.compose import composed
from tests.support.solve import solve
from tests.support.tiny_pipelines import tiny_dit_pipeline

CPU = torch.device("cpu")
SIZES = {"img_size": 8, "embed_dim": 32, "depth": 4, "num_heads": 2, "num_classes": 11}
SOLVER = DPMSolverSinglestep(8)
SEEDS = range(3)


@pytest.fixture(scope="module")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, as the reference writes it, and a decoder."""
    folder = tmp_path_factory.mktemp("uvit")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(UViT(**SIZES).state_dict(), folder / "uvit.pth")
    tiny_dit_pipeline().vae.save_pretrained(folder / "vae")
    return folder


def built(folder: Path, **changes: Any) -> LatentUViT:
    asked = {"path": str(folder / "uvit.pth"), "vae": str(folder / "vae"), "architecture": SIZES}
    return LatentUViT(**{"name": "tiny", "device": CPU, **asked, **changes})


def noisy() -> Tensor:
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))


def trajectory(model: LatentUViT) -> Trajectory:
    sites, rest = measured_sites(*model.skeleton())
    return Trajectory(sites, SOLVER.coordinates, rest.total, rest.linear)


def sampled(model: LatentUViT, schedule: Schedule) -> tuple[Tensor, Any]:
    with cached(model.denoiser, schedule) as run:
        x = latents(model, SOLVER, SEEDS, run.step)
    return x, run


def test_two_forwards_of_which_each_is_announced_with_its_classes(checkpoint_folder: Path) -> None:
    model, told, seen = built(checkpoint_folder), list[int](), list[tuple[float, list[int]]]()
    hook = model.denoiser.register_forward_pre_hook(
        lambda _, arguments: seen.append((arguments[1][0].item(), arguments[2].tolist()))
    )
    x, labels = noisy(), torch.tensor([3, 7])
    guided = model.predict(x, 500.25, model.conditioning(labels), lambda i: told.append(len(seen) * 10 + i))
    assert told == [0, 11] and seen == [(500.25, [3, 7]), (500.25, [10, 10])]
    hook.remove()
    cond, uncond = (model.denoiser(x, torch.full((2,), 500.25), y) for y in (labels, torch.tensor([10, 10])))
    assert torch.equal(guided, cond + 0.4 * (cond - uncond)) and not torch.equal(cond, uncond)
    assert torch.equal(model.output(x, 500.25, labels), cond)
    assert (model.forwards, model.guidance_rows, model.identity["guidance"]) == (2, 2, 1.4)


def test_without_guidance_one_forward(checkpoint_folder: Path) -> None:
    model, told = built(checkpoint_folder, scale=0), list[int]()
    x, labels = noisy(), torch.tensor([3, 7])
    assert torch.equal(
        model.predict(x, 9.0, model.conditioning(labels), told.append), model.output(x, 9.0, labels)
    )
    assert told == [0] and (model.forwards, model.guidance_rows, model.identity["guidance"]) == (1, 1, 1)
    guided, bare = (trajectory(built(checkpoint_folder, scale=scale)) for scale in (0.4, 0))
    assert [2 * site.macs for site in bare.sites] == [site.macs for site in guided.sites]
    assert guided.rest_macs == 2 * bare.rest_macs > 0


def test_everything_computed_is_the_same_bits(checkpoint_folder: Path) -> None:
    model = built(checkpoint_folder)
    bare = latents(model, SOLVER, SEEDS, silent)
    through, run = sampled(model, NoCache().plan(trajectory(model)))
    assert torch.equal(through, bare)
    assert run.forwards == 2 * 8 and set(run.calls.values()) == {16}


def by_hand(model: LatentUViT, schedule: Schedule) -> Tensor:
    """Each branch on a denoiser and a cache of its own."""
    denoisers = copy.deepcopy(model.denoiser), copy.deepcopy(model.denoiser)
    labels = model.labels_or_prompts(SEEDS), model.unconditional(len(SEEDS))
    noise = [torch.randn(model.sample_shape, generator=torch.Generator().manual_seed(seed)) for seed in SEEDS]

    def predict(e: int, x: Tensor, t: float) -> Tensor:
        cond, uncond = (
            denoiser(x, torch.full((len(x),), t), y) for denoiser, y in zip(denoisers, labels, strict=True)
        )
        return cond + 0.4 * (cond - uncond)

    x = torch.stack(noise)
    with torch.inference_mode(), cached(denoisers[0], schedule), cached(denoisers[1], schedule):
        return solve(SOLVER, x, predict)


def test_the_histories_of_the_two_branches_never_mix(checkpoint_folder: Path) -> None:
    model = built(checkpoint_folder)
    schedule = FORA(2).plan(trajectory(model))
    apart, _ = sampled(model, schedule)
    torch.testing.assert_close(apart, by_hand(model, schedule), rtol=0, atol=0)
    twice = tuple(row for row in schedule.computed for _ in range(2))
    with cached(model.denoiser, Schedule(schedule.sites, schedule.kinds, twice)) as run:
        mixed = latents(model, SOLVER, SEEDS, lambda e, t, i: run.step(2 * e + i, t))
    assert (mixed - apart).abs().max() > 1e-3, "with one history for both, cond reuses what is uncond's"


def test_executed_macs_are_the_planned_ones_and_calls_count_both_forwards(checkpoint_folder: Path) -> None:
    model = built(checkpoint_folder)
    plan = trajectory(model)
    schedule = FORA(3).plan(plan)
    with MacCounter() as counter:
        x, run = sampled(model, schedule)
    assert run.calls == {site: 2 * n for site, n in schedule.calls().items()}
    assert counter.macs().total == len(SEEDS) * plan.cost(schedule.calls()).total
    assert counter.macs().linear == len(SEEDS) * plan.cost(schedule.calls()).linear
    assert 0.3 < run.skipped_share < 0.7 and x.isfinite().all()


def test_outside_the_harness_the_calls_of_an_evaluation_are_told_once(checkpoint_folder: Path) -> None:
    model = built(checkpoint_folder)
    schedule = FORA(2).plan(trajectory(model))
    with cached(model.denoiser, schedule, calls_per_eval=2):
        unannounced = latents(model, SOLVER, SEEDS, silent)
    assert torch.equal(unannounced, sampled(model, schedule)[0])
    with pytest.raises(ValueError, match="calls_per_eval=1"), cached(model.denoiser, schedule):
        latents(model, SOLVER, SEEDS, silent)


def test_a_class_is_drawn_from_the_samples_own_generator(checkpoint_folder: Path) -> None:
    model, generator = built(checkpoint_folder), torch.Generator().manual_seed(1)
    torch.randn(4, 8, 8, generator=generator)
    label = int(torch.randint(10, (), generator=generator))
    assert (
        model.labels_or_prompts([0, 1, 2])[1] == label
        and len(set(model.labels_or_prompts(range(40)).tolist())) == 10
    )
    assert model.unconditional(2).tolist() == [10, 10]


def test_half_precision_runs_and_stays_near(checkpoint_folder: Path) -> None:
    half, whole = built(checkpoint_folder, dtype="bfloat16"), built(checkpoint_folder)
    x = latents(half, SOLVER, SEEDS, silent)
    expected = latents(whole, SOLVER, SEEDS, silent)
    assert x.dtype == torch.float32 and 0 < (x - expected).norm() / expected.norm() < 0.1
    assert half.identity["dtype"] == "bfloat16" and half.identity != whole.identity


def test_decoded_pixels(checkpoint_folder: Path) -> None:
    model, x = built(checkpoint_folder), noisy()
    vae = tiny_dit_pipeline().vae
    with torch.inference_mode():
        images = vae.decode(x / 0.18215).sample
    expected = (255 * (images / 2 + 0.5).clamp(0, 1) + 0.5).floor()  # torchvision's save_image
    pixels = model.decode(x)
    off = (pixels - expected).abs()
    assert off.max() <= 1 and (off > 0).float().mean() < 0.01, "but for ties"
    assert pixels.dtype == torch.uint8 and pixels.shape == (2, 3, 16, 16)


@pytest.mark.slow
def test_costs_without_weights(tmp_path: Path) -> None:
    """Learning-to-Cache's own count, of the linear layers of one row: 6.44 T at 50, 2.58 T at 20."""
    overrides = ["+exp=paper/uvit_dpm", "stage=cost", "device=cpu", f"results_dir={tmp_path}"]
    experiment = Experiment(settings(composed(*overrides)))
    assert "imagenet256_uvit_huge.pth" in str(experiment.bench.model.unavailable_reason)
    full = {point.spec.name: point for point in experiment.bench.points}
    for name, printed in (("reference", 6.44), ("none20", 2.58)):
        plan = full[name].trajectory
        linear = plan.cost(full[name].planned_calls).linear
        # one row; their counter finds a little more
        assert linear / 2e12 == pytest.approx(printed, abs=0.0051)
    assert full["fora"].policy.calls()["blocks.3.ff"] == 26
    experiment.run()
    assert not list(tmp_path.rglob("*.png")) and len(list(tmp_path.rglob("cost.csv"))) == 1


def test_samples_with_weights(checkpoint_folder: Path, tmp_path: Path) -> None:
    model = [f"model.path={checkpoint_folder / 'uvit.pth'}", f"model.vae={checkpoint_folder / 'vae'}"]
    model += [f"model.architecture.{key}={value}" for key, value in SIZES.items()]
    small = ["num_samples=4", "batch_size=2", "solver.steps=6", "points.none20.solver.steps=4"]
    where = ["metrics=[psnr]", "device=cpu", f"results_dir={tmp_path}"]
    experiment = Experiment(settings(composed("+exp=paper/uvit_dpm", *model, *small, *where)))
    experiment.run()
    records = [experiment.store.record(p.spec.name, p.point_id) for p in experiment.bench.points]
    assert [record.status.quality for record in records if record] == ["done"] * 3
    assert all(math.isfinite(record.scores["psnr@4"].value) for record in records[1:] if record)


def test_damage_inside_a_checkpoint_is_one_line(checkpoint_folder: Path, tmp_path: Path) -> None:
    data = (checkpoint_folder / "uvit.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(data[: len(data) // 2])
    torch.save(UViT(**{**SIZES, "depth": 2}).state_dict(), tmp_path / "shallow.pth")
    for name in ("half", "shallow"):
        model = built(checkpoint_folder, path=str(tmp_path / f"{name}.pth"))
        with pytest.raises(ValueError, match=rf"{name}\.pth") as error:
            _ = model.denoiser
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.path=absent.pth"], "model.path=absent.pth: no such file"),
        (["model.vae=a/b/c"], "model.vae=a/b/c"),
        (["model.scale=null"], "model.scale must be a number"),
        (["model.weights=none"], "model.weights must be published or random"),
        (["model.dtype=int8"], "model.dtype must be one of"),
        (["model.architecture.depth=7"], "model.architecture.depth=7 must be a multiple of 2"),
        (["+model.architecture.width=7"], "model.architecture: got an unexpected keyword argument 'width'"),
    ],
)
def test_settings_that_cannot_be_are_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        build_model(settings(composed("model=uvit_h_2", "metrics=[psnr]", *overrides)).model, CPU)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_random_weights_are_for_costs(checkpoint_folder: Path) -> None:
    model = built(checkpoint_folder, weights="random")
    assert model.unavailable_reason and "stage=cost alone" in model.unavailable_reason
    assert model.identity["weights_sha256"] == "random" != built(checkpoint_folder).identity["weights_sha256"]
    assert built(checkpoint_folder).unavailable_reason is None and "model.path" in str(
        built(checkpoint_folder, path=None).unavailable_reason
    )
    first, again = (built(checkpoint_folder, path=None).denoiser.state_dict() for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert len(find_sites(model.denoiser)) == 10
    assert latents(model, SOLVER, SEEDS, silent).isfinite().all()
