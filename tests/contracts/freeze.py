"""`python -m tests.contracts.freeze`: freeze the ids of everything in conf/, and say which of them changed.

tests/contracts/test_frozen.py fails where an id is another than the frozen one: whoever has results would make
them anew.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import conf
from smoothbench.config.expand import settings
from smoothbench.config.instantiate import build, build_model
from smoothbench.config.spec import Settings
from smoothbench.errors import UsageError
from smoothbench.planning.calibrated import Uncalibrated
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.planning.plan import plan_points
from smoothbench.running.calibrate_or_train import checkpoint_id
from smoothbench.sampling.calibrate_point import curves_file
from smoothbench.scoring.scorer import Scorer
from smoothbench.storage.feature_cache import FeatureCache
from tests.support.compose import composed

FILE = Path(__file__).with_name("frozen.json")
CONF = Path(conf.__file__).parent
RULE = (
    "its id is another than the frozen one, so that results made before are not found again. Raise the `version` of a "
    "class if the same parameters give other numbers than before, never to get past this test. If a parameter or its "
    "default, a name or a data file changed on purpose, or a version rose: python -m tests.contracts.freeze. If code "
    "was only moved or written anew, the id must stay"
)
METRICS = (
    ("dit_nano", "image"),
    ("dit_nano", "effnet"),
    ("stable_audio_nano", "audio"),
    ("opensora_nano", "video"),
    ("dit_nano", "fd_uncached_nano"),
    ("stable_audio_nano", "fd_uncached_nano"),
    ("opensora_nano", "fd_uncached_nano"),
    ("dit_nano", "rank_preserved"),
    ("dit_nano", "best_preserved"),
)
SMALL = ("stage=cost", "device=cpu", "num_samples=2")
Ids = Mapping[str, str]


def frozen() -> dict[str, str]:
    """The ids as they were frozen."""
    content: dict[str, str] = json.loads(FILE.read_text())
    return content


def points(*overrides: str) -> dict[str, str]:
    """Of each point of a configuration its three ids, of a method that plans on curves or learns also their files'."""
    asked = settings(composed(*SMALL, *overrides))
    sites = _sites(json.dumps(_weightless(asked)))
    model, found = sites.model, {}
    # nothing is measured: points that need curves go by the calibration that they ask for
    for point in plan_points(asked, model, sites, Uncalibrated()):
        assert not (places := list(_places(point.described))), (
            f"{point.spec.name}: {places} are places, not parts"
        )
        ids = [point.sample_id, point.point_id, point.cell_id]
        if getattr(build(point.spec.policy, "cache"), "needs_curves", False):
            ids.append(
                curves_file(point.described["model"], point.described["solver"], point.spec.calibration)
            )
        if "_target_" in (point.spec.training or {}):
            training = build(point.spec.training, "cache.training")
            ids.append(checkpoint_id(model, point.spec, training, asked.training))
        found[point.spec.name] = " ".join(ids)
    return found


def metrics(model: str, group: str) -> dict[str, str]:
    """The hash of each metric of a group that can be built here."""
    asked = settings(composed(f"model={model}", f"metrics=[{group}]", "device=cpu"))
    with TemporaryDirectory() as folder:
        built = build_model(asked.model, torch.device("cpu"))
        found = {}
        for name, node in asked.metrics.items():
            try:
                scorer = Scorer({name: node}, built, FeatureCache(Path(folder)))
            except UsageError as error:
                if "not installed" not in str(error):
                    raise
                continue
            found[name] = scorer.metrics[name].config_hash
        return found


def configurations() -> dict[str, tuple[str, ...]]:
    """The overrides of every experiment, and of a single point of every method, solver and model."""
    experiments = {
        path.relative_to(CONF / "exp").with_suffix("").as_posix() for path in CONF.rglob("exp/**/*.yaml")
    }
    stems = {
        group: sorted(path.stem for path in (CONF / group).glob("*.yaml"))
        for group in ("cache", "solver", "model")
    }
    needed = {"schedule": "cache.policy.path=smoothcache-ddim50-alpha0.08.json"}
    found = {f"exp {name}": (f"+exp={name}",) for name in sorted(experiments)}
    for method in stems["cache"]:
        found[f"cache {method}"] = (f"cache={method}", *([needed[method]] if method in needed else []))
    for group in ("solver", "model"):
        stems[group].remove("pipeline")  # its ids are those of weights that only a user has
    for solver in stems["solver"]:
        of_velocity = solver == "rflow" or solver.endswith("_flow")
        model = "opensora_nano" if of_velocity else "stable_audio_nano" if "3m" in solver else "dit_nano"
        found[f"solver {solver}"] = (f"model={model}", f"solver={solver}")
    return found | {f"model {model}": (f"model={model}",) for model in stems["model"]}


def of_metrics() -> dict[str, str]:
    """The hashes of all metrics that can be built here, by model and name."""
    return {
        f"metric {name} of {model}": value
        for model, group in METRICS
        for name, value in metrics(model, group).items()
    }


def now(name: str) -> dict[str, str]:
    """The ids of a configuration's points as they are."""
    return {f"{name}: {point}": ids for point, ids in points(*configurations()[name]).items()}


def changes(old: Ids, new: Ids) -> list[str]:
    """A line for each id that is new or another, with what to do."""
    return [
        f"{name}: {RULE}" if name in old else f"{name}: is new; freeze it: python -m tests.contracts.freeze"
        for name in new
        if old.get(name) != new[name]
    ]


@cache  # many configurations are of the same models
def _sites(node: str) -> ChosenSites:
    """The sites of the model that a node as JSON stands for."""
    return ChosenSites(build_model(json.loads(node), torch.device("cpu")))


def _weightless(asked: Settings) -> dict[str, object]:
    """The model's node with random weights where it may have them: ids must not depend on what is downloaded."""
    return asked.model | ({"weights": "random"} if "weights" in asked.model else {})


def _places(described: object) -> Iterator[str]:
    """Import paths and paths of files in a description."""
    if isinstance(described, dict):
        for key, value in described.items():
            yield from ([key] if key == "_target_" else _places(value))
    elif isinstance(described, list):
        for value in described:
            yield from _places(value)
    elif isinstance(described, str) and re.search(
        r"/|\.(py|json|safetensors|npz|txt|csv)$|^[a-z_]+\.[a-z_.]+\w+$", described
    ):
        yield described


def main() -> int:
    """Print what changed, and freeze it; metrics that cannot be built here stay as they were frozen."""
    print("composes every configuration: some minutes", flush=True)
    old = frozen() if FILE.exists() else {}
    new = {key: ids for name in configurations() for key, ids in now(name).items()} | of_metrics()
    new = {key: value for key, value in old.items() if key.startswith("metric ")} | new
    FILE.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n")
    done = [
        line.replace("freeze it: python -m tests.contracts.freeze", "frozen") for line in changes(old, new)
    ]
    print("\n".join([*done, *(f"{key}: is gone" for key in old.keys() - new.keys())]) or "nothing changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
