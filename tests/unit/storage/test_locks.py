"""Locks are freed, and their files closed, when nobody needs them any more."""

import gc
import warnings
from pathlib import Path

from smoothbench.storage.results_folder import Store


def test_an_experiment_that_is_never_run_closes_its_locks(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        Store(tmp_path).enter()
        gc.collect()
    assert not raised
