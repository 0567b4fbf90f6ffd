"""The weights in a schedule's file: readable JSON that says what they were fitted to, checked when it is read."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from smoothbench.caching.input_weights import InputWeights
from smoothbench.caching.predictor import Predictor, Reuse, Weighted, predictor_from
from smoothbench.caching.sites import Site
from smoothbench.caching.weighted_sum import WeightedSum, timesteps_of

FORMS: Mapping[str, type[WeightedSum]] = MappingProxyType({c.name: c for c in (WeightedSum, InputWeights)})
Bits = Sequence[Sequence[bool]]  # of each evaluation, for each site whether it is computed


@runtime_checkable
class SavedWeights(Protocol):
    """A predictor with weights for each evaluation, which a schedule's file can hold as JSON."""

    @property
    def depth(self) -> int: ...

    @property
    def coordinate(self) -> str: ...

    @property
    def evals(self) -> int: ...

    @property
    def digest(self) -> str: ...

    @property
    def timesteps(self) -> Sequence[float] | None: ...

    def bind(self, sites: Sequence[Site], evals: int | None) -> Sequence[Predictor]:
        """Return the predictor of each site; ValueError where the weights are for other sites or evaluations."""
        ...

    def lacking(self, site: str, e: int) -> bool:
        """Whether there are no weights to predict a site's output at an evaluation."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the weights as JSON, with their `form` and the `version` of its arithmetic."""
        ...


def weights_of(
    predictor: str | Predictor,
    sites: Sequence[str],
    computed: Bits,
    timesteps: Sequence[float] | None,
    restarts: Sequence[int] = (),
) -> SavedWeights | None:
    """Return a predictor as the weights that it has along a schedule; None for plain reuse, which needs none.

    At `restarts` what was computed before is forgotten. Raises ValueError for a predictor that has no weights but by a
    run.
    """
    chosen = predictor_from(predictor)
    if isinstance(chosen, SavedWeights):
        return chosen
    if isinstance(chosen, Reuse):
        return None
    if not isinstance(chosen, Weighted):
        raise ValueError(
            f"{type(chosen).__name__} has no weights that a schedule's file could hold: take reuse, taylor1, ..., or "
            "one that is fitted to the schedule"
        )
    if chosen.coordinate == "timestep" and timesteps is None:
        raise ValueError(f"{type(chosen).__name__} works in timesteps, which the schedule does not know")
    columns = {site: [bits[i] for bits in computed] for i, site in enumerate(sites)}
    table = {site: _along(chosen, column, timesteps, restarts) for site, column in columns.items()}
    same = len({str(rows) for rows in table.values()}) == 1
    return WeightedSum({"*": next(iter(table.values()))} if same else table, timesteps)


def weights_from(
    data: Any, sites: Sequence[Site], computed: Bits, timesteps: Sequence[float] | None
) -> SavedWeights:
    """Read weights for a schedule; ValueError, naming both sides, where they are for another one."""
    if not isinstance(data, Mapping):
        raise ValueError("'_weights' must be an object")
    form, version = data.get("form"), data.get("version")
    known = FORMS.get(form) if isinstance(form, str) else None
    if known is None or version != known.version:
        readable = ", ".join(f"{name} {cls.version}" for name, cls in FORMS.items())
        raise ValueError(
            f"its weights are {form!r:.40} of version {version!r:.40}, and {readable} can be read"
        )
    weights: SavedWeights = known.from_json(data)
    weights.bind(sites, len(computed))
    timesteps_of(weights, timesteps)
    refuse_lacking(weights, [site.name for site in sites], computed)
    return weights


def refuse_lacking(weights: SavedWeights, sites: Sequence[str], computed: Bits) -> None:
    """Raise ValueError, naming the first, where a schedule skips a site for which there are no weights."""
    for e, bits in enumerate(computed):
        skipped = (site for site, bit in zip(sites, bits, strict=True) if not bit)
        if bare := next((site for site in skipped if weights.lacking(site, e)), None):
            raise ValueError(f"it skips {bare} at evaluation {e}, for which its weights have none")


def _along(
    predictor: Weighted, column: Sequence[bool], timesteps: Sequence[float] | None, restarts: Sequence[int]
) -> list[list[float]]:
    """The weights of a site's last computed outputs at each evaluation that skips it."""
    by_index = predictor.coordinate == "index" or timesteps is None
    places = [float(e) if by_index or timesteps is None else timesteps[e] for e in range(len(column))]
    past, table = list[float](), list[list[float]]()
    for e, (place, bit) in enumerate(zip(places, column, strict=True)):
        past = [] if e in restarts else past
        table.append([] if bit else list(map(float, predictor.weights(past, place))))
        past = [place, *past][: predictor.depth] if bit else past
    return table
