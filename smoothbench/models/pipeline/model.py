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
from smoothbench.models.pipeline.arguments import Call, depends_on_its_batch
from smoothbench.models.pipeline.components import Folder, located
from smoothbench.models.pipeline.load import OFFLOADS
from smoothbench.models.pipeline.loaded import LoadedPipeline
from smoothbench.models.pipeline.prompt_lists import prompts_from
from smoothbench.numerics import matmul_precision, tf32_matmul
from smoothbench.protocols import AnnounceRun, Media
from smoothbench.solvers.pipeline_scheduler import PipelineScheduler
from smoothbench.storage.files import sha256_of

CLASSES = 1000  # of a pipeline by class labels whose denoiser does not say how many it has


class Pipeline:
    """A diffusers pipeline that the user has: it is called as it is, and one of its networks is cached.

    `repo` is a folder in diffusers' layout or a repository of the Hugging Face cache, at `revision`; `pipeline` names
    another class than the folder does. `component` names the network that is cached; null: its transformer, else its
    U-Net. `arguments` go to the pipeline's call. `one_by_one` gives each sample of a batch a call of its own; null:
    where samples are known to depend on their batch. See conf/model/pipeline.yaml for the others. Weights are loaded at
    their first use; where the repository is not here, `unavailable_reason` says how to get it. Raises ValueError,
    naming the setting, for what the pipeline does not take.
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
        pipeline: str | None = None,
        component: str | None = None,
        prompts: Any = "image",
        arguments: Mapping[str, Any] | None = None,
        dtype: str = "bfloat16",
        offload: str = "none",
        lora: str | None = None,
        compile: bool = False,
        one_by_one: bool | None = None,
        fps: float = 16.0,
        rate: int | None = None,
    ) -> None:
        _check_choice("dtype", dtype, DTYPES)
        _check_choice("offload", offload, OFFLOADS)
        self.prompts: Prompts = prompts_from(prompts)
        folder, self.unavailable_reason = located(repo, revision, pipeline)
        self.name = name or Path(str(repo)).name
        self.device, self.dtype = device, dtype
        self._lora, self._compile, self._fps, self._rate = lora, compile, fps, rate
        self._loaded: LoadedPipeline | None = None
        self.one_by_one = bool(one_by_one)
        if folder is not None:
            call = Call(folder.pipeline_class, {} if arguments is None else arguments)
            self.one_by_one = depends_on_its_batch(call) if one_by_one is None else one_by_one
            self._loaded = LoadedPipeline(
                folder, call, self.prompts, component, device, dtype, offload, lora, compile
            )

    @property
    def loaded(self) -> LoadedPipeline:
        """The pipeline; ValueError where it is not here."""
        if self._loaded is None:
            raise ValueError(self.unavailable_reason)
        return self._loaded

    @property
    def denoiser(self) -> nn.Module:
        """The network that is cached."""
        return self.loaded.denoiser

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the samples, for the ids of results; hashing the weights takes seconds, once."""
        loaded = self.loaded
        more: dict[str, Any] = {} if self._lora is None else {"lora_sha256": sha256_of(self._lora)}
        more |= {"one_by_one": True} if self.one_by_one else {}
        more |= {"compile": True} if self._compile else {}
        return {
            "name": self.name,
            "weights_sha256": loaded.folder.sha256(),
            "pipeline": loaded.folder.pipeline_class.__name__,
            "component": loaded.component,
            "revision": _revision(loaded.folder),
            "dtype": self.dtype,
            "guidance": loaded.call.guidance,
            "arguments": loaded.call.digests,
            "numerics": {"device": self.device.type, "matmul": matmul_precision(), "tf32": tf32_matmul()},
            "prompts_sha256": self.prompts.digest() if loaded.call.is_prompted else None,
            **more,
        }

    def labels_or_prompts(self, seeds: Sequence[int]) -> Tensor:
        """Return the prompt number of each seed, or its class, int64 [N]: both follow from the seed."""
        if self.loaded.call.is_prompted:
            return self.prompts.numbers(seeds)
        return torch.tensor([seed % self._classes for seed in seeds])

    def unconditional(self, count: int) -> Tensor:
        """Return the number of the empty prompt, -1, or of the null class, for so many samples, int64 [count]."""
        return torch.full((count,), -1 if self.loaded.call.is_prompted else self._classes)

    @cached_property
    def _classes(self) -> int:
        config: Any = self.denoiser.config
        return int(config.get("num_embeds_ada_norm") or config.get("num_class_embeds") or CLASSES)

    def at(self, solver: Any) -> PipelineScheduler:
        """Return a scheduler with the timesteps that the pipeline gives it; its loop is rehearsed for one sample."""
        seen = self.loaded.rehearsed(solver)
        timed: PipelineScheduler = solver.at(seen.coordinates, seen.restarts, seen.shows_coordinates)
        return timed

    def settings(self, solver: Any) -> dict[str, Any]:
        """Return the pipeline, the scheduler and the guidance scales of a run, with what is left to the pipeline."""
        loaded = self.loaded
        scheduler = type(loaded.scheduler(solver)).__name__
        pipeline = loaded.folder.pipeline_class.__name__
        return {
            "pipeline": pipeline,
            "scheduler": scheduler,
            "steps": solver.steps,
            "guidance": loaded.call.scales,
        }

    def sample_itself(
        self,
        solver: Any,
        seeds: Sequence[int],
        announce: AnnounceRun,
        labels_or_prompts: Tensor | None = None,
        finished: bool = False,
    ) -> Tensor:
        """Call the pipeline for a batch, and return its latents [B, ...], or what it decoded of them where `finished`.

        `announce` is called before each forward of the denoiser; a sample that is called for by itself is a run by
        itself. Raises ValueError where the loop had other evaluations than its rehearsal.
        """
        numbers = self.labels_or_prompts(seeds) if labels_or_prompts is None else labels_or_prompts
        called = [
            self._called(solver, seeds[part], announce, numbers[part], finished)
            for part in self._calls(len(seeds))
        ]
        return torch.cat(called)

    def embed(self, batches: Sequence[Sequence[int]]) -> None:
        """Say which batches of seeds are to come: their prompts are encoded with those of the first call."""
        numbers = [self.labels_or_prompts(batch) for batch in batches]
        self.loaded.expect([of_batch[part] for of_batch in numbers for part in self._calls(len(of_batch))])

    def _calls(self, count: int) -> list[slice]:
        """The samples of each call of the pipeline, of a batch of so many."""
        size = 1 if self.one_by_one else count
        return [slice(start, start + size) for start in range(0, count, size)]

    def _called(
        self, solver: Any, seeds: Sequence[int], announce: AnnounceRun, numbers: Tensor, finished: bool
    ) -> Tensor:
        """The samples of one call."""
        coordinates, last = self.loaded.rehearsed(solver).coordinates, -1

        def before(e: int, index: int, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
            nonlocal last
            last = e
            if e < len(coordinates):
                announce(e, coordinates[e], index)

        output = self.loaded.run(solver, numbers, seeds, before, finished)
        if last + 1 != len(coordinates):
            raise ValueError(
                f"{self.name} ran {last + 1} evaluations, but {len(coordinates)} in its rehearsal of one sample"
            )
        samples = outputs.batch_of(output)
        return outputs.as_media(samples, self._medium) if finished else samples

    def decode(self, x: Tensor) -> Tensor:
        """Return what the pipeline has decoded, [B, ...], as the integers that `media` writes."""
        return outputs.written(x, self._medium)

    @cached_property
    def media(self) -> Media:
        """The codec of the samples: PNG for images, WebP for clips, FLAC for audio."""
        is_audio = self._medium == outputs.AUDIO
        rate = (self._rate or outputs.rate_of(self.loaded.pipe)) if is_audio else 0
        return outputs.media_for(self._medium, self._fps, rate)

    @property
    def decoder(self) -> str:
        """What the pipeline decodes to, image, video or audio: known once it was rehearsed to its end."""
        return self._medium

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of a decoded sample."""
        return tuple(self.loaded.finished[1].shape[1:])

    @property
    def _medium(self) -> str:
        return self.loaded.finished[0]

    @property
    def forwards(self) -> int:
        """The number of forwards of an evaluation: 2 where the pipeline guides in two calls."""
        return self.loaded.rehearsed().forwards

    @property
    def guidance_rows(self) -> int:
        """The rows of one sample in an evaluation: 2 with guidance, else 1."""
        return self.loaded.rehearsed().guidance_rows

    def skeleton(self) -> tuple[nn.Module, Callable[[], Any]]:
        """Return the denoiser, and a call that runs one evaluation of one sample through it, for counting costs."""
        return self.denoiser, self.loaded.evaluation()

    def conditioning(self, labels_or_prompts: Tensor) -> None:
        """Return nothing: the pipeline encodes its prompts itself."""

    def predict(self, *args: Any) -> NoReturn:
        """Raise ValueError: single evaluations are the pipeline's own."""
        raise ValueError(f"{self.name} samples in its own loop, which gives no single evaluations")

    output = predict


def _check_choice(key: str, value: str, choices: Any) -> None:
    if value not in choices:
        raise ValueError(f"model.{key} must be one of {', '.join(choices)}, not {value}")


def _revision(folder: Folder) -> str | None:
    """The commit of a repository in the Hugging Face cache; None of a folder."""
    return folder.path.name if folder.path.parent.name == "snapshots" else None
