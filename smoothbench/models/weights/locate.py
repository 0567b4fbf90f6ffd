"""Finds published weights in a folder or in the Hugging Face cache; nothing is ever downloaded."""

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from huggingface_hub import snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from smoothbench.storage.files import sha256_of

log = logging.getLogger(__name__)

CONFIG = "config.json"
NAMES = (  # of diffusers, then of transformers
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
)
SHA256: Final = re.compile("[0-9a-f]{64}")  # what the Hugging Face cache calls the blob of a large file
FORMATS: Final = (".safetensors", ".bin")
INDEX: Final = ".index."  # in the name of the file that lists the shards of weights
VARIANTS: Final = ("fp32", "fp16", "bf16")  # variants of weights, the most precise first; others after them
VARIANT: Final = re.compile(r"\.(\w+)(?=\.(?:safetensors|bin)$)|(?<=\.index)\.(\w+)(?=\.json$)")
TOKENIZER_FILES: Final = (  # all that transformers may read of a tokenizer's folder
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
LICENCES: Final = {
    "facebook/DiT-XL-2-256": "cc-by-nc-4.0",
    "facebook/DiT-XL-2-512": "cc-by-nc-4.0",
    "hpcai-tech/OpenSora-STDiT-v3": "Apache-2.0",
    "hpcai-tech/OpenSora-VAE-v1.2": "Apache-2.0",
    "stabilityai/sd-vae-ft-ema": "mit",
    "stabilityai/stable-audio-open-1.0": "Stability AI Community, gated: accept it on the repository's page, "
    "then hf auth login",
}


@dataclass(frozen=True)
class Files:
    """The weights file of a component and the folder of its configuration (None: the weights come without one)."""

    weights: Path
    folder: Path | None = None

    def config(self, name: str = CONFIG) -> dict[str, Any]:
        """Read config.json, or another JSON file beside it; ValueError, naming it, where it is damaged."""
        assert self.folder is not None
        return _object(self.folder / name)

    def shards(self) -> list[Path]:
        """Return the files that hold the tensors: the weights file, or the shards that it is the index of."""
        if not self.split:
            return [self.weights]
        shards = _object(self.weights).get("weight_map")
        names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
        if not names or any("/" in name for name in names):
            raise ValueError(f"{self.weights} is no index of weights: download or save it again")
        return [self.weights.parent / name for name in names]

    @property
    def split(self) -> bool:
        """Whether the weights are an index of shards."""
        return INDEX in self.weights.name and self.weights.suffix == ".json"

    def absent(self) -> list[Path]:
        """Return the shards that the index names and that are not here; a link to nothing counts as absent."""
        return [path for path in self.shards() if not path.is_file()]

    def standard(self) -> str:
        """Return the name of the weights file without its variant: what diffusers and transformers look for."""
        return VARIANT.sub("", self.weights.name)

    def sha256(self) -> str:
        """Return the sha256 of the weights, see `blob_sha256`; of shards, that of their hashes, a line each."""
        hashes = [blob_sha256(path) for path in self.shards()]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()

    def digest(self, *names: str) -> str:
        """Return one sha256 of the weights and of those of the named files that the folder has."""
        assert self.folder is not None
        there = [name for name in names if (self.folder / name).is_file()]
        hashes = [self.sha256(), *(f"{name} {blob_sha256(self.folder / name)}" for name in there)]
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def blob_sha256(path: Path) -> str:
    """Return the sha256 of a file: the name of its blob in the Hugging Face cache, or read, in seconds for gigabytes.

    The cache calls large files by their sha256, and small ones by another hash, of another length.
    """
    name = path.resolve().name
    return name if path.is_symlink() and SHA256.fullmatch(name) else sha256_of(path)


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): download or save it again") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no configuration: it must hold an object; download or save it again")
    return content


def checkpoint(path: Path) -> Files:
    """Return weights without a configuration, a file or an index of shards; ValueError where a shard is missing."""
    files = Files(path)
    if files.absent():
        raise ValueError(_absent_shards_message(files))
    return files


