"""Fixtures that all tests see: a small real DiT with random weights, its error curves; and what is slow.

Nothing here imports torch before a test asks for it: the process that hands tests out to others runs none, and they
begin when it has read this file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from smoothbench.caching import ErrorCurves
    from tests.support.tiny_dit import TinyDiT

SLOW = ("runs", "hostile", "statistics", "stress")  # folders whose tests take seconds each
SLOW_FILES = (
    *("test_weights_layouts.py", "test_latent_uvit.py", "test_latent_dit.py", "test_readme.py"),
    *("test_router_training.py", "test_training_after_sampling.py", "test_video.py", "test_inception.py"),
    "test_every_denoiser.py",
)
# files with a few tests of seconds among many quick ones
LONG_FILES = (
    "test_notebooks.py",
    "test_budgets.py",
    "test_compiled.py",
    "test_frozen.py",
    "test_tiny_pipelines.py",
    "test_browser.py",
    "test_without_posix.py",
    "test_checks.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _is_slow(item.path):
            item.add_marker(pytest.mark.slow)
    # several processes take the files in this order: none is left at the end with a long one, all others done
    items.sort(key=lambda item: not (_is_slow(item.path) or item.path.name in LONG_FILES))


def _is_slow(file: Path) -> bool:
    folder = file.relative_to(Path(__file__).parent).parts[0]
    return folder in SLOW or file.name in SLOW_FILES


@pytest.fixture(autouse=True)
def quiet_logging() -> Iterator[None]:
    """Hydra replaces the root logger's handlers by ones on a stream that ends with the test."""
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers


@pytest.fixture
def tiny() -> TinyDiT:
    from tests.support.tiny_dit import build_tiny

    return build_tiny()


@pytest.fixture(scope="session")
def curves() -> ErrorCurves:
    from smoothbench.caching import calibrate
    from tests.support.tiny_dit import build_tiny

    dit = build_tiny()
    return calibrate(dit.denoiser, dit.run, samples=2)
