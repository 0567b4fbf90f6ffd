"""Router files: the released ones of Learning-to-Cache, and ours. Nothing in them is ever unpickled."""

import argparse
import json
import pickle
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from smoothbench.caching import Site, Trajectory

Scores = list[list[float | None]]  # [evaluation][site]; None where nothing was trained: always computed
KINDS = ("self_attn", "ff")  # of a released router: two entries a block, in this order


def routed(path: str, trajectory: Trajectory) -> Scores:
    """Read a router's scores, in order of execution; ValueError for a file that is not for this trajectory.

    `DDIM*_router.pt` holds a dictionary with `routers`, `dpm*_router.pth` is flat (U-ViT), ours are safetensors.
    """
    if path.endswith(".safetensors"):
        return _ours(path, trajectory)
    data = _tensors(path)
    if isinstance(data.get("routers"), Mapping):
        return _dit(_logits(data["routers"], trajectory), trajectory)
    return _uvit(_logits(data, trajectory), trajectory)


def to_bytes(logits: Tensor, trajectory: Trajectory, about: Mapping[str, Any]) -> bytes:
    """Return a trained router [evaluation, site] as the bytes of a file; NaN where nothing was trained."""
    grid = {"sites": [site.name for site in trajectory.sites], "coordinates": trajectory.coordinates}
    # under one key: several come in any order, and the same router would not give the same bytes
    metadata = {"router": json.dumps({**grid, **about}, sort_keys=True)}
    return save({"logits": logits.detach().cpu().contiguous()}, metadata)


def _ours(path: str, trajectory: Trajectory) -> Scores:
    try:
        with safe_open(path, "pt") as file:
            about, logits = json.loads((file.metadata() or {})["router"]), file.get_tensor("logits")
        sites, grid = list(about["sites"]), list(about["coordinates"])
        first, last = float(grid[0]), float(grid[-1])
    except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"it is no router of ours ({' '.join(str(error).split())[:100]})") from None
    if sites != [site.name for site in trajectory.sites]:
        raise ValueError(
            f"it is for {len(sites)} sites ({', '.join(map(str, sites[:2]))}, ...), but the model has "
            f"{len(trajectory.sites)} ({trajectory.sites[0].name} to {trajectory.sites[-1].name}): train one for it"
        )
    if grid != list(trajectory.coordinates):
        raise ValueError(
            f"it is for {len(grid)} evaluations at timesteps {first:g} to {last:g}, but the solver makes "
            f"{trajectory.evals} at its own: train one for them"
        )
    if logits.shape != (len(grid), len(sites)):
        raise ValueError(f"its logits are {list(logits.shape)}, not {[len(grid), len(sites)]}")
    return [[None if x != x else x for x in row] for row in torch.sigmoid(logits.double()).tolist()]


def _tensors(path: str) -> Mapping[str, Any]:
    """The content of a PyTorch file, in which nothing but tensors, containers and a Namespace may be."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # holds the training's arguments
            data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError("it holds more than tensors, and may run code: refused") from None
    except Exception as error:  # what torch makes of damaged bytes is no closed list
        raise ValueError(f"it is no PyTorch file ({' '.join(str(error).split())[:100]})") from None
    if not isinstance(data, Mapping):
        raise ValueError(f"it holds a {type(data).__name__}, not the routers of a model")
    return data


def _logits(routers: Mapping[str, Any], trajectory: Trajectory) -> Sequence[Tensor]:
    """One tensor for each index of the file; the file counts `evals` of them, whatever it uses."""
    names = {key: re.fullmatch(r"(\d+)\.prob", str(key)) for key in routers}
    if not names or not all(names.values()) or not all(isinstance(x, Tensor) for x in routers.values()):
        raise ValueError("it has no routers 0.prob, 1.prob, ...")
    by_index = {int(match[1]): routers[key] for key, match in names.items() if match}
    if sorted(by_index) != list(range(trajectory.evals)):
        raise ValueError(f"it is for {len(by_index)} evaluations, but the solver makes {trajectory.evals}")
    width = len(trajectory.sites)
    if wrong := [x for x in by_index.values() if x.shape != (width,) or not x.isfinite().all()]:
        raise ValueError(
            f"its routers hold {list(wrong[0].shape)} numbers, not {width} finite ones for the model's {width} sites"
        )
    return [by_index[i] for i in range(trajectory.evals)]


def _dit(logits: Sequence[Tensor], trajectory: Trajectory) -> Scores:
    """Index 0 is the last evaluation. Odd indices are full and were never trained: their logits are noise."""
    if trajectory.evals % 2:
        raise ValueError(
            f"its indices alternate, which needs an even number of steps, not {trajectory.evals}"
        )
    sites, rows = trajectory.sites, []
    for e in range(trajectory.evals):
        index = trajectory.evals - 1 - e
        rows.append(_row(logits[index], sites) if index % 2 == 0 else _full(sites))
    return rows


def _uvit(logits: Sequence[Tensor], trajectory: Trajectory) -> Scores:
    """Index k is step k of a solver with two evaluations a step, from the noisiest.

    The router decides on the first evaluation of a step, by what the step before kept of its second one;
    step 0 has nothing to reuse, and indices from evals / 2 on were never trained.
    """
    if trajectory.evals % 2:
        raise ValueError(f"it is for two evaluations a step, but the solver makes {trajectory.evals}")
    sites = trajectory.sites
    return [
        _row(logits[e // 2], sites) if e % 2 == 0 and e > 0 else _full(sites) for e in range(trajectory.evals)
    ]


def _row(logits: Tensor, sites: Sequence[Site]) -> list[float | None]:
    """The scores of a released router, entries 2b and 2b + 1 of which are attention and MLP of block b."""
    if unknown := [site.name for site in sites if site.kind not in KINDS]:
        raise ValueError(f"released routers know attention and MLP, not {unknown[0]}")
    scores = torch.sigmoid(logits.double()).tolist()
    return [scores[2 * site.block + KINDS.index(site.kind)] for site in sites]


def _full(sites: Sequence[Site]) -> list[float | None]:
    return [None] * len(sites)
