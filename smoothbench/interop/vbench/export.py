"""A point's clips as the folder of mp4 files that VBench reads."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence
from torch import Tensor
from tqdm import tqdm

from smoothbench.config.instantiate import build, require_attributes
from smoothbench.errors import UsageError
from smoothbench.interop.vbench.prompt_list import Entry, spelled
from smoothbench.media.codecs import Webp
from smoothbench.media.mp4 import encoder, write_mp4
from smoothbench.storage.files import write_atomic
from smoothbench.storage.find_point import parts_of
from smoothbench.storage.record import Record
from smoothbench.storage.results_folder import Store
from smoothbench.storage.sample_files import Samples
from smoothbench.storage.sample_packs import SampleFiles

EACH = 5  # videos of a prompt that VBench reads
FILTERED = "temporal_flickering"  # of its prompts that many are left of
BEFORE = 25  # by `vbench static_filter`, which drops those that move
BATCH = 8  # clips read at once


@dataclass
class Written:
    """What an export wrote: of each folder the videos, of each prompt how many there are; which are filtered."""

    folders: Counter[str] = field(default_factory=Counter)
    prompts: Counter[str] = field(default_factory=Counter)
    filtered: set[str] = field(default_factory=set)

    @property
    def short(self) -> int:
        """Count the prompts with fewer videos than VBench reads, those of temporal flickering apart."""
        return sum(count < EACH for prompt, count in self.prompts.items() if prompt not in self.filtered)

    @property
    def short_filtered(self) -> int:
        """Count the prompts of temporal flickering with fewer videos than VBench's filter is to choose from."""
        return sum(self.prompts[prompt] < BEFORE for prompt in self.filtered)


def export(folder: Path, point: str, target: Path, listing: Mapping[str, Entry] | None) -> Written:
    """Write a point's clips into a new folder.

    With VBench's list: `<folder of the dimension>/<prompt>-<index>.mp4`, the index counting a prompt's clips in the
    order of their seeds. Without (VBench's custom mode): `videos/<seed>.mp4`, and `prompts.json` with the prompt of
    each. Raises UsageError where there is no such point, where its samples are no clips, missing or damaged, for a
    prompt that is not in the list, where the encoder for mp4 is missing, and for a folder that has something in it.
    """
    encoder()
    parts = parts_of(Store(folder).records(), folder, point)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is not empty: VBench would read what lies in it, give a new folder")
    written, captions_by_file = Written(), dict[str, str]()
    count = sum(part.num_samples for part in parts)
    with tqdm(total=count, desc=point, unit="clip", disable=None) as bar:
        for seed, caption, clip, fps in _clips(folder, parts):
            places = _places(seed, caption, listing, written)
            for place in places:
                write_mp4(clip, target / place, fps)
            captions_by_file |= {Path(place).name: caption for place in places}
            bar.update()
    if listing is None:
        text = json.dumps(captions_by_file, indent=1, ensure_ascii=False) + "\n"
        write_atomic(target / "prompts.json", text.encode())
    else:
        written.prompts.update({entry.prompt: 0 for entry in listing.values()})  # those without any, too
        written.filtered = {entry.prompt for entry in listing.values() if FILTERED in entry.folders}
    return written


def _places(seed: int, caption: str, listing: Mapping[str, Entry] | None, written: Written) -> list[str]:
    """Where a clip goes, relative to the target; it is counted."""
    if listing is None:
        written.folders["videos"] += 1
        written.prompts[caption] += 1
        return [f"videos/{seed:09d}.mp4"]
    entry = listing.get(spelled(caption))
    if entry is None:
        raise UsageError(
            f"prompt {caption[:80]!r} is not in VBench's list: generate with model.prompts of its prompts, "
            "or leave the list out for VBench's custom mode"
        )
    index = written.prompts[entry.prompt]
    written.prompts[entry.prompt] += 1
    written.folders.update(entry.folders)
    return [f"{name}/{entry.prompt}-{index}.mp4" for name in entry.folders]


def _clips(folder: Path, parts: Sequence[Record]) -> Iterator[tuple[int, str, Tensor, float]]:
    """Seed, prompt, clip uint8 [T, C, H, W] and frames a second, in the order of the seeds."""
    for part in parts:
        prompts = _prompts(part)
        for start, stop in part.seeds:
            fps = _rate(SampleFiles(folder / "samples" / part.sample_id, Webp.suffix), start)
            samples = Samples(folder / "samples", part.sample_id, range(start, stop), BATCH, Webp(fps))
            samples.require_all(part.name)
            for batch, clips in samples.read():
                captions = prompts.captions(batch)
                for seed, caption, clip in zip(batch, captions, clips, strict=True):
                    yield seed, caption, clip, fps


def _prompts(part: Record) -> Any:
    """The list of prompts that the clips were made from; UsageError where it is another one by now."""
    config = part.config.get("model")
    node = config.get("prompts") if isinstance(config, dict) else None
    if not isinstance(node, dict):
        raise UsageError(f"{part.name}: {part.model.name} takes no prompts, VBench is for those that do")
    prompts = require_attributes(build(node, "model.prompts"), "model.prompts", "captions", "digest")
    if prompts.digest() != part.model.prompts_sha256:
        raise UsageError(f"{part.name}: its list of prompts has changed since: put the old one back")
    return prompts


def _rate(files: SampleFiles, seed: int) -> float:
    """Frames a second of a clip's file, which has whole milliseconds; UsageError where there is none."""
    try:
        with Image.open(io.BytesIO(files.read(seed) or b""), formats=["webp"]) as image:
            durations = [_duration(frame) for frame in ImageSequence.Iterator(image)]
    except (OSError, SyntaxError, EOFError, KeyError):
        raise UsageError(
            f"{files.folder / files.name(seed)} is no clip, is missing or damaged: "
            "run the point again, with keep_samples=true"
        ) from None
    fps = 1000 * len(durations) / sum(durations)
    return float(round(fps)) if abs(fps - round(fps)) < 0.01 * fps else fps


def _duration(frame: Image.Image) -> int:
    """Milliseconds; Pillow tells them of frames that are decoded."""
    frame.load()
    return int(frame.info["duration"])
