"""Any pipeline of diffusers as a model: it samples in its own loop, and the engine follows from outside."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from smoothbench.models.base.guided import DTYPES
from smoothbench.models.base.prompts import Prompts
from smoothbench.models.pipeline import outputs
from smoothbench.models.pipeline.arguments import Call
from smoothbench.models.pipeline.components import Folder, located
from smoothbench.models.pipeline.load import OFFLOADS, denoiser_name, load_pipeline, place_pipeline
from smoothbench.models.pipeline.own_loop import told_of_forwards
from smoothbench.models.pipeline.prompt_lists import prompts_from
from smoothbench.models.pipeline.rehearsal import Rehearsal, rehearse
from smoothbench.models.pipeline.scheduler import scheduler_for
from smoothbench.models.weights.read import lasting
from smoothbench.numerics import matmul_precision, tf32_matmul
from smoothbench.protocols import AnnounceRun, Media
from smoothbench.solvers.pipeline_scheduler import PipelineScheduler
from smoothbench.storage.files import sha256_of

FEW = PipelineScheduler(steps=2)  # steps of a rehearsal that asks for the shape of a sample alone
CLASSES = 1000  # of a pipeline by class labels whose denoiser does not say how many it has


class Pipeline:
    """A diffusers pipeline that the user has: it is called as it is, and one of its networks is cached.

    `repo` is a folder in diffusers' layout or a repository of the Hugging Face cache, at `revision`. `component` names
    the network that is cached; null: its transformer, else its U-Net. `arguments` go to the pipeline's call. See
    conf/model/pipeline.yaml for the others. Weights are loaded at their first use; where the repository is not here,
    `unavailable_reason` says how to get it. Raises ValueError, naming the setting, for what the pipeline does not take.
    """

    kind = "pipeline"
    version = 1
    prediction = PipelineScheduler.prediction
    min_batch_size = 1

    def __init__(
        self,
        repo: str | None,
        device: torch.device,
        name: str | None = None,
        revision: str | None = None,
        component: str | None = None,
        prompts: Any = "image",
        arguments: Mapping[str, Any] | None = None,
        dtype: str = "bfloat16",
        offload: str = "none",
        lora: str | None = None,
        compile: bool = False,
        fps: float = 16.0,
        rate: int | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"model.dtype must be one of {', '.join(DTYPES)}, not {dtype}")
        if offload not in OFFLOADS:
            raise ValueError(f"model.offload must be one of {', '.join(OFFLOADS)}, not {offload}")
        self.prompts: Prompts = prompts_from(prompts)
        self._folder, self.unavailable_reason = located(repo, revision)
        self.name = name or Path(str(repo)).name
        self.device, self.dtype, self.revision = device, dtype, revision
        self._offload, self._lora, self._compile, self._fps, self._rate = offload, lora, compile, fps, rate
        self._given = dict(arguments or {})
        self._rehearsals: dict[str, Rehearsal] = {}
        if self._folder is not None:
            self._call = Call(self._folder.pipeline_class, self._given)
            self.component = denoiser_name(self._folder, component)

    @property
    def folder(self) -> Folder:
        """The pipeline's folder; ValueError where it is not here."""
        if self._folder is None:
            raise ValueError(str(self.unavailable_reason))
        return self._folder

    @cached_property
    @lasting
    def pipe(self) -> Any:
        """The pipeline on the device, loaded at first use."""
        pipe = load_pipeline(self.folder, self.dtype, self._lora)
        place_pipeline(pipe, self.device, self._offload)
        if self._compile:
            getattr(pipe, self.component).compile()
        return pipe

    @property
    def denoiser(self) -> nn.Module:
        """The network that is cached."""
        denoiser: nn.Module = getattr(self.pipe, self.component)
        return denoiser

    @cached_property
    def _own_scheduler(self) -> Any:
        return self.pipe.scheduler

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the samples, for the ids of results; hashing the weights takes seconds, once."""
        more = {} if self._lora is None else {"lora_sha256": sha256_of(Path(self._lora))}
        return {
            "name": self.name,
            "weights_sha256": self.folder.sha256(),
            "pipeline": self.folder.pipeline_class.__name__,
            "component": self.component,
            "revision": self._revision(),
            "dtype": self.dtype,
            "guidance": self._call.guidance,
            "arguments": self._call.digests,
            "numerics": {"device": self.device.type, "matmul": matmul_precision(), "tf32": tf32_matmul()},
            "prompts_sha256": self.prompts.digest() if self._call.is_prompted else None,
            **more,
        }

    def _revision(self) -> str | None:
        """The commit of a repository in the Hugging Face cache; None of a folder."""
        path = self.folder.path
        return path.name if path.parent.name == "snapshots" else None

    def labels_or_prompts(self, seeds: Sequence[int]) -> Tensor:
        """Return the prompt number of each seed, or its class, int64 [N]: both follow from the seed."""
        if self._call.is_prompted:
            return self.prompts.numbers(seeds)
        return torch.tensor([seed % self._classes for seed in seeds])

    def unconditional(self, count: int) -> Tensor:
        """Return the number of the empty prompt, -1, or of the null class, for so many samples, int64 [count]."""
        return torch.full((count,), -1 if self._call.is_prompted else self._classes)

    @cached_property
    def _classes(self) -> int:
        config = self.denoiser.config
        return int(config.get("num_embeds_ada_norm") or config.get("num_class_embeds") or CLASSES)

    def at(self, solver: Any) -> PipelineScheduler:
        """Return a scheduler with the timesteps that the pipeline gives it; its loop is rehearsed for one sample."""
        return solver.at(self._rehearsed(solver).coordinates)

    def sample_itself(
        self,
        solver: Any,
        seeds: Sequence[int],
        announce: AnnounceRun,
        labels_or_prompts: Tensor | None = None,
        finished: bool = False,
    ) -> Tensor:
        """Call the pipeline for a batch, and return its latents [B, ...], or what it decoded of them where `finished`.

        `announce` is called before each forward of the denoiser. Raises ValueError where the loop had other
        evaluations than its rehearsal.
        """
        numbers = self.labels_or_prompts(seeds) if labels_or_prompts is None else labels_or_prompts
        coordinates, last = self._rehearsed(solver).coordinates, [-1]

        def told(e: int, index: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
            if e >= len(coordinates):
                raise ValueError(f"{self.name} runs evaluation {e}, but its rehearsal had {len(coordinates)}")
            last[0] = e
            announce(e, coordinates[e], index)

        scheduler = self._begin(solver)
        with told_of_forwards(self.denoiser, scheduler, told, lambda t: None):
            output = self._called(solver, numbers, seeds, finished)
        if last[0] + 1 != len(coordinates):
            raise ValueError(f"{self.name} ran {last[0] + 1} evaluations, but its rehearsal had {len(coordinates)}")
        samples = outputs.batch_of(output)
        return outputs.as_media(samples, self._kind) if finished else samples

    def decode(self, x: Tensor) -> Tensor:
        """Return what the pipeline has decoded, [B, ...], as the integers that `media` writes."""
        return outputs.written(x, self._kind)

    @cached_property
    def media(self) -> Media:
        """The codec of the samples: PNG for images, WebP for clips, FLAC for audio."""
        rate = (self._rate or outputs.rate_of(self.pipe)) if self._kind == outputs.AUDIO else 0
        return outputs.media_for(self._kind, self._fps, rate)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of a decoded sample."""
        return tuple(self._finished[1].shape[1:])

    @property
    def _kind(self) -> str:
        return self._finished[0]

    @cached_property
    def _finished(self) -> tuple[str, Tensor]:
        """Images, video or audio, and one sample of a rehearsal of few steps, decoded."""
        output = self._rehearse(FEW, finished=True).output
        samples = outputs.batch_of(output)
        kind = outputs.kind_of(output, samples)
        return kind, outputs.as_media(samples, kind)

    @property
    def forwards(self) -> int:
        """The number of forwards of an evaluation: 2 where the pipeline guides in two calls."""
        return self._any_rehearsal.forwards

    @property
    def guidance_rows(self) -> int:
        """The rows of one sample in an evaluation: 2 with guidance, else 1."""
        return self._any_rehearsal.guidance_rows

    def skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        """Return the denoiser, and a call that runs one evaluation of one sample through it, for counting costs."""
        first = self._any_rehearsal.first

        def call() -> None:
            with torch.no_grad():
                for args, kwargs in first:
                    self.denoiser(*args, **kwargs)

        return self.denoiser, call

    def conditioning(self, labels_or_prompts: Tensor) -> None:
        """Return nothing: the pipeline encodes its prompts itself."""

    def predict(self, *args: Any) -> NoReturn:
        """Raise ValueError: single evaluations are the pipeline's own."""
        raise ValueError(f"{self.name} samples in its own loop, which gives no single evaluations")

    output = predict

    @property
    def _any_rehearsal(self) -> Rehearsal:
        return next(iter(self._rehearsals.values())) if self._rehearsals else self._rehearsed(FEW)

    def _rehearsed(self, solver: PipelineScheduler) -> Rehearsal:
        key = repr(solver)
        if key not in self._rehearsals:
            self._rehearsals[key] = self._rehearse(solver, finished=False)
        return self._rehearsals[key]

    @lasting
    def _rehearse(self, solver: PipelineScheduler, finished: bool) -> Rehearsal:
        numbers = self.labels_or_prompts([0])
        scheduler = self._begin(solver)
        return rehearse(self.denoiser, scheduler, lambda: self._called(solver, numbers, [0], finished), self.name)

    def _begin(self, solver: PipelineScheduler) -> Any:
        """Give the pipeline a fresh scheduler, and return it."""
        self.pipe.scheduler = scheduler_for(solver, self._own_scheduler)
        return self.pipe.scheduler

    def _called(self, solver: PipelineScheduler, numbers: Tensor, seeds: Sequence[int], finished: bool) -> Any:
        conditions: Sequence[Any] = numbers.tolist()
        if self._call.is_prompted:
            conditions = [self.prompts.texts[number] if number >= 0 else "" for number in conditions]
        arguments = self._call.for_batch(conditions, seeds, solver.steps)
        return self.pipe(**arguments, output_type="np" if finished else "latent")
