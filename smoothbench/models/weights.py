"""Where published weights lie: a folder, or the Hugging Face cache. The network is never asked."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError

CONFIG = "config.json"
NAMES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
LICENCES: Final = {
    "facebook/DiT-XL-2-256": "cc-by-nc-4.0",
    "facebook/DiT-XL-2-512": "cc-by-nc-4.0",
    "stabilityai/sd-vae-ft-ema": "mit",
}


@dataclass(frozen=True)
class Files:
    """A component's weights, and the folder of its configuration (None: the weights come without one)."""

    weights: Path
    folder: Path | None = None

    def config(self) -> dict[str, Any]:
        """What config.json says; ValueError, naming the file, where it is damaged."""
        assert self.folder is not None
        path = self.folder / CONFIG
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not JSON ({error}): download or save it again") from None
        if not isinstance(config, dict):
            raise ValueError(f"{path} is no configuration: it must hold an object; download or save it again")
        return config

    def sha256(self) -> str:
        """Of the weights: gigabytes take seconds."""
        with self.weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def find(source: str, revision: str | None, parts: Sequence[str], key: str) -> Files | None:
    """The files of a component in diffusers' layout, or None where its repository is not here as a whole.

    `source` is a folder or a repository OWNER/NAME, `parts` are the subfolders where the component may
    lie, `key` is the setting that says so. Raises ValueError for a source that is neither, and for a
    folder or a repository without the component.
    """
    folder = Path(source)
    if folder.is_dir():
        return _in_folder(folder, parts, key)
    try:
        found = [
            try_to_load_from_cache(source, f"{_under(part)}{CONFIG}", revision=revision) for part in parts
        ]
    except HFValidationError:
        found = []
    if folder.exists() or source.count("/") != 1 or not found:
        raise ValueError(f"{key}={source}: no such folder, and no repository OWNER/NAME either")
    configs = [Path(path).parent for path in found if isinstance(path, str)]
    if not configs and all(path is not None for path in found):  # the hub has said that it is not there
        raise ValueError(f"{key}={source}: this repository has no {_wanted(parts)}: name another one")
    return next((files for config in configs if (files := _complete(config))), None)


def _in_folder(folder: Path, parts: Sequence[str], key: str) -> Files:
    places = [folder / part for part in parts if (folder / part / CONFIG).is_file()]
    if not places:
        raise ValueError(
            f"{key}={folder}: this folder has no {_wanted(parts)}: give a model in diffusers' layout"
        )
    files = _complete(places[0])
    if files is None:
        raise ValueError(
            f"{places[0]} has neither {NAMES[0]} nor *.bin (half-downloaded?): download or save it again"
        )
    return files


def _complete(folder: Path) -> Files | None:
    """The safetensors where there are both; a link to what was not downloaded is no file."""
    paths = [folder / name for name in NAMES if (folder / name).is_file()]
    return Files(paths[0], folder) if paths else None


def _wanted(parts: Sequence[str]) -> str:
    return " or ".join(f"{_under(part)}{CONFIG}" for part in parts)


def _under(part: str) -> str:
    return f"{part}/" if part else ""


def download(what: str, repository: str, revision: str | None, key: str) -> str:
    """One line that says how to get what is not here."""
    asked = f"hf download {repository}" + (f" --revision {revision}" if revision else "")
    licence = LICENCES.get(repository)
    terms = f"licence {licence}" if licence else "if it is gated: accept its terms, then hf auth login"
    return f"{what} not here: {asked} ({terms}), or {key}=FOLDER"