def find(
    source: str,
    revision: str | None,
    subfolders: Sequence[str],
    key: str,
    config: str = CONFIG,
    names: Sequence[str] = NAMES,
) -> Files | None:
    """Find the files of a component in diffusers' layout; None where its repository is not here, or not all of it.

    `source` is a folder or a repository OWNER/NAME, `subfolders` are those where the component may
    lie, `key` is the setting that messages name. A component has the file `config` and one of `names`: weights may be
    one file, else shards with an index, else a variant (fp16), with a warning. Raises ValueError
    for a source that is neither, and for a folder or a repository without the component, or with a part of its files.
    """
    folder, expected = Path(source), " or ".join(f"{_under(subfolder)}{config}" for subfolder in subfolders)
    if folder.is_dir():
        places = [folder / subfolder for subfolder in subfolders if (folder / subfolder / config).is_file()]
        if not places:
            raise ValueError(
                f"{key}={folder}: this folder has no {expected}: give a model in diffusers' layout"
            )
        return _require_complete(places[0], names)
    try:
        cached = [
            try_to_load_from_cache(source, f"{_under(subfolder)}{config}", revision=revision)
            for subfolder in subfolders
        ]
    except HFValidationError:
        cached = []
    if folder.exists() or source.count("/") != 1 or not cached:
        raise ValueError(f"{key}={source}: no such folder, and no repository OWNER/NAME either")
    configs = [Path(path).parent for path in cached if isinstance(path, str)]
    if not configs and all(
        path is not None for path in cached
    ):  # the hub answered that the file does not exist
        raise ValueError(f"{key}={source}: this repository has no {expected}: name another one")
    return next((files for place in configs if (files := _complete(place, names))), None)


def _require_complete(place: Path, names: Sequence[str]) -> Files:
    if files := _complete(place, names):
        return files
    if incomplete := next(_here(place, names), None):
        raise ValueError(_absent_shards_message(incomplete))
    raise ValueError(f"{place} has no {' or '.join(names)} (half-downloaded?): download or save it again")


def _absent_shards_message(files: Files) -> str:
    absent, index = files.absent(), files.weights
    return (
        f"{index.parent} has no {absent[0].name}, which {index.name} names{_more(absent)} (half-downloaded?): "
        "download or save it again"
    )


def _complete(folder: Path, names: Sequence[str]) -> Files | None:
    """The first of the files that may hold a component's weights, if it exists with all of its shards."""
    files = next((files for files in _here(folder, names) if not files.absent()), None)
    if files and files.standard() != files.weights.name:
        log.warning("%s: this variant is taken, as the full one is not here", files.weights)
    return files


def _here(folder: Path, names: Sequence[str]) -> Iterator[Files]:
    """Yield the files that exist: for each name the file and its index, and then variants of weights."""
    weights = [name for name in names if name.endswith(FORMATS)]
    full = [
        each for name in names for each in (name, f"{name}{INDEX}json") if each == name or name in weights
    ]
    there = sorted(path.name for path in folder.iterdir())
    variants = [
        other
        for name in weights
        for other in sorted(there, key=_rounding)
        if VARIANT.search(other) and VARIANT.sub("", other) in (name, f"{name}{INDEX}json")
    ]
    return (Files(folder / name, folder) for name in (*full, *variants) if (folder / name).is_file())


def _rounding(name: str) -> int:
    """The place of a file's variant among the known ones."""
    match = VARIANT.search(name)
    variant = (match[1] or match[2]) if match else None
    return VARIANTS.index(variant) if variant in VARIANTS else len(VARIANTS)


def _under(subfolder: str) -> str:
    return f"{subfolder}/" if subfolder else ""


def download(what: str, repository: str, revision: str | None, key: str) -> str:
    """Say in one line how to download a component that is not here."""
    command = f"hf download {repository}" + (f" --revision {revision}" if revision else "")
    licence = LICENCES.get(repository)
    terms = f"licence {licence}" if licence else "if it is gated: accept its terms, then hf auth login"
    return f"{what} not here{_stopped_download(repository, revision)}: {command} ({terms}), or {key}=FOLDER"


def _stopped_download(repository: str, revision: str | None) -> str:
    """In brackets, the files that an interrupted download has not fetched; empty where none has begun."""
    try:
        place = Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return ""
    paths = [path for form in FORMATS for path in sorted(place.rglob(f"*{form}{INDEX}*json"))]
    indices = [Files(path, path.parent) for path in paths]
    absent = [path for files in indices for path in files.absent()]
    return f" ({absent[0].relative_to(place)} is missing{_more(absent)})" if absent else ""


def _more(absent: Sequence[Path]) -> str:
    return f", and {len(absent) - 1} more" if len(absent) > 1 else ""
