"""Run the smoke experiment on the embedded model, and read what it left."""

import json
from pathlib import Path
from typing import Any

import torch

from smoothbench.running.experiment import Experiment
from tests.support.compose import experiment


def run(folder: Path, *overrides: str, **sweeps: Any) -> dict[str, Any]:
    """Run, and return all records by name, without what may differ between runs."""
    try:
        experiment(folder, *overrides, sweeps=sweeps).run()
    finally:
        records = read(folder)
    return records


def read(folder: Path) -> dict[str, Any]:
    records = [json.loads(path.read_text()) for path in sorted(folder.glob("runs/smoke/records/*.json"))]
    return {record["name"]: {k: v for k, v in record.items() if k != "provenance"} for record in records}


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob("runs/smoke/samples/**/*.*"))
    }


def change(path: Path, **changes: Any) -> None:
    """Change values of a record in its file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def pooled(folder: Path) -> dict[str, Any]:
    """The records that merge others, by name."""
    records = [json.loads(path.read_text()) for path in folder.glob("runs/smoke/records/*.json")]
    return {record["name"]: record for record in records if record["parts"]}


def limited(running: Experiment, rows: int) -> Experiment:
    """An experiment whose denoiser has memory for so many rows."""

    def limit(module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        if len(args[0]) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    running.bench.model.denoiser.register_forward_pre_hook(limit)
    return running


def small_policy(point: str, policy: str, predictor: str = "reuse", **parameters: Any) -> str:
    """An override that adds a point with a policy of `tests.support.small_policies`, with the parameters by name."""
    fields = "".join(f",{key}:{value}" for key, value in parameters.items())
    node = f"{{_target_:tests.support.small_policies.{policy}{fields}}}"
    return f"+points.{point}.cache={{policy:{node},predictor:{predictor},family:small,label:{point}}}"
