"""The closed grammar of captions: all scenes, those that have prompts, and those that no network was trained on."""

from dataclasses import dataclass
from itertools import product
from typing import Final

ITEMS: Final = ("t-shirt", "trouser", "dress", "sneaker", "bag", "boot")
COLOURS: Final = ("red", "green", "blue", "yellow", "purple", "white")
MOTIONS: Final = (
    "moves left",
    "moves right",
    "moves up",
    "moves down",
    "bounces",
    "grows",
    "shrinks",
    "stands still",
)
SPEEDS: Final = ("slowly", "quickly", "none")
BACKWARDS: Final = ("moves right", "moves down", "shrinks")  # another motion each, played backwards
STILL: Final = MOTIONS.index("stands still")
ATTRIBUTES: Final = {"item": ITEMS, "colour": COLOURS, "motion": MOTIONS, "speed": SPEEDS}


@dataclass(frozen=True, order=True)
class Scene:
    """The content of a caption, as indices into ITEMS, COLOURS, MOTIONS and SPEEDS."""

    item: int
    colour: int
    motion: int
    speed: int

    @property
    def caption(self) -> str:
        """The caption as a sentence; what stands still has no speed."""
        sentence = f"a {COLOURS[self.colour]} {ITEMS[self.item]} {MOTIONS[self.motion]}"
        return sentence if self.motion == STILL else f"{sentence} {SPEEDS[self.speed]}"

    @property
    def has_prompts(self) -> bool:
        """Whether there are prompts for the scene; not for motions that are another one played backwards.

        Only the classifier knows these: a small STDiT3 would need longer than an hour of training on a CPU to tell
        the two directions of time apart.
        """
        return MOTIONS[self.motion] not in BACKWARDS

    @property
    def held_out(self) -> bool:
        """Whether no network was trained on the scene: one in seven, spread evenly; all pairs of values stay seen."""
        movement = 2 * self.motion + (0 if self.motion == STILL else self.speed)
        return (self.item + 2 * self.colour + 3 * movement) % 7 == 0

    @property
    def labels(self) -> tuple[int, int, int, int]:
        """Classes of item, colour, motion and speed."""
        return self.item, self.colour, self.motion, self.speed


def scenes() -> list[Scene]:
    """Return all 540 scenes of the grammar, in a fixed order."""
    moving = list(product(range(STILL), range(len(SPEEDS) - 1)))
    movements = [*moving, (STILL, SPEEDS.index("none"))]
    things = product(range(len(ITEMS)), range(len(COLOURS)))
    return [Scene(*thing, *movement) for thing, movement in product(things, movements)]
