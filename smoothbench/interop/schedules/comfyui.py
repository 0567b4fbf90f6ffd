"""A custom node for ComfyUI that follows a mask of evaluations; no node that others publish takes one as an input."""

from smoothbench.caching.sites import DENOISER
from smoothbench.interop.schedules.request import Exported, Request

CODE = '''\
"""A ComfyUI node that computes the model where MASK is 1 and gives its last output again where it is 0.

Made from {source}. Copy this file to ComfyUI/custom_nodes and start ComfyUI again; put the node "{title}" between the
model's loader and the sampler. It is for {evals} steps of a sampler with one evaluation a step (euler, ddim, dpmpp_2m,
uni_pc). Computed evaluations, as ComfyUI-LeMiCa lists them: {computed}
"""

import torch

MASK = {mask}
KEY = "smoothbench_schedule"


class Schedule:
    """Runs the model's forward at the evaluations of the mask; keeps its last output for each conditioning."""

    def __init__(self):
        self.kept, self.last = {{}}, len(MASK)

    def __call__(self, executor, *args, **kwargs):
        given = [kwargs.get("transformer_options"), *reversed(args)]
        options = next(part for part in given if isinstance(part, dict) and "sample_sigmas" in part)
        evaluation = self.evaluation(options["sample_sigmas"], options["sigmas"].flatten()[0])
        if evaluation < self.last:
            self.kept.clear()
        self.last = evaluation
        keys = options.get("uuids") or options["cond_or_uncond"]
        if not MASK[evaluation] and all(key in self.kept for key in keys):
            return torch.cat([self.kept[key] for key in keys])
        output = executor(*args, **kwargs)
        if not isinstance(output, torch.Tensor):
            raise ValueError("the schedule is for models of one output, this one gives several")
        self.kept.update(zip(keys, output.chunk(len(keys))))
        return output

    def evaluation(self, sigmas, sigma):
        if len(sigmas) - 1 != len(MASK):
            raise ValueError(f"the schedule is for {{len(MASK)}} steps, the sampler makes {{len(sigmas) - 1}}")
        equal = torch.isclose(sigmas, sigma.to(sigmas), rtol=1e-4).nonzero().flatten()
        if not len(equal):
            raise ValueError("the sampler evaluates between its steps: take one with one evaluation a step")
        return int(equal[0])


class SmoothBenchSchedule:
    """The node: a model in, the same model with the schedule out."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "apply"
    CATEGORY = "advanced/model"

    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"model": ("MODEL",)}}}}

    def apply(self, model):
        from comfy.patcher_extension import WrappersMP

        model = model.clone()
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, Schedule())
        return (model,)


NODE_CLASS_MAPPINGS = {{"SmoothBenchSchedule": SmoothBenchSchedule}}
NODE_DISPLAY_NAME_MAPPINGS = {{"SmoothBenchSchedule": "{title}"}}
'''


def export(request: Request) -> Exported:
    """Write a Python file for ComfyUI's folder `custom_nodes`: exact for a schedule of the denoiser's output.

    Raises UsageError for what such a node cannot do.
    """
    if request.order:
        raise request.refused(f"the node repeats the last output, it has no {request.predictor}")
    request.refuse_second_network()
    mask = request.mask
    notes = () if request.level == DENOISER else request.require_mask_only("the denoiser's whole output")
    return Exported(
        CODE.format(
            source=request.printable_source,
            title=f"SmoothBench schedule, {sum(mask)} of {len(mask)} steps",
            evals=len(mask),
            mask=[int(bit) for bit in mask],
            computed=[e for e, bit in enumerate(mask) if bit],
        ),
        notes,
    )
