"""The residual block that the embedded autoencoders are made of."""

from torch import Tensor, nn


class Residual(nn.Module):
    """Norm, SiLU and a convolution of width 3, twice, added to the input [N, C, ...].

    `convolution` is `nn.Conv1d` over time or `nn.Conv2d` over rows and columns.
    """

    def __init__(self, convolution: type[nn.Conv1d] | type[nn.Conv2d], width: int) -> None:
        super().__init__()
        halves = (
            (nn.GroupNorm(8, width), nn.SiLU(), convolution(width, width, 3, padding=1)) for _ in range(2)
        )
        self.body = nn.Sequential(*(layer for half in halves for layer in half))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)
