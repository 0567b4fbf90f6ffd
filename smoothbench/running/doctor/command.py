"""Find out whether this machine is fit for measuring: one line for each check, and what to do.

    python -m smoothbench.doctor [device=auto] [results_dir=results] [compile=true]

It samples the embedded models on the device and on the CPU, and looks at versions, numerics, speed, memory,
torch.compile, the results folder, and at the weights, reference files and packages that the papers' experiments need.
Each line begins with ok; with warn where runs are slower or some cannot be had; or with FAIL where results would be
wrong.
compile=false leaves out torch.compile, which takes longest.
"""

import smoothbench.sibling_packages  # noqa: F401  before what imports metrics

# isort: split
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from smoothbench import command
from smoothbench.errors import UsageError
from smoothbench.numerics import set_tf32
from smoothbench.running.doctor import (
    compiled,
    folder,
    machine,
    models,
    numerics,
    packages,
    paper,
    paper_scores,
    speed,
)
from smoothbench.running.doctor.embedded import Embedded
from smoothbench.running.doctor.finding import Check, Finding, examined
from smoothbench.sampling.allocator import keep_freed_memory
from smoothbench.sampling.devices import device_of

DEFAULTS = {"device": "auto", "results_dir": "results", "compile": "true"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 nothing failed, 1 something did, 2 the request cannot be met, 128 + a signal's number: stopped."""
    parser = command.parser("smoothbench.doctor", __doc__)
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help=", ".join(DEFAULTS))
    options = parser.parse_args(arguments)
    return command.main(lambda: _examine(_settings(options.settings)), "nothing of it is kept")


def _settings(arguments: Sequence[str]) -> dict[str, str]:
    """The settings by name; UsageError for one that does not exist."""
    given = dict(argument.partition("=")[::2] for argument in arguments)
    if unknown := [key for key in given if key not in DEFAULTS]:
        raise UsageError(
            f"{unknown[0]!r:.60}: no such setting; there are {', '.join(DEFAULTS)}, as KEY=VALUE"
        )
    chosen = DEFAULTS | given
    if chosen["compile"] not in ("true", "false"):
        raise UsageError(f"compile={chosen['compile']!r:.60}: must be true or false")
    return chosen


def _examine(chosen: dict[str, str]) -> int:
    """Print all findings as they come; 1 where one of them is a failure."""
    device, started = device_of(chosen["device"]), time.perf_counter()
    set_tf32(False)
    keep_freed_memory()
    findings: list[Finding] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for finding in examined(checks(device, Path(chosen["results_dir"]), chosen["compile"] == "true")):
            print(finding.line(), flush=True)
            findings.append(finding)
    counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in ("ok", "warn", "FAIL")}
    counted = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    print(f"{counted}; {time.perf_counter() - started:.0f} s")
    return int(counts["FAIL"] > 0)


def checks(device: torch.device, results_dir: Path, compiles: bool) -> list[Check]:
    """All checks of this device and folder, in the order in which they are carried out."""
    embedded = [Embedded(name, tolerance, device) for name, tolerance in models.TOLERANCES.items()]
    return [
        *machine.checks(device),
        *numerics.checks(device),
        *(check for model in embedded for check in models.checks(model)),
        *speed.checks(device, embedded[0]),
        *folder.checks(results_dir),
        *paper.checks(device),
        *paper_scores.checks(),
        *packages.checks(),
        *(compiled.checks(embedded[0]) if compiles else []),
    ]
