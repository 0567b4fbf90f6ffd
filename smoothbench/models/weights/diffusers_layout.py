"""Loads components in the layout that diffusers and transformers publish: architecture and weights."""

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from smoothbench.errors import one_line
from smoothbench.models.weights.locate import CONFIG, Files
from smoothbench.models.weights.read import read_state

log = logging.getLogger(__name__)


def load_component(kind: Any, files: Files, **more: Any) -> nn.Module:
    """Load a component by its class's own `from_pretrained`, which knows legacy names; every tensor must be filled.

    `more` goes to `from_pretrained`. Raises ValueError, naming the file, for weights that are
    damaged or of another model.
    """
    read_state(files)  # memory-mapped, at no cost: it reports damage more clearly than the classes do
    more |= {"use_safetensors": ".safetensors" in files.weights.name, "local_files_only": True}
    with _alone(files) as folder:
        try:
            module, info = kind.from_pretrained(folder, output_loading_info=True, **more)
        except Exception as error:  # whatever damaged bytes make of a parser
            reason = one_line(error).replace(str(folder), str(files.folder))[:200]
            raise ValueError(_damaged(files.weights, reason)) from None
    if wrong := info["missing_keys"] or info["mismatched_keys"] or info["error_msgs"]:
        raise ValueError(_damaged(files.weights, f"{next(iter(wrong))} is missing or does not fit"))
    return module


@contextmanager
def _alone(files: Files) -> Iterator[Path]:
    """Make a folder of links to a component's configuration and to the chosen weights, under the names classes expect.

    Without it, classes would choose by an order of their own where a folder holds weights in several layouts.
    """
    assert files.folder is not None
    shards = {path.name: path for path in files.shards()} if files.split else {}
    links = {CONFIG: files.folder / CONFIG, files.standard(): files.weights, **shards}
    with TemporaryDirectory() as made:
        for name, path in links.items():
            (Path(made) / name).symlink_to(path.absolute())
        yield Path(made)


def _damaged(path: Path, reason: str) -> str:
    return f"weights {path}: damaged or of another model ({reason}): download or save them again"


def place(files: Files | None) -> str:
    """Name where an architecture comes from, for messages: a folder's config.json, else the setting."""
    return str(files.folder / "config.json") if files and files.folder else "model.architecture"


def architecture(
    kind: Any,
    files: Files | None,
    configured: dict[str, Any],
    counts: Sequence[str],
    optional: Sequence[str] = (),
) -> dict[str, Any]:
    """Return all arguments of a diffusers model: the folder's own, else the configured ones, else its defaults.

    `counts` are whole numbers from 1, those of `optional` perhaps null. Raises ValueError, naming the
    place, where they are not, or no model can be made of them.
    """
    where, given = place(files), files.config() if files and files.folder else configured
    signature = inspect.signature(kind.__init__).parameters.values()
    defaults = {each.name: each.default for each in signature if each.name != "self"}
    if given is configured and (strange := sorted(set(configured) - set(defaults))):
        raise ValueError(f"{where}.{strange[0]}: no argument of diffusers' {kind.__name__}")
    config = {key: given.get(key, default) for key, default in defaults.items()}
    for key in counts:
        config[key] = value = _as_whole_number(config[key])
        if (type(value) is not int or value < 1) and not (key in optional and value is None):
            raise ValueError(f"{where}: {key} must be a whole number from 1, not {value!r:.60}")
    _check_makes(kind, config, where)
    if differs := [key for key in configured if config.get(key) != configured[key]]:
        log.warning("%s: %s differs from model.architecture; the folder's counts", where, ", ".join(differs))
    return config


def _as_whole_number(value: Any) -> Any:
    """Convert a float such as 1024.0, which published configurations hold, to a whole number."""
    return int(value) if type(value) is float and value.is_integer() else value


def _check_makes(kind: Any, config: dict[str, Any], where: str) -> None:
    try:
        with torch.device("meta"):
            kind.from_config({**config, "num_layers": 1})
    except Exception as error:  # invalid values make diffusers raise exceptions of many kinds
        raise ValueError(f"{where}: no {kind.__name__} can be made of it ({one_line(error)[:200]})") from None
