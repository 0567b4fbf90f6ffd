"""A pipeline's folder: which classes its components have, and whether all of their files are here."""

import hashlib
import importlib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import diffusers
from torch import nn

from smoothbench.errors import one_line
from smoothbench.models.weights.locate import VARIANT, Files, blob_sha256, download, find

KEY: Final = "model.repo"
MODEL_INDEX: Final = "model_index.json"


@dataclass(frozen=True)
class Folder:
    """A pipeline in diffusers' layout: a folder with model_index.json, and a subfolder for each component.

    `class_name` names another class of diffusers than the one in model_index.json, which takes the same components.
    """

    path: Path
    class_name: str | None = None

    @cached_property
    def index(self) -> dict[str, Any]:
        """The content of model_index.json; ValueError where it is damaged."""
        return Files(self.path / MODEL_INDEX, self.path).config(MODEL_INDEX)

    @cached_property
    def pipeline_class(self) -> Any:
        """The pipeline's class; ValueError where this version of diffusers does not know it, or it is no pipeline."""
        if self.class_name is not None:
            return _pipeline(self.class_name)
        place = str(self.path / MODEL_INDEX)
        known = _known(diffusers, self.index.get("_class_name"), place)
        if not _is_pipeline(known):
            raise ValueError(f"{place}: {self.index['_class_name']} is no pipeline: give a pipeline's folder")
        return known

    @property
    def components(self) -> dict[str, tuple[str, str]]:
        """The library and the class of each component that the pipeline has, by the component's name."""
        entries = {name: entry for name, entry in self.index.items() if not name.startswith("_")}
        return {
            name: (str(entry[0]), str(entry[1]))
            for name, entry in entries.items()
            if isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry)
        }

    @property
    def absent(self) -> list[str]:
        """The names of components that the pipeline was saved without, on purpose."""
        return [
            name for name, entry in self.index.items() if isinstance(entry, list) and entry == [None, None]
        ]

    def networks(self) -> dict[str, Any]:
        """The classes of the components with weights; ValueError, naming one that is unknown here."""
        classes = {name: self._class(*entry) for name, entry in self.components.items()}
        return {
            name: known
            for name, known in classes.items()
            if isinstance(known, type) and issubclass(known, nn.Module)
        }

    def check(self) -> None:
        """Raise ValueError, naming the file, where a component's class is unknown or not all of its files are here."""
        networks = self.networks()
        for name in self.components:
            place = self.path / name
            if not place.is_dir() or not any(place.iterdir()):
                raise ValueError(
                    f"{place} is not here, but {MODEL_INDEX} names it (half-downloaded?): download or save it again"
                )
            if name in networks:
                find(str(self.path), None, [name], KEY)

    def variants(self) -> dict[str, str | None]:
        """The variant (fp16) of each network's weights where the full ones are not here; None where they are."""
        weights = {name: find(str(self.path), None, [name], KEY) for name in self.networks()}
        matches = {
            name: None if files is None else VARIANT.search(files.weights.name)
            for name, files in weights.items()
        }
        return {name: match and (match[1] or match[2]) for name, match in matches.items()}

    def sha256(self) -> str:
        """Return one sha256 of all files of the pipeline's components, by their names; seconds for gigabytes."""
        files = sorted(path for name in self.components for path in (self.path / name).rglob("*"))
        lines = [f"{path.relative_to(self.path)} {blob_sha256(path)}" for path in files if path.is_file()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _class(self, library: str, name: str) -> Any:
        place = str(self.path / MODEL_INDEX)
        if hasattr(diffusers.pipelines, library):
            return _known(getattr(diffusers.pipelines, library), name, place)
        try:
            module = importlib.import_module(library)
        except ImportError as error:
            raise ValueError(
                f"{place}: a component is of {library}, which cannot be imported ({one_line(error)})"
            ) from None
        return _known(module, name, place)


def located(
    repo: str | None, revision: str | None, class_name: str | None = None
) -> tuple[Folder | None, str | None]:
    """Return the pipeline's folder, checked, or in one line why it is not here and how to get it.

    `repo` is a folder, or a repository OWNER/NAME of the Hugging Face cache. Raises ValueError for what is neither,
    and for one with a part of its files or of a class that is unknown here.
    """
    if repo is None:
        return None, f"{KEY} must name a pipeline: a folder in diffusers' layout, or OWNER/NAME in the cache"
    files = find(repo, revision, [""], KEY, config=MODEL_INDEX, names=(MODEL_INDEX,))
    if files is None:
        return None, download(f"the pipeline {repo} is", repo, revision, KEY)
    assert files.folder is not None
    folder = Folder(files.folder, class_name)
    _ = folder.pipeline_class
    folder.check()
    return folder, None


def _known(module: Any, name: Any, place: str) -> Any:
    known = getattr(module, name, None) if isinstance(name, str) else None
    if known is None:
        version = getattr(module, "__version__", diffusers.__version__)
        raise ValueError(
            f"{place}: {module.__name__.partition('.')[0]} {version} knows no class {name!r:.60}: install the version "
            "that the pipeline was saved with"
        )
    return known


def _is_pipeline(known: Any) -> bool:
    """Whether this is a pipeline's class, or diffusers' stand-in for one that needs another package."""
    return isinstance(known, type) and (issubclass(known, diffusers.DiffusionPipeline) or is_stand_in(known))


def is_stand_in(kind: type) -> bool:
    """Whether a class is diffusers' stand-in for one that needs another package, which refuses all that it is asked."""
    return "Dummy" in type(kind).__name__


def _pipeline(name: str) -> Any:
    known = getattr(diffusers, name, None)
    if _is_pipeline(known):
        return known
    pipelines = [each for each in dir(diffusers) if each.endswith("Pipeline")]
    close = get_close_matches(name, pipelines, 1)
    raise ValueError(
        f"model.pipeline={name}: diffusers {diffusers.__version__} has no such pipeline"
        + (f": {close[0]}?" if close else ", it has FluxImg2ImgPipeline, for instance")
    )
