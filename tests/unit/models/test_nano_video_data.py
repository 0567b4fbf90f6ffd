"""The data of the nano video networks: the grammar, its clips, the frame autoencoder, the classifier's inputs."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from smoothbench.models.nano.video import corpus
from smoothbench.models.nano.video.autoencoder import CHANNELS, LATENT, Decoder, Encoder, encoded
from smoothbench.models.nano.video.corpus import FRAMES, GROUND, SIZE, Clip, Sprites, path
from smoothbench.models.nano.video.grammar import ATTRIBUTES, MOTIONS, SPEEDS, Scene, scenes
from smoothbench.models.nano.video.text import VOCABULARY, empty_text_encoder
from smoothbench.models.nano.video.train_autoencoder import distance, empty_autoencoder
from smoothbench.models.nano.video.train_classifier import agreement, augment, labels


def scene(motion: str, speed: str = "quickly") -> Scene:
    return Scene(0, 0, MOTIONS.index(motion), SPEEDS.index(speed))


def moved(motion: str, speed: str = "quickly", seed: int = 0) -> np.ndarray:
    return path(scene(motion, speed), np.random.default_rng(seed))


class Squares(Sprites):
    """A white square in place of Fashion-MNIST, which is not installed where tests run."""

    def __init__(self) -> None:
        self._items = [torch.full((1, 28, 28), 255, dtype=torch.uint8)] * len(ATTRIBUTES["item"])


# --- the grammar


def test_held_out_scenes_leave_every_pair_of_values_of_two_attributes_to_training() -> None:
    every = scenes()
    assert len({each.caption for each in every}) == len(every) == 6 * 6 * 15
    for those in (every, [each for each in every if each.has_prompts]):
        seen = [each for each in those if not each.held_out]
        assert 0.1 < 1 - len(seen) / len(those) < 0.2
        for pair in combinations(ATTRIBUTES, 2):
            values = {tuple(getattr(each, name) for name in pair) for each in those}
            assert values == {tuple(getattr(each, name) for name in pair) for each in seen}


def test_captions_say_what_is_asked_and_nothing_else() -> None:
    assert Scene(1, 0, 0, 1).caption == "a red trouser moves left quickly"
    assert Scene(5, 3, 7, 2).caption == "a yellow boot stands still"
    assert all(each.speed == SPEEDS.index("none") for each in scenes() if each.caption.endswith("still"))
    assert set(" ".join(each.caption for each in scenes()).split()) == set(VOCABULARY.words)


# --- clips


def test_splits_share_no_clip_and_training_no_held_out_scene() -> None:
    train, test, reference = corpus.train_clips(0, 2000), corpus.test_clips(), corpus.reference_clips()
    assert not any(clip.scene.held_out for clip in train)
    assert {clip.scene for clip in test} == {clip.scene for clip in reference} == set(scenes())
    assert len({clip.scene for clip in train}) == sum(not each.held_out for each in scenes())
    assert all(clip.scene.has_prompts for clip in corpus.train_clips(0, 2000, backwards=False))
    seeds = [{clip.seed for clip in split} for split in (train, test, reference)]
    assert not (seeds[0] & seeds[1] or seeds[0] & seeds[2] or seeds[1] & seeds[2])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("each", [s for s in scenes() if s.item == s.colour == 0], ids=lambda s: s.caption)
def test_sprites_stay_in_the_picture(each: Scene, seed: int) -> None:
    width, x, y = path(each, np.random.default_rng(seed))
    for centre in (x, y):
        assert (centre - width / 2 >= -1e-6).all() and (centre + width / 2 <= SIZE + 1e-6).all()


@pytest.mark.parametrize(
    ("motion", "row", "sign"), [("left", 1, -1), ("right", 1, 1), ("up", 2, -1), ("down", 2, 1)]
)
def test_sprites_move_as_the_caption_says(motion: str, row: int, sign: int) -> None:
    for speed, least, most in (("slowly", 3.4, 5.1), ("quickly", 9.9, 12.1)):
        track = moved(f"moves {motion}", speed)
        assert least < sign * (track[row, -1] - track[row, 0]) < most
        assert np.allclose(np.diff(track[row]), np.diff(track[row])[0]) and np.ptp(track[3 - row]) == 0
        assert np.ptp(track[0]) == 0


def test_sprites_grow_shrink_bounce_and_stand() -> None:
    assert (np.diff(moved("grows")[0]) > 0).all() and (np.diff(moved("shrinks")[0]) < 0).all()
    shares = [moved("grows", speed)[0, 0] / moved("grows", speed)[0, -1] for speed in SPEEDS[:2]]
    assert shares[1] < 0.5 < 0.65 < shares[0]
    for speed, tops in (("slowly", 1), ("quickly", 2)):
        height = -moved("bounces", speed)[2]
        peaks = (np.diff(np.sign(np.diff(height))) < 0).sum()
        assert peaks == tops and height[0] == pytest.approx(height[-1]) == pytest.approx(height.min())
    assert np.ptp(moved("stands still", "none"), axis=1).max() == 0


def test_clips_are_drawn_to_a_fraction_of_a_pixel() -> None:
    clips = [Clip(scene("moves right", "slowly"), seed) for seed in range(4)]
    drawn = Squares().draw(clips)
    assert drawn.dtype == torch.uint8 and drawn.shape == (4, FRAMES, 3, SIZE, SIZE)
    assert torch.equal(drawn, Squares().draw(clips)) and torch.equal(drawn[2:3], Squares().draw(clips[2:3]))
    light = (drawn[:, :, 0].double() / 255 - GROUND).clamp(min=0)
    columns = (light.sum(2) * (torch.arange(SIZE) + 0.5)).sum(2) / light.sum((2, 3))
    for clip, found in zip(clips, columns, strict=True):
        rng = np.random.default_rng(clip.seed)
        rng.integers(1)
        assert np.abs(found.numpy() - path(clip.scene, rng)[1]).max() < 0.05


def test_colours_tint_the_item_alone() -> None:
    drawn = Squares().draw([Clip(Scene(0, colour, 7, 2), 0) for colour in range(6)])[:, 0]
    assert (drawn == drawn[:, :, :1, :1]).all(1).any() and len({tuple(each) for each in _peaks(drawn)}) == 6
    assert _peaks(drawn)[0] == [255, 38, 38] and _peaks(drawn)[5] == [255, 255, 255]


def _peaks(frames: Tensor) -> list[list[int]]:
    sums = frames.sum(1).flatten(1).argmax(1)
    return [frame.flatten(1)[:, place].tolist() for frame, place in zip(frames, sums, strict=True)]


# --- words, latents, augmentation


def test_an_encoder_of_words_forgets_padding_and_hears_order() -> None:
    torch.manual_seed(0)
    encoder = empty_text_encoder().eval()
    with torch.inference_mode():
        short = encoder(VOCABULARY.tokenize(["a red bag"]))
        long = encoder(VOCABULARY.tokenize(["a red bag grows slowly", "red a bag"]))
    assert short[0, 3:].abs().sum() == 0 and long[0, 5:].abs().sum() == 0
    assert not torch.allclose(short[0, 0], long[1, 1], atol=1e-3)


def test_words_outside_the_grammar_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'a red kite grows': 'kite' is none of the words"):
        VOCABULARY.tokenize(["a red kite grows"])
    with pytest.raises(ValueError, match="must have 1 to 8 words, not 9"):
        VOCABULARY.tokenize([" ".join(["a"] * 9)])


def test_each_frame_is_encoded_by_itself() -> None:
    torch.manual_seed(0)
    clips = torch.randint(256, (2, FRAMES, 3, SIZE, SIZE), dtype=torch.uint8)
    encoder, decoder = Encoder().eval(), Decoder().eval()
    latents = encoded(encoder, clips)
    assert latents.shape == (2, CHANNELS, FRAMES, LATENT, LATENT)
    torch.testing.assert_close(latents[1, :, 5], encoded(encoder, clips[1:, 5:6])[0, :, 0])
    again = decoder.clips(latents)
    assert again.dtype == torch.uint8 and again.shape == clips.shape
    assert torch.equal(again[1], decoder.clips(latents[1:])[0])


def test_a_frozen_autoencoder_keeps_its_encoder_and_sprites_weigh_more() -> None:
    model = empty_autoencoder(frozen=True).train()
    frames = Squares().draw([Clip(scene("grows"), 0)])[0]
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    distance(model(frames, torch.zeros(FRAMES, CHANNELS, LATENT, LATENT)), frames).backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())
    wanted = frames.float() / 127.5 - 1
    inside, outside = wanted.clone(), wanted.clone()
    inside[-1, :, 16, 16] += 0.5 * (1 if wanted[-1, 0, 16, 16] < 0 else -1)
    outside[-1, :, 0, 0] += 0.5
    assert distance(wanted, frames) == 0


def test_augmented_clips_stay_in_range_and_differ() -> None:
    clips = Squares().draw([Clip(scene("bounces"), seed) for seed in range(8)])
    seen = augment(clips, torch.Generator().manual_seed(0))
    assert seen.abs().max() <= 1 and seen.shape == clips.shape
    assert torch.equal(seen, augment(clips, torch.Generator().manual_seed(0)))
    errors = (seen - (clips.float() / 127.5 - 1)).abs().mean((1, 2, 3, 4))
    assert errors.min() > 0 and errors.max() < 0.3


def test_agreement_counts_each_attribute_and_all() -> None:
    clips = [Clip(each, 0) for each in scenes()[:4]]
    wanted = labels(clips)

    def says(truth: Tensor) -> dict[str, Tensor]:
        sizes = [len(values) for values in ATTRIBUTES.values()]
        columns = zip(ATTRIBUTES, sizes, truth.unbind(1), strict=True)
        return {name: torch.nn.functional.one_hot(column, size) for name, size, column in columns}

    wrong = wanted.clone()
    wrong[0, 0] = (wrong[0, 0] + 1) % 6
    assert agreement(lambda _: says(wanted), torch.zeros(4), wanted)["all"] == 1
    found = agreement(lambda _: says(wrong), torch.zeros(4), wanted)
    assert found == {"item": 0.75, "colour": 1, "motion": 1, "speed": 1, "all": 0.75}
