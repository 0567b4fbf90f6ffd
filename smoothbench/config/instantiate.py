"""From configuration nodes to objects: the only caller of Hydra's `instantiate`."""

import inspect
import logging
import math
import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import torch
from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate

from smoothbench.caching.policy import DynamicPolicy, PlansOnBatch, Policy
from smoothbench.caching.predictor import Predictor, predictor_from
from smoothbench.config.moved import moved
from smoothbench.config.old_keys import ATTRIBUTES
from smoothbench.errors import UsageError, one_line
from smoothbench.protocols import Config, LoadsDecoder, LoadsText, Model, SamplesItself, Solver
from smoothbench.storage.identity import is_node

log = logging.getLogger(__name__)

SAVED = "saved"  # the predictor that a schedule's file holds
MODEL: tuple[str, ...] = ("conditioning", "predict", "decode", "skeleton", "prediction", "labels_or_prompts")
MODEL += ("unconditional", "output", "identity", "media", "sample_shape", "forwards", "guidance_rows")
MODEL += ("unavailable_reason", "min_batch_size")
TYPES = {
    int: "a whole number",
    float: "a finite number",
    str: "text",
    bool: "true or false",
    NoneType: "null",
}


def build(node: Mapping[str, Any], where: str, **more: Any) -> Any:
    """Build the object that a node describes by `_target_` and arguments.

    Raises UsageError, naming the node, where that fails, and where a value is not of the type that its parameter is
    annotated with (int, float, str, bool).
    """
    node = moved(node)
    _check_keys(node, where)
    try:
        built = instantiate(dict(node), **more, _convert_="all")
    except Exception as error:  # also of Hydra itself, for instance for a key that can be no argument
        raise UsageError(f"{where}: {_reason(error)}") from error
    _check_types(node, where)
    return built


def _reason(error: Exception) -> str:
    """Describe what a target's import or call raised, without what Hydra adds to it."""
    text, cause = str(error), error.__cause__
    if not isinstance(error, InstantiationException) or not isinstance(cause, Exception):
        return _short(error)
    located = re.match("Error locating target '(.*?)'", text)
    if located and isinstance(cause.__cause__, Exception):  # between them is what Hydra's search says
        cause = cause.__cause__
    if located:
        return f"{located[1]} cannot be imported ({type(cause).__name__}: {_short(cause)})"
    kind = "" if isinstance(cause, ValueError | OSError | TypeError) else f"{type(cause).__name__}: "
    return f"{kind}{_short(cause)}"


def check_arguments(node: Mapping[str, Any], where: str) -> None:
    """Raise UsageError where a node's target does not take its arguments; nothing is built.

    For nodes that this run does not build. A run that does build them says what cannot be imported.
    """
    node = moved(node)
    _check_keys(node, where)
    try:
        signature = inspect.signature(get_object(node["_target_"]))
    except Exception:
        return
    try:
        signature.bind(**{key: value for key, value in node.items() if key != "_target_"})
    except TypeError as error:
        raise UsageError(f"{where}: {node['_target_']}: {one_line(error)}") from None
    for key, value in node.items():
        if is_node(value):
            check_arguments(value, f"{where}.{key}")


def _short(error: Exception) -> str:
    """Put an exception's message on one line; words over 200 characters are cut, as no path is that long."""
    return re.sub(r"(\S{200})\S+", r"\1...", one_line(error))


def _check_keys(node: Mapping[str, Any], where: str) -> None:
    """Refuse Hydra's other keys (`_partial_`, `_args_`, ...), which would build something else than the target."""
    if not isinstance(node.get("_target_"), str):
        raise UsageError(f"{where} must name its class in _target_")
    if words := [key for key in node if str(key).startswith("_") and key != "_target_"]:
        raise UsageError(f"{where}.{words[0]}: a node has a _target_ and its arguments, nothing else")
    for key, value in node.items():
        if is_node(value):
            _check_keys(value, f"{where}.{key}")


def _check_types(node: Mapping[str, Any], where: str) -> None:
    """Raise UsageError for values that a target took silently, though they are not of its parameter's type."""
    target: Any = get_object(node["_target_"])
    try:
        hints = get_type_hints(target if inspect.isroutine(target) else target.__init__)
    except (AttributeError, NameError, TypeError):  # no annotations, or none that can be looked up
        hints = {}
    for key, value in node.items():
        hint = hints.get(key)
        kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        if is_node(value):
            _check_types(value, f"{where}.{key}")
        elif getattr(hint, "_is_protocol", False):
            raise UsageError(f"{where}.{key} must be a node with a _target_, not {value!r:.60}")
        elif TYPES.keys() >= set(kinds) and not any(_is(value, kind) for kind in kinds):
            expected = " or ".join(TYPES[kind] for kind in kinds)
            raise UsageError(f"{where}.{key} must be {expected}, not {value!r:.60}")


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def build_model(node: Config, device: torch.device) -> Model:
    """Build the model, whose weights may be loaded later (see `ready`); `evaluation` in its node is for metrics."""
    arguments = {key: value for key, value in node.items() if key != "evaluation"}
    built = build(arguments, "model", device=device)
    return require_attributes(built, "model", *MODEL)


