"""Every solver as one plain loop over its formulas, written apart from the solvers' explicit steps.

The arithmetic is in the same order of operations as the solvers', so that samples agree to the bit. Time grids are
the solvers' own: other tests hold those.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from smoothbench.protocols import Noise, Predict

Loop = Callable[[Any, Tensor, Predict, Noise], Tensor]


def signal(solver: Any) -> list[float]:
    """alpha^2 at each evaluation, and 1 for the finished sample."""
    return [solver.alphas_bar()[int(t)].item() for t in solver.coordinates] + [1.0]


def ddim(solver: Any, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
    bar = signal(solver)
    for e, t in enumerate(solver.coordinates):
        epsilon = predict(e, x, t)
        x0 = (x - (1 - bar[e]) ** 0.5 * epsilon) / bar[e] ** 0.5
        x = bar[e + 1] ** 0.5 * x0 + (1 - bar[e + 1]) ** 0.5 * epsilon
    return x


def euler(solver: Any, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
    sigma = [solver.sigmas()[int(t)].item() for t in solver.coordinates] + [0.0]
    x = x * (sigma[0] ** 2 + 1) ** 0.5
    for e, t in enumerate(solver.coordinates):
        x = x + (sigma[e + 1] - sigma[e]) * predict(e, x / (sigma[e] ** 2 + 1) ** 0.5, t)
    return x


def rectified_flow(solver: Any, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
    even = [1 - i / solver.steps for i in range(solver.steps)]
    times = [solver.shift * t / (1 + (solver.shift - 1) * t) for t in even] + [0.0]
    for e, t in enumerate(solver.coordinates):
        x = x + (times[e] - times[e + 1]) * predict(e, x, t)
    return x


def multistep(solver: Any, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
    """2M for noise: the first and the last step are of first order."""
    alpha, sigma = [s**0.5 for s in signal(solver)], [(1 - s) ** 0.5 for s in signal(solver)]
    lambdas = [math.log(alpha[e] / sigma[e]) for e in range(solver.steps)]
    earlier = x
    for e, t in enumerate(solver.coordinates):
        x0 = data = (x - sigma[e] * predict(e, x, t)) / alpha[e]
        if 0 < e < solver.steps - 1:
            r = (lambdas[e] - lambdas[e - 1]) / (lambdas[e + 1] - lambdas[e])
            data = x0 + (x0 - earlier) / (2 * r)
        ratio = sigma[e + 1] / sigma[e]
        x, earlier = ratio * x + (alpha[e + 1] - alpha[e] * ratio) * data, x0
    return x


def predictor_corrector(solver: Any, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
    """UniPC: every step is taken twice, the second time with the prediction at its end."""
    corrected, x0 = x, list[Tensor]()
    for e, t in enumerate(solver.coordinates):
        x0.insert(0, solver.x0(e, x, predict(e, x, t)))
        if e > 0:
            others = [x0[0], *x0[2:]]
            corrected = _bent(solver, e - 1, corrected, x0[1], others, solver._corrector[e - 1])
        x = _bent(solver, e, corrected, x0[0], x0[1:], solver._predictor[e])
    return x


def _bent(solver: Any, e: int, x: Tensor, x0: Tensor, others: list[Tensor], weights: list[float]) -> Tensor:
    """A step along x0, less the weighted differences of as many other predictions as there are weights."""
    (a, b), (s, u) = solver.levels.alpha[e : e + 2], solver.levels.sigma[e : e + 2]
    x = u / s * x + (b - a * (u / s)) * x0
    for weight, other in zip(weights, others, strict=False):
        x = x - b * weight * (other - x0)
    return x


def adams_bashforth(solver: Any, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
    """DEIS: the step of DDIM, and the weighted differences to earlier noise."""
    earlier = list[Tensor]()
    for e, t in enumerate(solver.coordinates):
        output = predict(e, x, t)
        latest = solver.noise(e, x, output)
        (a, b), (s, u) = solver.levels.alpha[e : e + 2], solver.levels.sigma[e : e + 2]
        x = u / s * x + (b - a * (u / s)) * solver.x0(e, x, output)
        for weight, epsilon in zip(solver._weights[e], earlier, strict=False):
            x = x + b * weight * (epsilon - latest)
        earlier.insert(0, latest)
    return x


def singlestep(solver: Any, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
    """2S: from the start of a step to its halfway point, then from the start to the end."""

    def x0(e: int, x: Tensor, at: Any) -> Tensor:
        _, log_alpha, half_log_snr = at
        epsilon = predict(e, x, solver.coordinates[e])
        return (x - math.exp(log_alpha - half_log_snr) * epsilon) / math.exp(log_alpha)

    def moved(x: Tensor, data: Tensor, start: Any, end: Any) -> Tensor:
        ratio = math.exp(end[1] - end[2]) / math.exp(start[1] - start[2])
        return ratio * x - math.exp(end[1]) * math.expm1(start[2] - end[2]) * data

    for i, (start, halfway, end) in enumerate(solver._steps):
        there = moved(x, x0(2 * i, x, start), start, halfway)
        x = moved(x, x0(2 * i + 1, there, halfway), start, end)
    return x


def multistep_sde(solver: Any, x: Tensor, predict: Predict, noise: Noise) -> Tensor:
    """3M SDE: fresh noise after every step but the last, if eta asks for it."""
    s, eta, data, x0 = solver.coordinates, solver.eta, solver.sigma_data, list[Tensor]()
    x = s[0] * x
    for e, sigma in enumerate(s):
        total = math.hypot(sigma, data)
        v = predict(e, x / total, sigma)
        x0.insert(0, (data / total) ** 2 * x - sigma * data / total * v)
        if e == len(s) - 1:
            break
        h = [math.log(s[i] / s[i + 1]) for i in (e, max(e - 1, 0), max(e - 2, 0))]
        decay = (1 + eta) * h[0]
        phi_2 = math.expm1(-decay) / decay + 1
        x = math.exp(-decay) * x - math.expm1(-decay) * x0[0]
        if e > 0:
            latest = (x0[0] - x0[1]) * (h[0] / h[1])
        if e == 1:
            x = x + phi_2 * latest
        if e > 1:
            r0, r1 = h[1] / h[0], h[2] / h[0]
            second = (latest - (x0[1] - x0[2]) / r1) / (r0 + r1)
            x = x + phi_2 * (latest + r0 * second) - (phi_2 / decay - 0.5) * second
        if eta:
            x = x + s[e + 1] * math.sqrt(-math.expm1(-2 * eta * h[0])) * noise()
    return x0[0]


def toy_prediction(e: int, x: Tensor, t: float) -> Tensor:
    """Bounded samples, yet neither linear in x nor free of e and t."""
    return x * (t / (1000 + t)) + 0.1 * torch.sin(3 * x + e)
