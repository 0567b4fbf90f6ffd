"""What Open-Sora is told of a prompt: its cleaning is the original's, step by step."""

import pytest

from smoothbench.models.opensora.text import cleaned


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        # punctuation that is cut off leaves a blank, which hides the start from the rules that are anchored there
        ("*.hidden", ""),
        ("(.x y", ".x y"),
        ("[[,, a dog", "a dog"),
        # and the end
        ("a dog (', )", "a dog"),
        # where no blank is left, nothing changes
        ("A  Cat &amp; a dog", "a cat a dog"),
        ("a dog.", "a dog."),
    ],
)
def test_anchored_rules_see_no_blank(prompt: str, expected: str) -> None:
    assert cleaned(prompt) == expected
