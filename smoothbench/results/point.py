"""One point of an experiment: what it computed, what it was planned on, how its samples scored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from smoothbench.caching import ErrorCurves, Schedule
from smoothbench.caching.policy import DynamicPolicy, PlansOnBatch, Policy
from smoothbench.errors import UsageError
from smoothbench.json_checks import explain
from smoothbench.results.rebuild import Rebuilt, rebuilt, rebuilt_policy
from smoothbench.storage.files import load_json
from smoothbench.storage.record import Record
from smoothbench.storage.record_files import record_file
from smoothbench.storage.score_entry import ScoreEntry


@dataclass(frozen=True)
class PointResult:
    """A point with its record; files beside the record are read when they are asked for."""

    folder: Path
    record: Record
    label: str

    @classmethod
    def read(cls, folder: Path, stem: str, label: str) -> "PointResult":
        """Read a point's record by the stem of its file. Raises UsageError where the file has been damaged since."""
        path = record_file(folder, stem)
        try:
            return cls(folder, Record.from_json(load_json(path)), label)
        except (OSError, ValueError, KeyError, RecursionError) as error:
            raise UsageError(f"{path}: {explain(error)}: run the experiment again") from error

    @property
    def name(self) -> str:
        """The point's name in its experiment."""
        return self.record.name

    @property
    def scores(self) -> Mapping[str, ScoreEntry]:
        """Scores by name: `value`, `se`, `low` and `high` (95 % interval), and `delta`, the paired difference."""
        return self.record.scores

    @property
    def schedule(self) -> Schedule | None:
        """Which site was computed at which evaluation; None where the method decided at run time, or never ran.

        Raises UsageError where the recorded bits are no schedule.
        """
        recorded = self.record.schedule
        if recorded is None:
            return None
        computed = tuple(tuple(bit == "1" for bit in bits) for bits in recorded.rows)
        try:
            return Schedule(recorded.sites, recorded.kinds, computed, recorded.meta)
        except ValueError as error:
            raise UsageError(f"{self._where}: its schedule is none ({explain(error)})") from error

    @property
    def curves(self) -> ErrorCurves | None:
        """The error curves that the method was planned on; None where it needs none.

        Raises UsageError where their file is damaged or not in this copy, or holds others than were recorded.
        """
        calibration = self.record.calibration
        if calibration is None or not calibration.holds_curves:
            return None
        path = self.folder / calibration.file
        if not path.is_file():
            raise UsageError(f"{self._where}: {calibration.file} is not in this copy of the results")
        try:
            curves = ErrorCurves.load(path)
        except ValueError as error:
            raise UsageError(f"{self._where}: {explain(error)}") from error
        if curves.digest() != calibration.digest:
            raise UsageError(f"{self._where}: {calibration.file} holds other curves than it was planned on")
        return curves

    @property
    def previews(self) -> dict[int, Path]:
        """Files of the first samples by seed; empty where the folder has none."""
        files = sorted((self.folder / "previews" / self.record.sample_id).glob("[0-9]*.*"))
        return {int(path.stem): path for path in files if path.stem.isdecimal()}

    @property
    def policy(self) -> Policy | PlansOnBatch | DynamicPolicy:
        """The caching method, built by the class that has its recorded name today, wherever that class lies.

        Raises UsageError where no class has the name, the class has another version than was recorded, or a file
        that the method reads has another content.
        """
        return rebuilt_policy(self.record, self._where, self.folder)

    def rebuild(self, device: str = "cpu") -> Rebuilt:
        """Build the point's model and solver again, to draw its samples anew.

        Args: device, `cpu` or `cuda`. Raises UsageError where a class or the model's weights are not here.
        """
        return rebuilt(self.record, self._where, device)

    @property
    def _where(self) -> str:
        return f"{self.folder}: {self.name}"
