"""Every denoiser class of diffusers, tiny: calibrated, reused at each level, restored, and its cost counted."""

import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import diffusers
import pytest
import torch
from diffusers.models import transformers, unets
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from docs import models_table
from smoothbench.caching import MacCounter, Schedule, Site, cached, calibrate, find_sites
from smoothbench.caching.unsupported import FLEX_ATTENTION, NO_BRANCHES, NO_DENOISER
from tests.oracles.reused_levels import ReusedOutputs
from tests.support.tiny_denoisers import TINY

LEVELS = ("denoiser", "span", "branch")
NOISE = (0.95, 0.7, 0.3)  # the noise level of each evaluation
# the last block returns the stream of the text before that of the picture
TEXT_FIRST = ("Flux", "Chroma", "LongCatImage", "Ovis", "Bria", "SD3", "AuraFlow", "QwenImageTransformer")
PAIRS = (  # the streams of blocks that have two
    ("hidden_states", "audio_hidden_states"),
    ("hidden_states", "encoder_hidden_states"),
    ("vis", "aud"),
    ("und_seq", "gen_seq"),
)
# what leaves a span has another shape, or is joined with skips: it is kept as it is
KEEPS_OUTPUT = ("UNet", "Latte")
WITH_PREDICTOR = (
    "FluxTransformer2DModel",
    "SD3Transformer2DModel",
    "LTX2VideoTransformer3DModel",
    "UNet2DModel",
)


class Subject:
    """One tiny denoiser, and its outputs at three evaluations: the tensors of each."""

    def __init__(self, name: str) -> None:
        self.name, self.tiny = name, TINY[name]
        self.denoiser = self.tiny.build(name)
        self.bare = self.run()

    def levels(self) -> tuple[str, ...]:
        return LEVELS[:2] if self.name in NO_BRANCHES else LEVELS

    @torch.no_grad()
    def at(self, e: int) -> list[Tensor]:
        output = self.denoiser(**self.tiny.at(NOISE[e]))
        return [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]

    def run(self, announcer: Any = None) -> list[list[Tensor]]:
        outputs = []
        for e in range(len(NOISE)):
            if announcer is not None:
                announcer.step(e)
            outputs.append(self.at(e))
        return outputs

    def cached(self, schedule: Schedule, predictor: str = "reuse") -> tuple[list[list[Tensor]], Any]:
        with cached(self.denoiser, schedule, predictor=predictor) as run:
            return self.run(run if self.name == "UVit2DModel" else None), run

    def by_hooks(self, sites: Sequence[Site], computes: Sequence[bool], order: int) -> list[list[Tensor]]:
        reused, outputs = ReusedOutputs(order), []
        level = sites[0].level
        hooks = [reused.branches(self.denoiser, [s.path for s in sites])] if level == "branch" else []
        if level == "span":
            hooks = [reused.span(self.denoiser, s.blocks, self.streams(s)) for s in sites]
        with hooks[0] if hooks else nullcontext(), hooks[1] if hooks[1:] else nullcontext():
            for e, reused.computes in enumerate(computes):
                reused.evaluation = e
                output = self.at(e)
                outputs.append(reused.stand_in("denoiser", output) if level == "denoiser" else output)
        return outputs

    def streams(self, site: Site) -> tuple[str, ...] | None:
        """The parameters of a span's first block that are its streams, in the order in which the last gives them."""
        if any(word in self.name for word in KEEPS_OUTPUT) and "Cascade" not in self.name:
            return None
        first = self.denoiser.get_submodule(site.blocks[0])
        parameters = tuple(inspect.signature(first.forward).parameters)
        if not self._returns_two(site):
            return parameters[:1]
        pair = next(pair for pair in PAIRS if set(pair) <= set(parameters))
        return pair[::-1] if self.name.startswith(TEXT_FIRST) else pair

    def _returns_two(self, site: Site) -> bool:
        counts = []
        last = self.denoiser.get_submodule(site.blocks[-1])

        def count(module: nn.Module, args: Any, output: Any) -> None:
            counts.append(sum(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(output)))

        handle = last.register_forward_hook(count)
        self.at(0)
        handle.remove()
        return counts == [2]


@pytest.fixture(scope="module", params=TINY)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if not hasattr(diffusers, request.param):
        pytest.skip(f"diffusers {diffusers.__version__} has no {request.param}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield Subject(request.param)
    torch.set_num_threads(threads)


def close(outputs: Sequence[Sequence[Tensor]], others: Sequence[Sequence[Tensor]]) -> bool:
    pairs = [(a, b) for x, y in zip(outputs, others, strict=True) for a, b in zip(x, y, strict=True)]
    return all(torch.allclose(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max())) for a, b in pairs)


