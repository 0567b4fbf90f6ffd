"""An override that nobody reads is refused in one line, wherever it stands and however it is spelt."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from baselines.fora import FORA
from smoothbench.caching.policy import Evaluation
from smoothbench.cli import main
from smoothbench.config.instantiate import build_model, build_policy, build_solver
from smoothbench.config.spec import Settings
from smoothbench.errors import UsageError
from smoothbench.sampling.devices import device_of
from tests.support.compose import checked


def refusal(*overrides: str) -> str | None:
    """What a command with these overrides is refused for before its first sample; None where it is not."""
    try:
        accepted(*overrides)
    except UsageError as error:
        assert "\n" not in str(error)
        return str(error)
    return None


def accepted(*overrides: str) -> Settings:
    """The plan of a command, with what it would build."""
    asked = [] if any("metrics" in each for each in overrides) else ["metrics=[psnr]"]
    plan = checked(*asked, *overrides)
    build_model(plan.model, device_of("cpu"))
    for spec in plan.specs:
        build_solver(spec.solver)
        build_policy(spec.policy, f"points.{spec.name}")
    return plan


@pytest.mark.parametrize(
    "override",
    [
        "+foo=3",
        "+foo={a:1}",
        "++foo.bar=1",
        "+defaults=[a]",
        "+_target_=x",
        "+metrics@foo=psnr",
        "+model@foo=dit_nano",
        "+hydra.foo=1",
        "+hydra.job.nme=1",
        "+solver.stepz=5",
        "+solver.label=x",
        "+solver.predictor=taylor1",
        "+solver.training.a=1",
        "+model.label=x",
        "+model.encoder=x",
        "+model.training.x=1",
        "+model.evaluation.foo=1",
        "model.evaluation.real.file=nothing.npz",
        "~model.evaluation.real",
        "+cache.policy.alfa=1",
        "+cache.policy.encoder=1",
        "+cache.encoder=1",
        "+cache.training.x=1",
        "++latency.round=3",
        "+latency={foo:1}",
        "+latency.also.dtyp=[float32]",
        "+metrics.psnr.x=1",
        "+metrics.psnr.metric.x=1",
        "+metrics.psnr.metric.label=1",
        "+reference.sweep={solver.steps:[3]}",
        "+reference.published={a:1}",
    ],
)
def test_what_nobody_reads_is_refused(override: str) -> None:
    assert refusal("stage=cost", override) is not None, f"{override} was silently accepted"


@pytest.mark.parametrize(
    "override",
    [
        "cache=fora",
        "cache=none",
        "cache.label=other",
        "+cache.policy.alpha=1",
        "+cache.alpha=1",
        "points.fora.cache.policy.interval=5",  # its sweep sets it
        "points.fora={cache:{policy:{interval:5}}}",
        "points.fewer.cache.label=x only=[fora]",
        "+points.fora.cache.policy.alhpa=5",
        "+points.fora.cache.alhpa=5",
        "+points.fora.swep=5",
        "+points.fora.solver.stepz=5",
        "+points.fora.calibration.sed=5",
        "+points.fora.published={a:1}",
        "+points.fora.published={policy:{_target_:baselines.none.NoCache,x:1}}",
        "+cache@points.a.cach=fora",
    ],
)
def test_what_an_experiment_does_not_read_is_refused(override: str) -> None:
    assert refusal("+exp=smoke", *override.split()) is not None, f"{override} was silently accepted"


NEEDED = ["cache", "solver", "latency", "points", "device", "num_samples"]
NEEDED += [
    "latency.also",
    "latency.device",
    "latency.rounds",
    "training.dropout",
    "calibration.unconditional",
]


@pytest.mark.parametrize("key", NEEDED)
def test_what_every_run_needs_is_not_deleted(key: str) -> None:
    assert refusal(f"~{key}") == (f"{key} is missing, and every run needs it: do not delete it (~{key})")


@pytest.mark.parametrize(
    "overrides",
    [
        "model.guidance=3",
        "cache=fora cache.policy.interval=3",
        "solver=euler +reference.solver={steps:70}",
        "cache=l2c cache.training.penalty=1e-4",
        "cache=l2c cache.training.steps=3",  # of another stage, but its training takes it
        "+exp=smoke ~points.fora.sweep points.fora.cache.policy.interval=5",
        "+exp=smoke points.taylor={cache:{policy:{interval:3}}}",
        "+exp=smoke +cache@points.new.cache=smoothcache",
        "+exp=smoke reference.cache.label=bare",
        "+exp=calibration_size sizes=[1] draws=[0]",
        "+exp=paper/dit_ddim stage=cost model.evaluation.adm=batch.npz metrics=adm",
        "model=opensora_nano model.shift=3 metrics=[video]",
        "metrics=[image] ~metrics.psnr",
        "num_samples=256",  # as it is anyway
        "hydra.verbose=true",
        "hydra.job_logging.root.level=WARNING",
        "hydra.job_logging.handlers.console.formatter=plain",
        "+hydra.job_logging.loggers.foo.level=DEBUG",
        "hydra.hydra_logging.root=null",
        "+exp=[smoke]",
        "+exp=[smoke,calibration_size] sizes=[1]",
        "cache=fora stage=cost batch_size=3",  # for one set of overrides with stage=all
        "cache=fora latency.rounds=0 stage=calibrate out=curves.npz",
        "cache=l2c stage=train out=router.safetensors training.trajectories=5",
        "training.batch_size=3 latency.batch_size=${training.batch_size}",
        "training.seed=997",  # which the other seed blocks must differ from
    ],
)
def test_what_somebody_reads_is_taken(overrides: str) -> None:
    assert refusal(*overrides.split()) is None


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ("training.trajectories=5", "only stage=train learns"),
        ("latency.rounds=0 latency.warmup=9", "no latency is measured (latency.rounds=0)"),
        ("latency.rounds=0 latency.also={mode:[eager]}", "no latency is measured (latency.rounds=0)"),
        ("stage=calibrate out=c.npz latency.batch_size=3", "no latency is measured (stage=calibrate)"),
        ("stage=calibrate out=curves.npz batch_size=3", "stage=calibrate draws no samples"),
        ("stage=latency batch_size=3", "stage=latency draws no samples; see latency.batch_size"),
    ],
)
def test_what_the_stage_has_no_use_for_is_refused(overrides: str, why: str) -> None:
    said = refusal("cache=fora", *overrides.split())
    assert said is not None and said.endswith(f"nothing in this run reads it: {why}")


def test_a_batch_size_is_read_where_a_method_decides_at_run_time() -> None:
    method = {
        "policy._target_": f"{__name__}.Alternate",
        "label": "a",
        "family": "a",
        "predictor": "reuse",
    }
    given = [f"++cache.{key}={value}" for key, value in method.items()]
    assert refusal("stage=latency", *given, "batch_size=3") is None


class Undecided(FORA):
    """A static method that says that it has no `decide`, as Python's protocols allow."""

    decide = None


