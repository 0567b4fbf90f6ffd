"""The data of the nano audio networks: the grammar, its scores, spectrograms."""

import math

import pytest
import torch

from metrics.spectra import mel_bands
from smoothbench.models.nano.audio import corpus
from smoothbench.models.nano.audio.grammar import PATTERNS, REGISTERS, sounds
from smoothbench.models.nano.audio.midi import TICKS, Clip, midi_file, notes
from smoothbench.models.nano.audio.spectrogram import (
    BINS,
    FRAMES,
    MELS,
    N_FFT,
    RATE,
    SAMPLES,
    compress,
    expand,
    griffin_lim,
    log_mel,
    magnitude,
)


def tone(hertz: float) -> torch.Tensor:
    wave = 0.5 * torch.sin(2 * math.pi * hertz * torch.arange(SAMPLES) / RATE)
    return (wave * 32767).round().to(torch.int16)


def test_held_out_sounds_leave_every_pair_of_values_of_two_attributes_to_training() -> None:
    every = sounds()
    assert len({sound.caption for sound in every}) == len(every) == 8 * 3 * 6 + 3
    seen = [sound for sound in every if not sound.held_out]
    assert 0.1 < 1 - len(seen) / len(every) < 0.2
    for pair in ("instrument", "register"), ("instrument", "pattern"), ("register", "pattern"):
        values = {tuple(getattr(sound, name) for name in pair) for sound in every}
        assert values == {tuple(getattr(sound, name) for name in pair) for sound in seen}


def test_splits_share_no_clip_and_training_no_held_out_sound() -> None:
    train, test, reference = corpus.train_clips(1000), corpus.test_clips(), corpus.reference_clips()
    assert not any(clip.sound.held_out for clip in train)
    assert {clip.sound for clip in test} == {clip.sound for clip in reference} == set(sounds())
    seeds = [{clip.seed for clip in split} for split in (corpus.train_clips(2000), test, reference)]
    assert not (seeds[0] & seeds[1] or seeds[0] & seeds[2] or seeds[1] & seeds[2])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_notes_do_what_the_pattern_says(pattern: str) -> None:
    sound = next(each for each in sounds() if PATTERNS[each.pattern] == pattern)
    for seed in range(5):
        played = notes(Clip(sound, 1.5, seed))
        pitches = [pitch for _, _, pitch, _ in played]
        starts = sorted({start for start, *_ in played})
        assert all(0 <= start < end <= 1.5 for start, end, *_ in played)
        assert all(0 < velocity < 128 for *_, velocity in played)
        if pattern == "a rising scale":
            assert len(pitches) >= 7 and pitches == sorted(set(pitches))
        elif pattern == "a falling scale":
            assert len(pitches) >= 7 and pitches == sorted(set(pitches), reverse=True)
        elif pattern == "repeated chords":
            assert len(played) == 3 * len(starts) and len(set(pitches)) == 3
        elif pattern == "one long note":
            assert played == [(0.0, 1.5, *played[0][2:])]
        elif pattern == "a fast repeated note":
            assert len(set(pitches)) == 1 and len(starts) >= 10
        elif pattern == "an arpeggio":
            assert len(set(pitches)) == 4 and pitches != sorted(pitches)
        else:
            assert set(pitches) <= {36, 38, 42, 46}


def test_registers_do_not_overlap() -> None:
    ranges = []
    for register in REGISTERS[:3]:
        chosen = [each for each in sounds() if REGISTERS[each.register] == register]
        pitches = [note[2] for seed in range(20) for each in chosen for note in notes(Clip(each, 2.0, seed))]
        ranges.append((min(pitches), max(pitches)))
    assert ranges[0][1] <= ranges[1][0] and ranges[1][1] <= ranges[2][0]


def test_a_midi_file_says_its_length_and_starts_each_clip_in_its_slot() -> None:
    clips = corpus.train_clips(3)
    data = midi_file(clips, slot=2.2)
    assert data[:14] == b"MThd" + bytes([0, 0, 0, 6, 0, 0, 0, 1, 1, 224]) and data[14:18] == b"MTrk"
    assert int.from_bytes(data[18:22], "big") == len(data) - 22 and data.endswith(b"\xff\x2f\x00")
    played = strikes(data[22:])
    expected = [
        round(i * 2.2 * TICKS) + round(note[0] * TICKS)
        for i, clip in enumerate(clips)
        for note in notes(clip)
    ]
    assert sorted(played) == sorted(expected)


def strikes(track: bytes) -> list[int]:
    """Ticks of the notes of a track, read as the standard says, status bytes always there."""
    times, now, place = [], 0, 0
    while place < len(track) - 3:
        delta = 0
        while track[place] & 0x80:
            delta, place = delta << 7 | track[place] & 0x7F, place + 1
        now, place = now + (delta << 7 | track[place]), place + 1
        if track[place] >> 4 == 9:
            times.append(now)
        place += 2 if track[place] >> 4 == 0xC else 3
    return times


def test_a_tone_lies_where_it_should_and_survives_griffin_lim() -> None:
    heights = magnitude(tone(1000.0)[None])[0, :, 10:-10]
    assert heights.shape[0] == BINS and (heights.argmax(0) == 64).all()
    assert heights.max() == pytest.approx(0.5, rel=0.01)
    again = griffin_lim(magnitude(tone(1000.0)[None])[0])
    assert torch.equal(again, griffin_lim(magnitude(tone(1000.0)[None])[0]))
    rebuilt = magnitude((again.clamp(-1, 1) * 32767).round().to(torch.int16)[None])[0, :, 10:-10]
    assert (rebuilt - heights).norm() < 0.05 * heights.norm()


def test_compression_has_an_inverse_and_bands_cover_the_spectrum() -> None:
    values = torch.tensor([0.0, 1e-4, 0.01, 0.5, 1.0])
    torch.testing.assert_close(expand(compress(values)), values, rtol=1e-3, atol=1e-6)
    assert (
        compress(torch.zeros(1)).item() == pytest.approx(-1)
        and (mel_bands(RATE, N_FFT, MELS).sum(1) > 0).all()
    )
    assert log_mel(tone(440.0)[None]).shape == (1, 80, FRAMES)
