"""The text encoder of `opensora_nano`, in the place where Open-Sora has T5."""

from typing import Final

from smoothbench.models.nano.captions import CaptionEncoder, Vocabulary
from smoothbench.models.nano.video.grammar import scenes

TOKENS: Final = 8
WIDTH: Final = 64
VOCABULARY: Final = Vocabulary(
    tuple(sorted({word for scene in scenes() for word in scene.caption.split()})), TOKENS
)


def empty_text_encoder() -> CaptionEncoder:
    """Build the text encoder, words [N, 8] to states [N, 8, 64], with weights drawn from torch's current seed."""
    return CaptionEncoder(VOCABULARY, WIDTH, feed_forward=2 * WIDTH, position_std=0.1)
