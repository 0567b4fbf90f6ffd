"""Fixtures that all tests see: a small real DiT with random weights, and its error curves."""

import logging
from collections.abc import Iterator

import pytest

from smoothbench.caching import ErrorCurves, calibrate
from tests.support.tiny_dit import TinyDiT, build_tiny


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