def test_a_method_whose_decide_is_none_decides_before_the_run() -> None:
    given = ("cache=fora", f"cache.policy._target_={__name__}.Undecided", "batch_size=3")
    said = refusal("stage=latency", *given)
    assert said is not None and said.endswith("stage=latency draws no samples; see latency.batch_size")


def test_a_point_that_equals_the_reference_is_said_to() -> None:
    for overrides in (["+exp=smoke", "points.none.cache.label=x"], ["cache.predictor=taylor1"]):
        said = refusal(*overrides)
        assert said is not None and "the point equals the reference" in said
    left_out = refusal("+exp=smoke", "points.fewer.cache.label=x", "only=[fora]")
    assert left_out is not None and "left out by only=" in left_out


@pytest.mark.parametrize(
    "overrides",
    ["cache.predictor=taylor1", "+exp=smoke only=[fora] points.taylor.cache.predictor=taylor2"],
)
def test_a_multirun_warns_of_what_another_job_may_read(
    overrides: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert refusal("hydra.mode=MULTIRUN", *overrides.split()) is None
    assert "nothing in this run reads it" in caplog.text
    assert refusal("hydra.mode=MULTIRUN", *overrides.split(), "+foo=1") is not None


class Alternate:
    """A method that decides at run time."""

    def decide(self, evaluation: Evaluation) -> Sequence[bool]:
        return [evaluation.index % 2 == 0] * 3


def test_a_solver_that_every_point_replaces_is_not_read() -> None:
    whole = {"_target_": "smoothbench.solvers.ddim.DDIM", "steps": 20}
    given = [
        f"++{part}.{key}={value}"
        for part in ("reference.solver", "points.a.solver")
        for key, value in whole.items()
    ]
    asked = ["+cache@points.a.cache=fora", *given]
    assert refusal(*asked) is None
    said = refusal(*asked, "solver.steps=30")
    assert said is not None and said.startswith("solver.steps=30: nothing in this run reads it")


def test_the_command_refuses_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["smoothbench", "+foo={bar:1}", "stage=cost"])
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capfd.readouterr().err.startswith("error: +foo={bar:1}: foo.bar: nothing in this run reads it")
    assert not list(tmp_path.iterdir())


def test_an_experiment_file_says_where_it_belongs(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp/mine.yaml").write_text("num_samples: 4\n")
    said = refusal(f"hydra.searchpath=[file://{tmp_path}]", "+exp=mine")
    assert said and "an experiment's file must begin with: # @package _global_" in said
    (tmp_path / "exp/mine.yaml").write_text("# @package _global_\nlatncy: {rounds: 0}\n")
    said = refusal(f"hydra.searchpath=[file://{tmp_path}]", "+exp=mine")
    assert said and said.startswith("latncy.rounds: nothing in this run reads it")
