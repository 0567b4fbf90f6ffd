"""The Frechet distance of a spatial feature map, before pooling (sFID)."""

from torch import Tensor

from metrics.frechet import FrechetDistance


class SpatialFrechetDistance(FrechetDistance):
    """The Frechet distance of the first channels of the encoder's feature map at all positions (Nash et al. 2021).

    ADM's evaluation computes sFID so: 7 channels, channels last, flattened; there d is 2023, and the names
    of its reference statistics end in `_s`. Everything else, the flag of N < 20 d included, is as for
    `FrechetDistance`.
    """

    inputs: tuple[str, ...] = ("spatial",)
    name = "sfd"
    version = 1

    def __init__(self, reference: str | None = None, channels: int = 7, suffix: str = "") -> None:
        super().__init__(reference, suffix)
        if channels < 1:
            raise ValueError(f"channels={channels} of the spatial features: at least 1, ADM takes 7")
        self._channels = channels

    def per_sample(self, *inputs: Tensor) -> Tensor:
        """Flatten a map [B, C, h, w] to features float32 [B, h w channels]; ValueError for too few channels."""
        (spatial,) = inputs
        if spatial.ndim != 4 or 0 in spatial.shape or spatial.shape[1] < self._channels:
            raise ValueError(
                f"spatial must be [B, C, h, w] with at least {self._channels} channels, "
                f"not {list(spatial.shape)}: take the map before pooling, or set fewer `channels`"
            )
        return spatial[:, : self._channels].movedim(1, -1).flatten(1).float()
