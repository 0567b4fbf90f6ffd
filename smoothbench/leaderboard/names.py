"""Names of pages and of places in them."""

import re


def anchor(*texts: str) -> str:
    """Return texts as the name of a page or of a place in it: letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(texts).lower()).strip("-") or "unnamed"


def model_file(model: str) -> str:
    """Return the file name of a model's page."""
    return f"model-{anchor(model)}.html"
