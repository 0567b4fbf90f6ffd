"""Launchers of Hydra that start jobs in other processes, each by a package of its own."""

from collections.abc import Sequence
from importlib.util import find_spec
from types import MappingProxyType

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from smoothbench.errors import UsageError

KEY = "hydra/launcher="
# the plug-in of each, and the extra of ours that brings it
PLUGINS = MappingProxyType(
    {
        "joblib": ("hydra_joblib_launcher", "joblib"),
        "submitit_local": ("hydra_submitit_launcher", "slurm"),
        "submitit_slurm": ("hydra_submitit_launcher", "slurm"),
        "ray": ("hydra_ray_launcher", "ray"),
    }
)


def check_launcher(arguments: Sequence[str]) -> None:
    """Raise UsageError where the arguments name a launcher whose package is not installed."""
    for name in (argument.removeprefix(KEY) for argument in arguments if argument.startswith(KEY)):
        if name in PLUGINS and not _installed(PLUGINS[name][0]):
            raise UsageError(f"{KEY}{name} is not installed here: pip install -e '.[{PLUGINS[name][1]}]'")


def take_our_options() -> None:
    """Make Hydra take launchers from conf/hydra/launcher, without a warning that their plug-ins have options too."""
    Plugins.instance()  # their import enters their options into the store, once
    group = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for name in PLUGINS:
        group.pop(f"{name}.yaml", None)


def _installed(plugin: str) -> bool:
    return find_spec("hydra_plugins") is not None and find_spec(f"hydra_plugins.{plugin}") is not None
