"""`python -m tests.contracts.pin`: pin the code of every plug-in that conf/ names, and say what changed.

tests/contracts/test_pinned.py fails where code changed and its version did not.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from hydra.utils import get_object
from torch import nn

import conf
from smoothbench.caching import calibrate
from smoothbench.config.instantiate import build_predictor
from smoothbench.models.base.prompts import Prompts
from smoothbench.sampling.calibrate_point import Curves
from smoothbench.storage.code_fingerprint import fingerprint, version_of
from smoothbench.storage.identity import name_of

FILE = Path(__file__).with_name("pinned.json")
CONF = Path(conf.__file__).parent
RULE = (
    "raise its `version` by one if the same parameters can give other numbers than before (then its old samples or "
    "scores are made anew); leave it if they give the same; then pin: python -m tests.contracts.pin"
)
Pins = Mapping[str, Mapping[str, Any]]
KINDS = (  # what a plug-in of each kind has, the first that fits
    ("model", ("skeleton",)),
    ("solver", ("begin", "model_input", "step", "sample")),
    ("policy", ("plan",)),
    ("policy", ("plan_on",)),
    ("policy", ("decide",)),
    ("policy", ("choose_sites",)),  # composed of another
    ("predictor", ("depth",)),
    ("metric", ("score",)),
    ("encoder", ("forward",)),
    ("training", ("fit",)),
)


def plugins() -> dict[str, type]:
    """The classes that conf/ names, that its functions give as networks, and its predictors, by name.

    Lists of prompts are data: their digest is part of a model's identity, their code of a model's code. Classes of
    torchmetrics go by its release, and the fingerprint of what a node names is part of a score's identity.
    """
    found = {each for text in _texts() for each in _named(text)} - {Prompts}
    found = {each for each in found if not each.__module__.startswith("torchmetrics.")}
    return {f"{each.__module__}.{each.__name__}": each for each in sorted(found, key=str)}


def kind_of(part: type) -> str:
    """What a plug-in class is; ValueError for none of the kinds."""
    for kind, members in KINDS:
        if all(hasattr(part, member) for member in members):
            return kind
    raise ValueError(
        f"{part.__module__}.{part.__name__} is a plug-in of no kind: it needs one in tests/contracts/pin.py"
    )


def misnamed(parts: Mapping[str, type]) -> list[str]:
    """A line for each plug-in without a name of its own, and for each two of a kind with the same one."""
    lines, taken = [], dict[tuple[str, str], str]()
    for path, part in parts.items():
        kind, name = kind_of(part), name_of(part)
        attribute = "kind" if kind == "model" else "name"
        if name is None:
            lines.append(
                f'{path} needs `{attribute} = "..."` in its own body, a short name that no other {kind} has'
            )
        elif first := taken.get((kind, name)):
            lines.append(f"{path} and {first} are both the {kind} {name!r}: give one another `{attribute}`")
        else:
            taken[kind, name] = path
    return lines


def now() -> dict[str, dict[str, Any]]:
    """Version and fingerprint of each plug-in, and of how error curves are measured, as they are."""
    parts = {
        name: {"version": version_of(part), "source": fingerprint(part)} for name, part in plugins().items()
    }
    return parts | {"error curves": {"version": Curves.version, "source": fingerprint(calibrate)}}


def pinned() -> dict[str, dict[str, Any]]:
    """Version and fingerprint of each plug-in as they were pinned."""
    content: dict[str, dict[str, Any]] = json.loads(FILE.read_text())
    return content


def changes(old: Pins, new: Pins) -> list[str]:
    """What differs, a line for each plug-in, with what to do."""
    lines = [f"{name}: is new; pin it: python -m tests.contracts.pin" for name in new.keys() - old.keys()]
    lines += [f"{name}: is gone; unpin it: python -m tests.contracts.pin" for name in old.keys() - new.keys()]
    lines += [
        _change(name, old[name], new[name]) for name in old.keys() & new.keys() if old[name] != new[name]
    ]
    return sorted(lines)


def _change(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    versions = f"version {old['version']} -> {new['version']}"
    if old["version"] == new["version"]:
        return f"{name}: its code changed and its version did not ({old['version']}): {RULE}"
    if (new["version"] or 0) < (old["version"] or 0):
        return (
            f"{name}: {versions}: a version never falls, results of version {new['version']} are other code's"
        )
    return f"{name}: {versions}; pin it: python -m tests.contracts.pin"


def _texts() -> list[str]:
    files = [path for path in sorted(CONF.rglob("*.yaml")) if path.relative_to(CONF).parts[0] != "hydra"]
    return [path.read_text() for path in files]  # Hydra's own plug-ins make no numbers


def _named(text: str) -> Iterator[type]:
    for target in re.findall(r"_target_: ([\w.]+\w)", text):
        part = get_object(target)
        given = part if isinstance(part, type) else get_type_hints(part).get("return")
        if isinstance(part, type) or (isinstance(given, type) and issubclass(given, nn.Module)):
            yield from [given] if given is not nn.Module else []
    for name in re.findall(r"predictor: (\w+)", text):
        yield type(build_predictor(name, "predictor"))


def main() -> int:
    """Print what changed and pin it; 1 where a version fell, and then nothing is pinned."""
    new = now()
    lines = changes(pinned() if FILE.exists() else {}, new)
    fell = any("never falls" in line for line in lines)
    if not fell:
        FILE.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n")
    done = [line.replace("pin it: python -m tests.contracts.pin", "pinned") for line in lines]
    print("\n".join([*lines, "nothing is pinned"] if fell else done) or "nothing changed")
    return int(fell)


if __name__ == "__main__":
    sys.exit(main())
