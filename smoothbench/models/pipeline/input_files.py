"""Pictures, clips and masks that a pipeline takes beside its prompt, read from files."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from smoothbench.storage.files import sha256_of

PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
CLIPS: Final = (".webp", ".gif")
SOUND: Final = ("audio", "waveform")
MASK: Final = "mask"  # by itself a mask for each frame of a clip; that of a picture is called mask_image


def is_file_argument(key: str, value: Any) -> bool:
    """Return whether an argument of a pipeline's call names a picture's or a clip's file, or a list of pictures."""
    names = value if isinstance(value, list | tuple) else [value]
    is_named = key == MASK or any(part in key for part in ("image", "video", *SOUND))
    return is_named and bool(names) and all(isinstance(name, str) for name in names)


def is_clip(key: str) -> bool:
    """Return whether an argument of a pipeline's call is a list of frames."""
    return key == MASK or "video" in key


def check_file_argument(key: str, value: Any) -> None:
    """Raise ValueError, naming the setting, for a file that is no picture or clip, or that is not there."""
    if any(part in key for part in SOUND):
        raise ValueError(f"{key}={value!s:.80}: sound files are no input: leave it out")
    names, argument = [value] if isinstance(value, str) else value, key.rpartition(".")[2]
    for name in names:
        if is_clip(argument) and Path(name).is_dir():
            if not _frames(Path(name)):
                raise ValueError(f"{key}={name:.80}: no {', '.join(PICTURES)} is in this folder")
        else:
            _check_file(key, name, is_clip(argument))


def digest(value: Any) -> Any:
    """Return the sha256 of an argument's file; of a folder, of its pictures' in order; of a list one for each."""
    if not isinstance(value, str):
        return [digest(name) for name in value]
    if Path(value).is_dir():
        frames = [sha256_of(path) for path in _frames(Path(value))]
        return hashlib.sha256("\n".join(frames).encode()).hexdigest()
    return sha256_of(Path(value))


def loaded(key: str, value: Any) -> Any:
    """Return a picture in RGB and upright, of several a list; of a clip's file or folder the list of its frames."""
    if not isinstance(value, str):
        return [loaded(key, name) for name in value]
    if not is_clip(key):
        with Image.open(value) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    if Path(value).is_dir():
        return [loaded("image", str(path)) for path in _frames(Path(value))]
    with Image.open(value) as clip:
        return [frame.convert("RGB") for frame in _frames_of(clip)]


def _frames_of(clip: Image.Image) -> Iterator[Image.Image]:
    yield from ImageSequence.Iterator(clip)


def _frames(folder: Path) -> list[Path]:
    """The pictures of a folder by the numbers in their names: 2.png comes before 10.png."""
    paths = (path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    return sorted(paths, key=_numbered)


def _numbered(path: Path) -> list[str | int]:
    """Split a name into texts and the numbers between them."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", path.name))]


def _check_file(key: str, name: str, is_of_clip: bool) -> None:
    suffixes = CLIPS if is_of_clip else PICTURES
    if Path(name).suffix.lower() not in suffixes:
        more = ", or a folder of pictures (ffmpeg -i CLIP FOLDER/%04d.png)" if is_of_clip else ""
        raise ValueError(f"{key}={name:.80}: must be a file {', '.join(suffixes)}{more}")
    if not Path(name).is_file():
        raise ValueError(f"{key}={name:.80}: no such file")
    try:
        with Image.open(name) as picture:
            picture.load()
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError):
        raise ValueError(f"{key}={name:.80}: is no picture that can be read: save it again") from None
