"""The shares of a sweep's time: what one part spends within another counts once."""

import time

import pytest

from tests.stress.sweep_time import PARTS, Shares, lines


def test_time_within_another_part_counts_for_the_inner_one_alone() -> None:
    shares = Shares()
    inner = shares.timed("writing", lambda: time.sleep(0.05))

    def both() -> None:
        time.sleep(0.02)
        inner()
        inner()

    shares.timed("generation", both)()
    wall = {part: seconds[0] for part, seconds in shares.seconds.items()}
    assert 0.02 <= wall["generation"] < wall["writing"] and wall["writing"] >= 0.1
    table = lines({"generation": (2.0, 1.0), "report": (0.2, 0.05)})
    assert table[-1] == "a sweep over its bare generation: 1.100 by the clock, 1.050 by the processor"


@pytest.mark.parametrize(("part", "place", "name"), PARTS)
def test_what_is_timed_is_there(part: str, place: object, name: str) -> None:
    assert part and callable(getattr(place, name))
