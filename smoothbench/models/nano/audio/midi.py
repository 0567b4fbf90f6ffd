"""Short scores for the sounds of the grammar, and Standard MIDI files of many of them in a row."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from smoothbench.models.nano.audio.grammar import DRUMS, PATTERNS, Sound

PROGRAMS: Final = (0, 24, 40, 73, 16, 56, 12, 71)  # General MIDI, counted from 0, in the order of INSTRUMENTS
ROOTS: Final = (43, 59, 75)  # the lowest root of each register; melodies span an octave above
KEYS: Final = 5  # roots lie up to four semitones higher
TICKS: Final = 960  # a second: 480 a quarter at the default tempo of 120
MAJOR: Final = (0, 2, 4, 5, 7, 9, 11, 12)
BROKEN: Final = (0, 4, 7, 12, 7, 4)
TRIAD: Final = (0, 4, 7)
KICK, SNARE, CLOSED, OPEN = 36, 38, 42, 46

Note = tuple[float, float, int, int]  # start and end in seconds, MIDI pitch, velocity
Event = tuple[int, bytes]  # at a tick

# Sixteenths of a bar on which each drum strikes.
GROOVES: Final = {
    "a rock groove": {CLOSED: range(0, 16, 2), KICK: (0, 8, 10), SNARE: (4, 12)},
    "a funk groove": {CLOSED: range(16), KICK: (0, 3, 6, 10, 13), SNARE: (4, 7, 9, 12, 15)},
    "a disco groove": {OPEN: range(2, 16, 4), KICK: range(0, 16, 4), SNARE: (4, 12)},
}


@dataclass(frozen=True)
class Clip:
    """One clip to render: what it plays, for how long, and the seed of its key, tempo and loudness."""

    sound: Sound
    seconds: float
    seed: int


def notes(clip: Clip) -> list[Note]:
    """Compose the notes of a clip; all end by its `seconds`."""
    generator = np.random.default_rng(clip.seed)
    velocity = int(generator.integers(80, 120))
    tempo = float(generator.uniform(0.9, 1.1))
    if clip.sound.instrument == DRUMS:
        played = _groove(PATTERNS[clip.sound.pattern], 0.115 * tempo, velocity, clip.seconds)
    else:
        root = ROOTS[clip.sound.register] + int(generator.integers(KEYS))
        played = _melody(PATTERNS[clip.sound.pattern], root, tempo, velocity, clip.seconds)
    heard = (note for note in played if note[0] < clip.seconds - 0.05)
    return [(start, min(end, clip.seconds), pitch, loudness) for start, end, pitch, loudness in heard]


def _melody(pattern: str, root: int, tempo: float, velocity: int, seconds: float) -> Iterator[Note]:
    if pattern == "one long note":
        yield 0.0, seconds, root + MAJOR[4], velocity
        return
    beat = tempo * {"repeated chords": 0.4, "a fast repeated note": 0.125}.get(pattern, 0.18)
    sounding_share = 0.7 if "repeated" in pattern else 0.9
    for i in range(int(seconds / beat) + 1):
        for step in _steps(pattern, i):
            last = "scale" in pattern and i == len(MAJOR) - 1
            yield i * beat, seconds if last else (i + sounding_share) * beat, root + step, velocity


def _steps(pattern: str, i: int) -> tuple[int, ...]:
    """Semitones above the root struck at beat i; a scale ends on its eighth note, which is held."""
    if pattern == "a rising scale":
        return MAJOR[i : i + 1]
    if pattern == "a falling scale":
        return MAJOR[::-1][i : i + 1]
    if pattern == "an arpeggio":
        return (BROKEN[i % len(BROKEN)],)
    return TRIAD if pattern == "repeated chords" else (MAJOR[4],)


def _groove(pattern: str, sixteenth: float, velocity: int, seconds: float) -> Iterator[Note]:
    for i in range(int(seconds / sixteenth) + 1):
        for drum, places in GROOVES[pattern].items():
            if i % 16 in places:
                ghost = pattern == "a funk groove" and drum == SNARE and i % 16 not in (4, 12)
                yield i * sixteenth, (i + 0.9) * sixteenth, drum, velocity // 2 if ghost else velocity


def midi_file(clips: Iterable[Clip], slot: float) -> bytes:
    """Write a Standard MIDI file, format 0, in which clip i starts at i * slot seconds."""
    events = sorted(
        (event for i, clip in enumerate(clips) for event in _events(clip, i * slot)),
        key=lambda event: event[0],
    )
    track, now = bytearray(), 0
    for tick, message in events:
        track += _variable(tick - now) + message
        now = tick
    track += _variable(round(slot * TICKS)) + b"\xff\x2f\x00"
    return (
        b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(track)) + bytes(track)
    )


def _events(clip: Clip, start: float) -> Iterator[Event]:
    """Silence what still sounds, choose the program, play."""
    drums = clip.sound.instrument == DRUMS
    channel = 9 if drums else 0
    first = round(start * TICKS)
    yield from ((first, bytes([0xB0 | each, 120, 0])) for each in (0, 9))
    if not drums:
        yield first, bytes([0xC0, PROGRAMS[clip.sound.instrument]])
    for begin, end, pitch, velocity in notes(clip):
        yield first + round(begin * TICKS), bytes([0x90 | channel, pitch, velocity])
        yield first + round(end * TICKS), bytes([0x80 | channel, pitch, 0])


def _variable(value: int) -> bytes:
    """A variable-length quantity: seven bits a byte, the highest first."""
    data = [value & 0x7F]
    while value := value >> 7:
        data.append(value & 0x7F | 0x80)
    return bytes(reversed(data))
