"""The arguments of a pipeline's call: checked against its signature, and repeated for the samples of a batch."""

import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

import torch

from smoothbench.models.pipeline.input_files import check_file_argument, digest, is_file_argument, loaded

KEY: Final = "model.arguments"
OURS: Final = {  # arguments that the harness gives, and where to set what they stand for
    "num_inference_steps": "set solver.steps",
    "prompt": "set model.prompts",
    "class_labels": "each sample's class follows from its seed",
    "batch_size": "set batch_size",
    "generator": "set seed",
    "latents": "each sample's noise follows from its seed",
    "output_type": "it follows from what is sampled",
    "return_dict": "it is always true",
    "num_images_per_prompt": "set num_samples",
    "num_videos_per_prompt": "set num_samples",
    "num_waveforms_per_prompt": "set num_samples",
    "callback_on_step_end": "the engine follows the loop by itself",
    "callback": "the engine follows the loop by itself",
}
GUIDANCE: Final = ("true_cfg_scale", "guidance_scale")
SINGLE: Final = ("WanVACEPipeline", "LTX2ConditionPipeline", "LTX2InContextPipeline")


class Call:
    """How a pipeline is called for a batch: by prompts, by class labels, or by nothing but its size.

    `given` are the user's arguments. Raises ValueError, naming it, for one that the pipeline does not take or that the
    harness sets, and for a pipeline that takes no generator, whose samples would not follow from their seeds.
    """

    def __init__(self, pipeline_class: Any, given: Mapping[str, Any]) -> None:
        if not isinstance(given, Mapping):
            raise ValueError(f"{KEY} must be names with values, such as {{height: 1024}}, not {given!r:.60}")
        signature = inspect.signature(pipeline_class.__call__)
        self.takes = [name for name in signature.parameters if name != "self"]
        self.name, self.given = pipeline_class.__name__, dict(given)
        self._defaults = {name: parameter.default for name, parameter in signature.parameters.items()}
        for key in given:
            if key in OURS:
                raise ValueError(f"{KEY}.{key}: {OURS[key]} instead")
            if key not in self.takes:
                close = get_close_matches(key, self.takes, 1)
                hint = (
                    f": {close[0]}?"
                    if close
                    else f", but {', '.join(n for n in self.takes if n not in OURS)}"
                )
                raise ValueError(f"{KEY}.{key}: {self.name} takes no such argument{hint}")
            if key in GUIDANCE and not isinstance(given[key], int | float | None):
                raise ValueError(f"{KEY}.{key} must be a number, not {given[key]!r:.60}")
            if is_file_argument(key, given[key]):
                check_file_argument(f"{KEY}.{key}", given[key])
        if "generator" not in self.takes:
            raise ValueError(f"{self.name} takes no generator: its samples would not follow from their seeds")
        required = [
            name
            for name, parameter in signature.parameters.items()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
            and name not in ("self", "prompt", "class_labels", *given)
        ]
        if required:
            raise ValueError(f"{KEY} must give {required[0]}, without which {self.name} cannot be called")

    @property
    def is_prompted(self) -> bool:
        """Whether the pipeline takes prompts."""
        return "prompt" in self.takes

    @property
    def is_class_conditional(self) -> bool:
        """Whether the pipeline takes class labels in place of prompts."""
        return "class_labels" in self.takes

    @property
    def guidance(self) -> float | None:
        """The guidance scale where the user has set one."""
        values = [self.given[name] for name in GUIDANCE if self.given.get(name) is not None]
        return float(values[0]) if values else None

    @property
    def scales(self) -> dict[str, Any]:
        """All guidance scales of the call, those that the user leaves to the pipeline too."""
        names = [name for name in self._defaults if name in GUIDANCE or name.startswith("guidance_scale")]
        return {name: self.given.get(name, self._defaults[name]) for name in names}

    @property
    def digests(self) -> dict[str, Any]:
        """The user's arguments for identities: the sha256 of a picture or a clip in place of its file."""
        return {
            key: digest(value) if is_file_argument(key, value) else value for key, value in self.given.items()
        }

    @property
    def takes_files(self) -> bool:
        """Whether pictures or clips are among the user's arguments."""
        return any(is_file_argument(key, value) for key, value in self.given.items())

    def for_batch(
        self, conditions: Sequence[str] | Sequence[int], seeds: Sequence[int], steps: int
    ) -> dict[str, Any]:
        """Return all arguments but `output_type` for samples of these prompts or class labels and seeds.

        Each sample has its own generator, on the CPU, so that it does not depend on its batch. Pipelines that draw
        single samples get no lists.
        """
        count = len(seeds)
        more: dict[str, Any] = {
            "generator": [torch.Generator().manual_seed(seed) for seed in seeds],
            "num_inference_steps": steps,
        }
        if self.is_prompted:
            more["prompt"] = list(conditions)
        elif self.is_class_conditional:
            more["class_labels"] = list(conditions)
        elif "batch_size" in self.takes:
            more["batch_size"] = count
        arguments = {key: _repeated(key, value, count) for key, value in self.given.items()} | more
        if self.name not in SINGLE or count > 1:
            return arguments
        is_single = ("generator", "prompt", "negative_prompt")
        return {key: value[0] if key in is_single else value for key, value in arguments.items()}


def depends_on_its_batch(call: Call) -> bool:
    """Whether samples of a pipeline are known to be others in a batch, or cannot be drawn in one.

    Latte cuts a single prompt to its length, and pads prompts of a batch without a mask. Some take one generator for
    all samples. Pipelines take pictures and clips for a batch in ways that differ, each for one sample in the same.
    """
    masks = call.name == "LattePipeline" and call.given.get("mask_feature", True)
    return bool(masks) or call.name in SINGLE or call.takes_files


def refuse_shared_noise(name: str, generators: Any, before: Sequence[torch.Tensor]) -> None:
    """Raise ValueError where a call has drawn from the generators of some of its samples, but not from all.

    Args: before, the generators' states before the call.
    """
    drawn = [not torch.equal(one.get_state(), state) for one, state in zip(generators, before, strict=True)]
    if any(drawn) and not all(drawn):
        raise ValueError(
            f"{name} draws the noise of a whole batch from the generator of one of its samples, which would not follow "
            "from their seeds: set model.one_by_one=true"
        )


def _repeated(key: str, value: Any, count: int) -> Any:
    """An argument for a batch: texts beside the prompt, and pictures, are one of each sample."""
    if is_file_argument(key, value):
        file = loaded(key, value)
        return file if count == 1 else [file] * count
    if isinstance(value, str) and key.startswith(("prompt", "negative_prompt")):
        return [value] * count
    return value
