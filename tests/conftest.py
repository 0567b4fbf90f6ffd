"""Fixtures that all tests see: a small real DiT with random weights, its error curves; and what is slow."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from smoothbench.caching import ErrorCurves, calibrate
from tests.support.tiny_dit import TinyDiT, build_tiny

SLOW = ("runs", "hostile", "statistics", "stress")  # folders whose tests take seconds each
SLOW_FILES = (
    *("test_weights_layouts.py", "test_latent_uvit.py", "test_latent_dit.py", "test_readme.py"),
    *("test_router_training.py", "test_training_after_sampling.py", "test_video.py", "test_inception.py"),
    "test_every_denoiser.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in SLOW or item.path.name in SLOW_FILES:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def quiet_logging() -> Iterator[None]:
    """Hydra replaces the root logger's handlers by ones on a stream that ends with the test."""
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers


@pytest.fixture
def tiny() -> TinyDiT:
    return build_tiny()


@pytest.fixture(scope="session")
def curves() -> ErrorCurves:
    dit = build_tiny()
    return calibrate(dit.denoiser, dit.run, samples=2)
