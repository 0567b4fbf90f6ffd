"""A default has one home: what a YAML in conf/ sets a parameter to is also the default of the class's parameter."""

import re
from collections.abc import Iterator
from dataclasses import fields
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from hydra.utils import get_object

import conf
from smoothbench.caching import calibrate
from smoothbench.config.spec import Settings

CONF = Path(conf.__file__).parent
FALLBACK = r"\$\{oc\.select:[\w.]+,(.*)\}"  # what a value is where the model says nothing
# parameters by which the YAMLs of one class differ, or that name what was published: no defaults, but choices
CHOICES = {
    ("LatentDiT", "revision"): "the published weights of each resolution",
    ("LatentUViT", "vae"): "the published autoencoder, of another repository than the weights",
    ("WindowedFrechetDistance", "suffix"): "which of the statistics of a file",
    ("SpatialFrechetDistance", "suffix"): "which of the statistics of a file",
    ("PromptAgreement", "output"): "which of the classifier's heads",
    ("FrameEncoder", "coarse"): "backgrounds alone are compared on a coarse grid",
    ("FORA", "level"): "L2P predicts what the whole stack adds, as published",
    ("InceptionScore", "split"): "the published score is a mean over splits, our own is not",
    ("load_clip_score", "source"): "which network of CLIP's form",
    ("load_clip_score", "processor"): "PickScore's repository has no processor of its own",
}
# what they pass on must suit the other library's class that a YAML puts into them
ADAPTERS = ("TorchMetric", "TorchMetricOverCorpus", "NetworkScore")


class Default(NamedTuple):
    """A parameter with its value in a YAML, and the default that its class or function has."""

    place: str
    parameter: tuple[str, str]
    value: Any
    default: Any

    @property
    def agrees(self) -> bool:
        """Whether both are the same value of the same type; a whole number may stand for a float."""
        default = list(self.default) if isinstance(self.default, tuple) else self.default
        return bool(self.value == default) and isinstance(self.value, bool) == isinstance(default, bool)

    @property
    def message(self) -> str:
        """Where the two differ, and the way out."""
        name, key = self.parameter
        return f"{self.place}.{key} is {self.value!r}, but {name} has the default {self.default!r}: make them one value"


def defaults() -> list[Default]:
    """Every value in conf/ of a parameter that has a default; experiments choose, so that theirs are left out.

    So are Hydra's launchers, whose packages are optional and not ours.
    """
    left_out = ("exp", "hydra")
    files = [path for path in sorted(CONF.rglob("*.yaml")) if path.relative_to(CONF).parts[0] not in left_out]
    return [found for path in files for found in _of_file(path)]


def _of_file(path: Path) -> Iterator[Default]:
    place = path.relative_to(CONF).with_suffix("").as_posix()
    for where, node in _nodes(yaml.safe_load(path.read_text()), place):
        target = get_object(node["_target_"])
        if not callable(target) or target.__module__.startswith("torchmetrics."):  # its defaults are its own
            continue
        parameters = signature(target).parameters
        for key, value in node.items():
            default = parameters[key].default if key in parameters else Parameter.empty
            if default is not Parameter.empty and _is_plain(value := _fallback(value)):
                yield Default(where, (target.__name__, key), value, default)


def _nodes(content: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(content, dict):
        if "_target_" in content:
            yield place, content
        for key, value in content.items():
            yield from _nodes(value, f"{place}.{key}")


def _fallback(value: Any) -> Any:
    """The value itself, or what an interpolation falls back on."""
    match = re.fullmatch(FALLBACK, value) if isinstance(value, str) else None
    return yaml.safe_load(match[1]) if match else value


def _is_plain(value: Any) -> bool:
    """Whether a value is data: no part with a class of its own, and nothing of another node."""
    return not isinstance(value, dict) and not (isinstance(value, str) and "${" in value)


def test_a_yaml_and_its_class_have_the_same_defaults() -> None:
    known = defaults()
    assert len(known) > 100
    ours = [each for each in known if each.parameter not in CHOICES and each.parameter[0] not in ADAPTERS]
    assert [each.message for each in ours if not each.agrees] == []


def test_every_choice_is_one() -> None:
    differing = {each.parameter for each in defaults() if not each.agrees}
    assert set(CHOICES) <= differing, "what agrees by now is no longer listed"


def test_a_default_that_differs_is_seen() -> None:
    assert not Default("cache/l2c.training", ("RouterTraining", "penalty"), 1e-5, 1e-6).agrees
    assert not Default("", ("", ""), True, 1).agrees and Default("", ("", ""), [1, 2], (1, 2)).agrees


def test_the_run_itself_has_the_defaults_of_its_yaml() -> None:
    config = yaml.safe_load((CONF / "config.yaml").read_text())
    own = {member.name: member.default for member in fields(Settings) if member.name in config}
    own = {name: default for name, default in own.items() if isinstance(default, bool | None)}
    assert own == {
        "keep_samples": True,
        "force": False,
        "tf32": False,
        "out": None,
        "loss": None,
        "shard": None,
    }
    assert own == {name: config[name] for name in own}
    assert signature(calibrate).parameters["k_max"].default == config["calibration"]["k_max"]
