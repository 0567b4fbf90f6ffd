"""Costs are counted once in a process for models that are equal, and anew for any other."""

import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from baselines.teacache import TeaCache
from smoothbench.caching import Site
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.models.nano.image.model import PixelDiT
from smoothbench.planning.chosen_sites import ChosenSites
from smoothbench.protocols import Model
from smoothbench.sampling.output_memory import output_bytes, output_bytes_of


class Counted(PixelDiT):
    """The embedded model with a guidance that no other test has, which notes how often its skeleton runs."""

    def __init__(self, guidance: float) -> None:
        super().__init__("dit_nano", "dit", guidance, torch.device("cpu"))
        self.evaluations = 0

    def skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        denoiser, call = super().skeleton()

        def evaluate() -> Any:
            self.evaluations += 1
            return call()

        return denoiser, evaluate


class Foreign(Counted):
    """One that samples itself, as a pipeline of another library does."""

    one_by_one = False

    def at(self, solver: Any) -> Any: ...
    def settings(self, solver: Any) -> dict[str, Any]: ...
    def sample_itself(self, *args: Any, **kwargs: Any) -> Any: ...


def counts(model: Model) -> tuple[Any, Any, tuple[int, ...]]:
    """MACs, what it costs to reach a probe, and bytes, as an experiment asks for them."""
    sites = ChosenSites(model)
    branches: Sequence[Site] = sites.branches[0]
    return sites.branches, sites.trajectory(TeaCache(0.1), (3.0, 1.0)), output_bytes_of(model, branches)


def test_an_equal_model_runs_no_skeleton_and_has_the_counts_of_one_that_does() -> None:
    first, second = Counted(2.03125), Counted(2.03125)
    assert counts(first) == counts(second)
    assert first.evaluations > 2 and second.evaluations == 0
    denoiser, call = PixelDiT("dit_nano", "dit", 2.03125, torch.device("cpu")).skeleton()
    measured = measured_sites(denoiser, call)
    assert counts(second)[0] == measured and counts(second)[2] == output_bytes(denoiser, measured[0], call)


@pytest.mark.parametrize("other", ["guidance", "shape", "class", "samples itself"])
def test_another_model_is_counted_anew(other: str) -> None:
    _ = ChosenSites(Counted(2.046875)).branches
    model = (
        Counted(1.0) if other == "guidance" else Foreign(2.046875) if "itself" in other else Counted(2.046875)
    )
    if other == "shape":
        model.sample_shape = (1, 12, 12)
    if other == "class":
        model.__class__ = type("Another", (Counted,), {"kind": "pixel_dit", "version": 1})
    assert ChosenSites(model).branches[1].total > 0 and model.evaluations == 1


def test_a_count_keeps_no_model() -> None:
    model = Counted(2.0625)
    _ = ChosenSites(model).branches
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
