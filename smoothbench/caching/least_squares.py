"""Least squares with a prior: the few weights that a fit has, from inner products."""

import torch
from torch import Tensor


def ridge_weights(gram: Tensor, products: Tensor, prior: Tensor, ridge: float) -> Tensor:
    """Return the weights [..., n] that make a combination of n vectors nearest to a target, in float64.

    Leaving the prior costs `ridge` times a vector's square. Args: gram [..., n, n], inner products of the vectors;
    products [..., n], those with the target; prior [n].
    """
    scales = torch.diagonal(gram, dim1=-2, dim2=-1)
    damped = gram + torch.diag_embed(ridge * scales + torch.finfo(gram.dtype).tiny)
    change = torch.linalg.solve(damped, products - gram @ prior)
    return prior + change


def squared_residual(gram: Tensor, products: Tensor, square: Tensor, weights: Tensor) -> Tensor:
    """Return the squared distance [...] of a combination of vectors from its target, whose own square is `square`."""
    fitted = torch.einsum("...i,...ij,...j->...", weights, gram, weights)
    return (square - 2 * (weights * products).sum(-1) + fitted).clamp_min(0)


def check_count(weights: int, values: int, samples: int, depth: int) -> None:
    """Raise ValueError where there are fewer values of the calibration samples than weights to be fitted."""
    if values < weights:
        raise ValueError(
            f"{weights} weights cannot be fitted to the {values} values of {samples} calibration samples: take more "
            f"samples, or a depth below {depth}"
        )
