"""What a schedule's file was made for: other arguments of a pipeline's call are noticed, whichever side has them."""

from typing import Any

import pytest

from smoothbench.planning.made_for import MADE_FOR, check_made_for, made_for


def parts(**arguments: Any) -> dict[str, Any]:
    """The description of a point of a pipeline that is called with these arguments."""
    identity = {
        "name": "FLUX",
        "dtype": "float32",
        "guidance": None,
        "arguments": arguments,
        "one_by_one": True,
    }
    return {
        "model": {"identity": identity},
        "solver": {"name": "pipeline_scheduler", "parameters": {"steps": 4}},
    }


@pytest.mark.parametrize(
    ("before", "now", "difference"),
    [
        ({"height": None}, {"height": 512}, "height none, but the run has 512"),
        ({}, {"true_cfg_scale": 4.0}, "true_cfg_scale none, but the run has 4.0"),
        ({"height": 512}, {}, "height 512, but the run has none"),
        (
            {"sigmas": [1.0, 0.5]},
            {"sigmas": [1.0, 0.4]},
            r"sigmas \[1.0, 0.5\], but the run has \[1.0, 0.4\]",
        ),
    ],
)
def test_other_arguments_are_refused(before: dict[str, Any], now: dict[str, Any], difference: str) -> None:
    with pytest.raises(ValueError, match=f"was made for model {difference}: make it anew"):
        check_made_for({MADE_FOR: made_for(parts(**before))}, parts(**now))


def test_how_samples_are_computed_carries_over() -> None:
    """A compiled denoiser and one that is not, single samples and batches: a schedule is the same for all."""
    before, now = parts(), parts()
    before["model"]["identity"]["compile"] = True
    del now["model"]["identity"]["one_by_one"]
    check_made_for({MADE_FOR: made_for(before)}, now)
    check_made_for({MADE_FOR: made_for(now)}, before)


def test_texts_and_what_is_left_at_its_default_carry_over() -> None:
    before, now = (
        parts(height=None, negative_prompt="grey", image=["digest of a picture"]),
        parts(guidance_scale=None, negative_prompt="red", image=["digest of another"]),
    )
    check_made_for({MADE_FOR: made_for(before)}, now)
    check_made_for({}, now)
