"""Record what sites give while the calibration batch is sampled."""

from collections.abc import Sequence
from typing import Any

from smoothbench.caching.probes import Probe
from smoothbench.caching.recording import RecordingRuns
from smoothbench.caching.site_wraps import Observer
from smoothbench.caching.sites import Site


class RecordsOutputs(Observer):
    """Records what sites give."""

    def __init__(self, recorder: RecordingRuns, sites: Sequence[Site]) -> None:
        super().__init__()
        self._recorder, self._sites = recorder, sites

    def keep(self, i: int, output: Any) -> None:
        """Record what site `i` gave."""
        super().keep(i, output)
        self._recorder.add(Probe(self._sites[i].name), output)
