"""Find the sites that a caching method decides on."""

from typing import Any

from torch import nn

from smoothbench.caching.at_level import AtLevel
from smoothbench.caching.policy import ChoosesSites
from smoothbench.caching.sites import BRANCH, Site, find_sites


def sites_of(policy: Any, denoiser: nn.Module) -> tuple[Site, ...]:
    """Return the sites that a method chooses, those of its level, or all branches of the denoiser."""
    if isinstance(policy, ChoosesSites):
        return policy.choose_sites(denoiser)
    return find_sites(denoiser, policy.level if isinstance(policy, AtLevel) else BRANCH)
