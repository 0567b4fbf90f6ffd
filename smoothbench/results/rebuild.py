"""A recorded point built again: its method, and its model and solver to draw samples with."""

import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from smoothbench.caching import Run, Schedule, Trajectory
from smoothbench.caching.announce import Announcer
from smoothbench.caching.mac_counter import measured_sites
from smoothbench.caching.policy import DynamicPolicy, FitsOnBatch, PlansOnBatch, Policy
from smoothbench.caching.sites import sites_named
from smoothbench.config.declared_names import classes_by_name
from smoothbench.config.instantiate import build_model, build_policy, build_solver, ready, rehearsed
from smoothbench.errors import UsageError
from smoothbench.protocols import Model, Solver
from smoothbench.report.figures import contact_sheet, schedule_raster
from smoothbench.results.plug_ins import check_same, current_node
from smoothbench.sampling.devices import device_of
from smoothbench.sampling.loop import decodable, latents, silent
from smoothbench.storage.files import read_json
from smoothbench.storage.identity import describe, describe_model
from smoothbench.storage.record import Record
from smoothbench.storage.record_parts import RecordedSchedule


@dataclass(frozen=True)
class Rebuilt:
    """A point's model and solver. `trajectory` is what a static method plans on: sites with costs, and timesteps."""

    model: Model
    solver: Solver
    trajectory: Trajectory

    @property
    def denoiser(self) -> nn.Module:
        """The network that `smoothbench.caching.cached` takes."""
        return self.model.denoiser

    def draw(self, seeds: Iterable[int], run: Run | None = None) -> Tensor:
        """Draw the samples of these seeds, one batch of finished samples [B, ...] as the model decodes them.

        Args: run, what `cached` gives, inside its context; None to draw without a cache. Raises FloatingPointError
        where a sample is not finite.
        """
        announce = silent if run is None else run.step
        return self.model.decode(decodable(self.model, self.solver, list(seeds), announce))

    def draw_latents(self, seeds: Iterable[int], run: Announcer | None = None) -> Tensor:
        """Draw the samples of these seeds undecoded, [B, ...], as a `CalibrationBatch` takes them; see `draw`."""
        announce = silent if run is None else run.step
        return latents(self.model, self.solver, list(seeds), announce)

    def read_samples(self, files: Iterable[Path]) -> Tensor:
        """Read sample files, for instance previews, as `draw` gives samples, [B, ...]."""
        return torch.stack([self.model.media.decode(path.read_bytes()) for path in files])

    def draw_schedules(self, schedules: Mapping[str, Schedule]) -> Figure:
        """Draw schedules by label: evaluations across, sites down, dark is computed, with the share of MACs."""
        rows = [
            {
                **self._named(label),
                "share": self.trajectory.share(plan),
                "schedule": RecordedSchedule.of(plan),
            }
            for label, plan in schedules.items()
        ]
        return schedule_raster.schedules(pd.DataFrame(rows))

    def draw_samples(
        self, samples: Mapping[str, Tensor], seeds: Sequence[int], shares: Mapping[str, float] | None = None
    ) -> Figure:
        """Draw batches of images by label, a row a label, a column a seed.

        Args: samples, batches [B, ...] as `draw` gives them; shares, the labels' shares of the uncached MACs.
        """
        frame = pd.DataFrame(
            {**self._named(label), "sample_id": str(i), "share": (shares or {}).get(label, math.nan)}
            for i, label in enumerate(samples)
        )
        with tempfile.TemporaryDirectory() as folder:
            for i, batch in enumerate(samples.values()):
                (Path(folder) / str(i)).mkdir()
                for seed, sample in zip(seeds, batch, strict=True):
                    path = Path(folder) / str(i) / f"{seed}{self.model.media.suffix}"
                    path.write_bytes(self.model.media.encode(sample))
            return contact_sheet.contact_sheet(frame, folder)

    def _named(self, label: str) -> dict[str, str]:
        return {"experiment": "notebook", "model": self.model.name, "label": label}


def rebuilt(record: Record, where: str, device: str) -> Rebuilt:
    """Build model and solver of a record; UsageError, naming the point, where a class or weights are not here."""
    of_model, description = _recorded_part(record, "model", where)
    node, of_solver = _recorded_part(record, "solver", where)
    model = ready(build_model(of_model, device_of(device)), "all", node)
    check_same(description, describe_model(model), f"{where}: its model")
    solver = build_solver(node)
    check_same(of_solver, describe(solver, node), f"{where}: its solver")
    solver = rehearsed(solver, model)
    denoiser, call = model.skeleton()
    sites = sites_named(denoiser, record.schedule.sites) if record.schedule else None
    return Rebuilt(model, solver, Trajectory.over(measured_sites(denoiser, call, sites), solver.coordinates))


def rebuilt_policy(record: Record, where: str, folder: Path) -> Policy | PlansOnBatch | DynamicPolicy:
    """Build the caching method of a record; UsageError where its class, version or file is not the recorded one.

    Args: folder, that of the results, which has the numbers that a method was fitted with.
    """
    node, description = _recorded_part(record, "cache", where)
    policy = build_policy(node, where)
    if isinstance(policy, FitsOnBatch) and not policy.is_fitted and record.calibration is not None:
        data: Any = read_json(folder / record.calibration.file)
        try:
            policy = policy.fitted(data["numbers"])
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{where}: {record.calibration.file} is not in this copy of the results, or damaged: run it again"
            ) from error
    check_same(description, describe(policy, node), f"{where}: its method")
    return policy


def _recorded_part(record: Record, group: str, where: str) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The configuration that builds a part today, and its recorded description (empty where there is none)."""
    node = record.config.get(group)
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise UsageError(f"{where}: its record does not say how its {group} was configured: run it again")
    part = getattr(record.described, "policy" if group == "cache" else group, None)
    description = {} if part is None else part.to_json()
    return current_node(node, description, classes_by_name(group), f"{where}: its {group}"), description
