"""Tiny pipelines of many families with random weights, each with the arguments of its call."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.support.saved_pipelines.image import IMAGES
from tests.support.saved_pipelines.ingredients import PICTURE, PROMPTS, Family, built, saved
from tests.support.saved_pipelines.moving import MOVING
from tests.support.saved_pipelines.unets import UNETS

FAMILIES: Mapping[str, Family] = MappingProxyType({**IMAGES, **UNETS, **MOVING})

__all__ = ["FAMILIES", "PICTURE", "PROMPTS", "Family", "built", "saved"]