def ready(model: Model, stage: str, solver: Config | None = None) -> Model:
    """Load the weights of a model; UsageError where they are damaged, or it can draw no samples.

    Costs need no weights, so that for stage=cost nothing is loaded; latencies are those of random weights too,
    where there are no others.

    Args: solver, the node of the run's solver: a model that samples itself may be able to run with no other.
    """
    if model.unavailable_reason and stage not in ("cost", "latency"):
        raise UsageError(model.unavailable_reason)
    if model.unavailable_reason:
        log.info("costs and latency alone: %s", model.unavailable_reason)
    if model.unavailable_reason or stage == "cost":
        return model
    try:
        _ = model.denoiser
        if solver is not None and isinstance(model, SamplesItself):
            _begin_with(build_solver(solver), model)
        _ = model.decoder if isinstance(model, LoadsDecoder) else None
        _ = model.text if isinstance(model, LoadsText) else None
    except (ValueError, OSError) as error:
        raise UsageError(_short(error)) from error
    return model


def _begin_with(solver: Solver, model: Model) -> None:
    """Rehearse a model that samples itself with the solver of the run, before anything asks what its samples are."""
    if solver.prediction == model.prediction:  # another one is refused when points are planned
        rehearsed(solver, model)


def build_policy(node: Config, where: str) -> Policy | PlansOnBatch | DynamicPolicy:
    """Build a caching method, static or dynamic; UsageError where the node makes something else."""
    policy: Policy | PlansOnBatch | DynamicPolicy = build(node, where)
    if isinstance(policy, DynamicPolicy | PlansOnBatch):
        return policy
    return require_attributes(policy, where, "plan", "needs_curves")


def require_attributes(built: Any, where: str, *names: str) -> Any:
    """Return a built object; UsageError where it lacks an attribute that an object of this kind must have.

    No attribute is read: a model loads weights at the first use of some.
    """
    for name in names:
        old = ATTRIBUTES.get(name)
        if old and _has(built, name) and any(old in vars(cls) for cls in type(built).__mro__):
            # the class overrides what nobody calls any more, and inherits what is called
            raise UsageError(f"{where}: {type(built).__name__} has {old}, which is {name} now")
    absent = [name for name in names if not _has(built, name)]
    if not absent:
        return built
    old = ATTRIBUTES.get(absent[0])
    hint = f" ({old} is {absent[0]} now)" if old and _has(built, old) else ""
    raise UsageError(f"{where}: a {type(built).__name__} cannot stand here, it has no {absent[0]}{hint}")


def _has(part: Any, name: str) -> bool:
    declared = inspect.getattr_static(part, name, inspect) is not inspect
    return declared or (hasattr(type(part), "__getattr__") and hasattr(part, name))


def build_predictor(node: str | Config, where: str) -> Predictor:
    """Build a predictor from its short name (`reuse`, `taylor1`), or from a node with a `_target_`.

    `saved` stands for the weights in a schedule's file, which are known once it is read; without any it is `reuse`.
    """
    node = "reuse" if node == SAVED else node
    try:
        return predictor_from(build(node, where) if isinstance(node, dict) else node)
    except ValueError as error:
        raise UsageError(f"{where}: {_short(error)}") from None


def build_solver(node: Config) -> Solver:
    """Build a sampler; UsageError where its time grid cannot be made, or does not fall from the noisiest on."""
    steps = ("prediction", "begin", "model_input", "step", "sample")
    solver: Solver = require_attributes(build(node, "solver"), "solver", *steps)
    try:
        grid = solver.coordinates
    except Exception as error:  # whatever its arithmetic makes of its settings
        raise UsageError(f"solver: its time grid cannot be made ({one_line(error)})") from error
    if not all(map(math.isfinite, grid)) or list(grid) != sorted(grid, reverse=True) or not grid:
        raise UsageError(
            f"solver: its {len(grid)} timesteps are not finite and falling: look at its settings"
        )
    return solver


def rehearsed(solver: Solver, model: Model) -> Solver:
    """Return the solver with the coordinates that a model which samples itself gives it; of others as it is.

    Raises UsageError where the model cannot run with it, or the engine could not follow.
    """
    if not isinstance(model, SamplesItself):
        return solver
    try:
        return model.at(solver)
    except ValueError as error:
        raise UsageError(_short(error)) from error