def test_reuse_at_each_level_equals_an_independent_writing(subject: Subject) -> None:
    for level in subject.levels():
        sites = find_sites(subject.denoiser, level)
        for predictor, computes in [
            ("reuse", (True, False, True)),
            ("taylor1", (True, True, False)),
        ]:
            if predictor == "taylor1" and subject.name not in WITH_PREDICTOR:
                continue
            outputs, run = subject.cached(Schedule.steps(sites, computes, {"method": "x"}), predictor)
            assert close(outputs, subject.by_hooks(sites, computes, int(predictor == "taylor1"))), level
            assert not any(
                close([outputs[e]], [subject.bare[e]]) for e in range(len(NOISE)) if not computes[e]
            ), level
            assert set(run.calls.values()) == {2} and run.skipped_share == pytest.approx(1 / 3)
            assert all(torch.equal(a, b) for a, b in zip(subject.at(0), subject.bare[0], strict=True))


def test_calibration_and_cost_at_all_levels(subject: Subject) -> None:
    """Bits of all levels at random: the cost by counts, from a calibration, is what torch's counter sees."""
    if subject.name in FLEX_ATTENTION:
        with pytest.raises(ValueError, match=f"the MACs of {subject.name} cannot be counted"):
            calibrate(subject.denoiser, subject.run)
        return
    sites = find_sites(subject.denoiser, subject.levels())
    run = (
        (lambda announcer: subject.run(announcer)) if subject.name == "UVit2DModel" else lambda: subject.run()
    )
    curves = calibrate(subject.denoiser, run, sites=sites, samples=1)
    bits = torch.rand(len(NOISE), len(sites), generator=torch.Generator().manual_seed(2)) < 0.8
    bits[0], bits[1, 0], bits[2, 0] = True, True, False
    schedule = Schedule.of(sites, bits.int().tolist(), {"method": "x"})
    with MacCounter() as counter:
        _, engine = subject.cached(schedule)
    assert curves.trajectory.cost(engine.calls).total == counter.macs().total > 0
    assert engine.calls["denoiser"] < len(NOISE)


@pytest.mark.skipif(
    not diffusers.__version__.startswith("0.42."), reason="the page is that of diffusers 0.42"
)
def test_the_page_of_models_is_what_the_classes_are() -> None:
    """If not: python -m docs.models_table"""
    assert models_table.PAGE.read_text() == models_table.page()
    assert set(models_table.REMARKS) <= set(TINY)


def denoiser_classes(package: ModuleType) -> Iterator[str]:
    for module in pkgutil.iter_modules(package.__path__):
        name = f"{package.__name__}.{module.name}"
        for part in vars(importlib.import_module(name)).values():
            if isinstance(part, type) and issubclass(part, diffusers.ModelMixin) and part.__module__ == name:
                yield part.__name__


def test_every_denoiser_class_of_diffusers_is_known() -> None:
    classes = {*denoiser_classes(transformers), *denoiser_classes(unets), "UNetControlNetXSModel"}
    assert not classes - set(TINY) - set(NO_DENOISER), (
        "give it a tiny instance, or the reason why it cannot be cached"
    )
    assert len(TINY) >= 50 and len(set(TINY) - set(NO_BRANCHES)) >= 40


@pytest.mark.parametrize("name", NO_DENOISER)
@pytest.mark.parametrize("level", LEVELS)
def test_what_cannot_be_cached_is_refused(name: str, level: str) -> None:
    with torch.device("meta"):
        part = getattr(diffusers, name)(**SMALLEST[name])
    with pytest.raises(ValueError, match=f"^{name} cannot be cached: [^\n]+$"):
        find_sites(part, level)


SMALLEST: dict[str, dict[str, Any]] = {
    "MotionAdapter": {
        "block_out_channels": (32,),
        "motion_norm_num_groups": 8,
        "motion_num_attention_heads": 2,
    },
    "MiniMaxMusic3RVQDepthDecoder": {"hidden_size": 16, "num_layers": 1, "num_attention_heads": 2},
    "WanAnimate2Transformer3DModel": {
        "dim": 24,
        "num_heads": 2,
        "num_layers": 1,
        "ffn_dim": 8,
        "text_dim": 8,
    },
}


@pytest.mark.parametrize("name", NO_BRANCHES)
def test_what_has_no_branches_is_refused_at_that_level_alone(name: str) -> None:
    denoiser = TINY[name].build(name)
    with pytest.raises(ValueError, match=f"^{name} has no branches to cache: [^\n]+$"):
        find_sites(denoiser)
    assert len(find_sites(denoiser, ("denoiser", "span"))) == 2
