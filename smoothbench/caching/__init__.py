"""The caching mechanism: sites, schedules, the engine that runs them, calibration and SmoothCache.

It needs nothing but torch. `cached` is the engine, `SmoothCache` the method.
"""

from smoothbench.caching.at_level import AtLevel
from smoothbench.caching.calibration import calibrate
from smoothbench.caching.calibration_batch import CalibrationBatch
from smoothbench.caching.composition import LastComputed, Warmup
from smoothbench.caching.cost import Cost, Macs
from smoothbench.caching.engine import cached
from smoothbench.caching.error_curves import ErrorCurves
from smoothbench.caching.fitted import Fitted
from smoothbench.caching.input_weights import InputWeights
from smoothbench.caching.knobs import HasKnob, Range, Settings
from smoothbench.caching.last_stream import cosine_errors, last_stream
from smoothbench.caching.mac_counter import MacCounter
from smoothbench.caching.policy import Evaluation, Policy
from smoothbench.caching.predictor import Predictor, Reuse, Taylor, Weighted, expansion
from smoothbench.caching.probes import Probe
from smoothbench.caching.recording import Recording
from smoothbench.caching.run import Run
from smoothbench.caching.saved_sites import saved_sites
from smoothbench.caching.schedule import Schedule
from smoothbench.caching.sites import Site, find_sites
from smoothbench.caching.smoothcache import SmoothCache, SmoothCacheAtBudget, alpha_for
from smoothbench.caching.split_spans import split_spans
from smoothbench.caching.state_matching import StateMatching
from smoothbench.caching.trajectory import Trajectory
from smoothbench.caching.two_networks import joined
from smoothbench.caching.weighted_sum import WeightedSum

__all__ = [
    "AtLevel",
    "CalibrationBatch",
    "Cost",
    "ErrorCurves",
    "Evaluation",
    "Fitted",
    "HasKnob",
    "InputWeights",
    "LastComputed",
    "MacCounter",
    "Macs",
    "Policy",
    "Predictor",
    "Probe",
    "Range",
    "Recording",
    "Reuse",
    "Run",
    "Schedule",
    "Settings",
    "Site",
    "SmoothCache",
    "SmoothCacheAtBudget",
    "StateMatching",
    "Taylor",
    "Trajectory",
    "Warmup",
    "Weighted",
    "WeightedSum",
    "alpha_for",
    "cached",
    "calibrate",
    "cosine_errors",
    "expansion",
    "find_sites",
    "joined",
    "last_stream",
    "saved_sites",
    "split_spans",
]
