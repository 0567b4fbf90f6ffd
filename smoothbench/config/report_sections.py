"""Which sections an experiment adds to its report: the key `report` of its YAML."""

import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from smoothbench import sibling_packages
from smoothbench.config.validate import shown
from smoothbench.errors import UsageError

EXPERIMENTS = sibling_packages.ROOT / "conf" / "exp"
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def section_names(value: Any) -> tuple[str, ...]:
    """Check the value of `report`, an import path or a list of these or null, and return the paths.

    Raises UsageError for anything else. Nothing is imported: a report goes on without a section that it cannot make.
    """
    names = [] if value is None else list(value) if isinstance(value, list | tuple | ListConfig) else [value]
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UsageError(
                f"report={shown(value)}: must name a function, or a module with a function `section`, as "
                "smoothbench.report.studies.calibration_size, or be a list of such names"
            )
    return tuple(names)


def sections_of_experiment(experiment: str, folder: Path = EXPERIMENTS) -> tuple[str, ...]:
    """Return the sections that the YAML of an experiment names; none where no YAML in the folder is its own.

    The YAML has the experiment's name as it stands. One that cannot be read names none: whoever runs it is told.
    """
    for path in sorted(folder.rglob("*.yaml")):
        try:
            text = path.read_text(encoding="utf-8")
            if experiment not in text:  # to parse all of them takes a tenth of a small run
                continue
            node = OmegaConf.create(text)
            if isinstance(node, DictConfig) and node.get("experiment") == experiment:
                return section_names(node.get("report"))
        except (OSError, OmegaConfBaseException, YAMLError, UsageError):
            continue
    return ()
