"""A pipeline that is loaded when it is first used, and its runs: called as it is, or rehearsed."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from smoothbench.caching.two_networks import SecondNetwork
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.pipeline import outputs
from smoothbench.models.pipeline.arguments import Call, refuse_shared_noise
from smoothbench.models.pipeline.components import Folder
from smoothbench.models.pipeline.encoded_prompts import EncodedPrompts
from smoothbench.models.pipeline.load import denoiser_name, load_pipeline, place_pipeline
from smoothbench.models.pipeline.own_loop import BeforeForward, watching_loop
from smoothbench.models.pipeline.rehearsal import Rehearsal, rehearse
from smoothbench.models.pipeline.scheduler import scheduler_for
from smoothbench.models.pipeline.two_networks import joined
from smoothbench.models.weights.read import lasting
from smoothbench.solvers.pipeline_scheduler import PipelineScheduler

FEW = PipelineScheduler(steps=2)  # of a rehearsal that is asked for before the run's solver is known


class LoadedPipeline:
    """The pipeline of a folder: its denoiser, and its runs under a scheduler; weights are loaded at their first use.

    Raises ValueError, naming the setting, for a component that is not there.
    """

    def __init__(
        self,
        folder: Folder,
        call: Call,
        prompts: Prompts,
        component: str | None,
        device: torch.device,
        dtype: str,
        offload: str,
        lora: str | None,
        compiled: bool,
    ) -> None:
        self.folder, self.call, self.prompts = folder, call, prompts
        self.component = denoiser_name(folder, component)
        self._chosen, self._device, self._dtype = component, device, dtype
        self._offload, self._lora, self._compiled = offload, lora, compiled
        self._rehearsals: dict[str, Rehearsal] = {}
        self._solver = FEW  # the first one that the run has asked for, with which it can run
        self.second: SecondNetwork | None = None

    @cached_property
    @lasting
    def pipe(self) -> Any:
        """The pipeline on the device."""
        pipe = load_pipeline(self.folder, self._dtype, self._lora)
        self._own_scheduler = pipe.scheduler
        place_pipeline(pipe, self._device, self._offload)
        self.second = joined(pipe, self._chosen, self._offload)
        if self._compiled:
            getattr(pipe, self.component).compile()
        return pipe

    @property
    def denoiser(self) -> nn.Module:
        """The network that is cached."""
        denoiser: nn.Module = getattr(self.pipe, self.component)
        return denoiser

    def run(
        self,
        solver: PipelineScheduler,
        numbers: Tensor,
        seeds: Sequence[int],
        before: BeforeForward,
        finished: bool,
    ) -> Any:
        """Call the pipeline for samples of these prompts or classes and seeds; `before` is called at each forward."""
        scheduler = self._begin(solver)
        with watching_loop(self.denoiser, scheduler, before, lambda timestep: None):
            return self._called(solver, numbers, seeds, finished)

    def rehearsed(self, solver: PipelineScheduler | None = None) -> Rehearsal:
        """Return the rehearsal under a scheduler, for one sample, once for each; by default the first that was."""
        chosen = solver or self._solver
        if repr(chosen) not in self._rehearsals:
            self._rehearsals[repr(chosen)] = self._rehearse(chosen, finished=False)
        if self._solver is FEW:
            self._solver = chosen
        return self._rehearsals[repr(chosen)]

    @cached_property
    def finished(self) -> tuple[str, Tensor]:
        """Whether samples are images, video or audio, and a decoded one of a rehearsal, [1, ...].

        Its solver is that of the run: a strength may leave the few steps of another one out, and a pipeline's own
        scheduler may be the very one that the run's takes the place of.
        """
        output = self._rehearse(self._solver, finished=True).output
        samples = outputs.batch_of(output)
        kind = outputs.kind_of(output, samples)
        return kind, outputs.as_media(samples, kind)

    def evaluation(self) -> Callable[[], None]:
        """Return a call that runs one evaluation of one sample through the denoiser."""
        first = self.rehearsed().first

        def call() -> None:
            with torch.no_grad():
                for args, kwargs in first:
                    self.denoiser(*args, **kwargs)

        return call

    @lasting
    def _rehearse(self, solver: PipelineScheduler, finished: bool) -> Rehearsal:
        numbers = torch.tensor([0])
        scheduler, name = self._begin(solver), self.folder.pipeline_class.__name__
        return rehearse(
            self.denoiser,
            scheduler,
            lambda: self._called(solver, numbers, [0], finished),
            name,
            lambda: self.second is not None and self.second.is_running,
        )

    def scheduler(self, solver: PipelineScheduler) -> Any:
        """Return a fresh scheduler."""
        _ = self.pipe  # which knows its own
        return scheduler_for(solver, self._own_scheduler)

    def _begin(self, solver: PipelineScheduler) -> Any:
        """Give the pipeline a fresh scheduler, and return it."""
        pipe = self.pipe
        pipe.scheduler = self.scheduler(solver)
        return pipe.scheduler

    def expect(self, calls: Sequence[Tensor]) -> None:
        """Say which prompts are to come: all are encoded together, while the text encoders are on the device."""
        encode = getattr(self.pipe, "encode_prompt", None)
        if self.call.is_prompted and isinstance(encode, EncodedPrompts):
            encode.expected = [self._conditions(numbers) for numbers in calls]

    def _conditions(self, numbers: Tensor) -> list[Any]:
        """The prompts with these numbers, of which -1 is the empty one; or the class labels themselves."""
        if not self.call.is_prompted:
            return numbers.tolist()
        return [self.prompts.texts[number] if number >= 0 else "" for number in numbers.tolist()]

    def _called(
        self, solver: PipelineScheduler, numbers: Tensor, seeds: Sequence[int], finished: bool
    ) -> Any:
        arguments = self.call.for_batch(self._conditions(numbers), seeds, solver.steps)
        generators = arguments["generator"] if len(seeds) > 1 else []
        before = [generator.get_state() for generator in generators]
        output = self.pipe(**arguments, output_type="np" if finished else "latent")
        refuse_shared_noise(self.call.name, generators, before)
        return output
