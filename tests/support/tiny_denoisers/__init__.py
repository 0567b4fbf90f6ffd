"""Tiny random instances of the denoiser classes of diffusers, with forward arguments for a falling noise level."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.support.tiny_denoisers.image import IMAGE
from tests.support.tiny_denoisers.ingredients import Tiny
from tests.support.tiny_denoisers.joint import JOINT
from tests.support.tiny_denoisers.sound import SOUND
from tests.support.tiny_denoisers.unets import UNETS
from tests.support.tiny_denoisers.video import VIDEO

TINY: Mapping[str, Tiny] = MappingProxyType({**IMAGE, **JOINT, **VIDEO, **SOUND, **UNETS})
