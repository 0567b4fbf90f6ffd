"""Tiny random instances of the denoiser classes of diffusers, with forward arguments for a falling noise level."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.support.tiny_denoisers.flux import FLUX_DENOISERS
from tests.support.tiny_denoisers.hunyuan_video import HUNYUAN_VIDEO_DENOISERS
from tests.support.tiny_denoisers.image import IMAGE
from tests.support.tiny_denoisers.ingredients import Tiny
from tests.support.tiny_denoisers.joined import JOINED_DENOISERS
from tests.support.tiny_denoisers.joint import JOINT_DENOISERS
from tests.support.tiny_denoisers.sound import SOUND_DENOISERS
from tests.support.tiny_denoisers.unets import UNETS
from tests.support.tiny_denoisers.video import VIDEO_DENOISERS
from tests.support.tiny_denoisers.wan import WAN_DENOISERS
from tests.support.tiny_denoisers.worlds import WORLDS_DENOISERS

TINY: Mapping[str, Tiny] = MappingProxyType(
    {
        **IMAGE,
        **JOINED_DENOISERS,
        **JOINT_DENOISERS,
        **FLUX_DENOISERS,
        **VIDEO_DENOISERS,
        **HUNYUAN_VIDEO_DENOISERS,
        **WAN_DENOISERS,
        **SOUND_DENOISERS,
        **WORLDS_DENOISERS,
        **UNETS,
    }
)
