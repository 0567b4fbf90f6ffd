"""Time grids on discrete noise levels: which timesteps a solver with few steps evaluates."""

import torch
from torch import Tensor

GRIDS = ("log_snr", "karras", "quadratic", "linspace", "leading", "trailing")
RHO = 7.0  # Karras et al. 2022, equation 5


def timesteps(grid: str, steps: int, sigmas: Tensor) -> tuple[float, ...]:
    """Choose the whole timesteps of a grid, the noisiest first.

    Args: sigmas, the ratio of noise to signal at every trained timestep, [T], rising. The grids: `log_snr` is even in
    lambda = log(alpha / sigma) (Lu et al. 2022), `karras` in sigma^(1/7) (Karras et al. 2022, equation 5), and
    `quadratic` in the root of time (Zhang and Chen 2023, section 4): these go from the last timestep to 0, each level
    at its nearest timestep. `linspace`, `leading` and `trailing` are even in time, as diffusers' multistep schedulers
    (Lin et al. 2024, arXiv 2305.08891, table 2), and stop before 0; only `leading` begins below the last timestep.
    Raises ValueError for another name, and where a grid would evaluate a timestep twice.
    """
    last = len(sigmas) - 1
    if grid == "log_snr":
        levels = sigmas.log()  # -lambda
        chosen = nearest_distinct(levels, _even(levels[0].item(), levels[-1].item(), steps))
    elif grid == "karras":
        low, high = (level.item() ** (1 / RHO) for level in (sigmas[0], sigmas[-1]))
        chosen = nearest_distinct(sigmas, _even(low, high, steps) ** RHO)
    elif grid == "quadratic":
        chosen = nearest_distinct(torch.arange(last + 1.0), _even(0.0, last**0.5, steps) ** 2)
    elif grid == "linspace":
        chosen = _descending(_even(0.0, float(last), steps + 1)[1:].round())
    elif grid == "leading":
        chosen = _descending(torch.arange(1, steps + 1) * (len(sigmas) // (steps + 1)))
    elif grid == "trailing":
        chosen = _descending(
            (torch.arange(1, steps + 1, dtype=torch.float64) * (len(sigmas) / steps)).round() - 1
        )
    else:
        raise ValueError(f"solver.grid must be one of {', '.join(GRIDS)}, not {grid}")
    if len(set(chosen)) < steps:
        raise ValueError(
            f"solver.grid={grid} has no {steps} different timesteps of {len(sigmas)}: take fewer steps"
        )
    return chosen


def nearest_distinct(levels: Tensor, wanted: Tensor) -> tuple[float, ...]:
    """Choose the whole timesteps whose noise levels are nearest to those wanted, none twice, the noisiest first.

    Args: levels [T], rising with the timestep; wanted [S <= T], rising. A denoiser that was trained at whole
    timesteps only, and the solver's arithmetic, both use the noise level of the timestep itself (Karras et al. 2022
    round likewise for discrete models). Where several wanted levels share a nearest timestep, the noisier ones move
    up to the next free one.
    """
    rank = torch.arange(len(wanted))
    nearest = torch.searchsorted((levels[1:] + levels[:-1]) / 2, wanted)
    rising = (nearest - rank).cummax(0).values + rank
    return _descending(torch.minimum(rising, len(levels) - len(wanted) + rank))


def _even(first: float, last: float, count: int) -> Tensor:
    return torch.linspace(first, last, count, dtype=torch.float64)


def _descending(rising: Tensor) -> tuple[float, ...]:
    return tuple(float(t) for t in rising.flip(0).tolist())
