"""The closed grammar of captions: all sounds, and the combinations that no network was trained on."""

from dataclasses import dataclass
from itertools import product
from typing import Final

INSTRUMENTS: Final = (
    "piano",
    "guitar",
    "violin",
    "flute",
    "organ",
    "trumpet",
    "marimba",
    "clarinet",
    "drum kit",
)
REGISTERS: Final = ("low", "middle", "high", "none")
PATTERNS: Final = (
    "a rising scale",
    "a falling scale",
    "an arpeggio",
    "repeated chords",
    "one long note",
    "a fast repeated note",
    "a rock groove",
    "a funk groove",
    "a disco groove",
)
DRUMS: Final = INSTRUMENTS.index("drum kit")
GROOVES: Final = 3  # the last patterns are the drum kit's alone


@dataclass(frozen=True, order=True)
class Sound:
    """The content of a caption, as indices into INSTRUMENTS, REGISTERS and PATTERNS."""

    instrument: int
    register: int
    pattern: int

    @property
    def caption(self) -> str:
        """The caption as a sentence; a drum kit has no register."""
        instrument, pattern = INSTRUMENTS[self.instrument], PATTERNS[self.pattern]
        if self.instrument == DRUMS:
            return f"a {instrument} plays {pattern}"
        return f"a {REGISTERS[self.register]} {instrument} plays {pattern}"

    @property
    def labels(self) -> tuple[int, int, int]:
        """Classes of instrument, register and pattern."""
        return self.instrument, self.register, self.pattern

    @property
    def held_out(self) -> bool:
        """Whether no network was trained on it: one in seven of the pitched sounds, spread over each attribute."""
        mixed = self.instrument + 2 * self.pattern + 3 * self.register
        return self.instrument != DRUMS and mixed % 7 == 0


def sounds() -> list[Sound]:
    """Return all 147 sounds of the grammar, in a fixed order."""
    melodies = range(len(PATTERNS) - GROOVES)
    grooves = range(len(PATTERNS) - GROOVES, len(PATTERNS))
    pitched = [Sound(*each) for each in product(range(DRUMS), range(len(REGISTERS) - 1), melodies)]
    return pitched + [Sound(DRUMS, REGISTERS.index("none"), groove) for groove in grooves]
