"""Records as typed objects: read and written without loss, and refused with one line that names the field."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import jsonschema
import pytest

from smoothbench.papers import row
from smoothbench.report.data.frame import load
from smoothbench.storage.files import load_json, read_bytes, write_json
from smoothbench.storage.latency_file import Latency
from smoothbench.storage.record import Record
from smoothbench.storage.record_schema import FILE, record_schema, schema_text
from smoothbench.storage.results_folder import Store
from smoothbench.storage.typed_json import Stored, json_types, members
from tests.support.report_folder import CALIBRATION, record

RESULTS = Path(__file__).parents[3] / "results"
PUBLISHED = sorted(RESULTS.rglob("records/*.json.gz"))
PART = {"name": "fora", "version": 1, "parameters": {"interval": 3}, "digest": "ab"}
OTHER = {"class": "Mine", "source": "cafe", "kind": "mine"}
WRONG: tuple[Any, ...] = ("x", 7, 0.5, True, [], {}, None)
Place = tuple[str | int, ...]


def whole() -> dict[str, Any]:
    """A record with every field that there is."""
    content = record(13, 256, (0, 256))
    scores = {"fd_nano@256": content["scores"]["fd_nano@256"] | {"metric": {"name": "fd", "version": 1}}}
    scores |= {"psnr@256": content["scores"]["psnr@256"] | {"metric": {"class": "P", "source": "beef"}}}
    scores["psnr@256"] |= {"blocks": [24.5, 25.0], "flag": "few samples"}
    paper = {"scope": "pipeline", "rows": 2, "tmacs": 1.5, "tmacs_explained": 1, "note": "n"}
    paper |= {"remainder_per_evaluation": 0, "parts": {"vae": {"tmacs": 1.0, "tmacs_with_attention": 1.5}}}
    return content | {
        "same_as": "fora", "parts": ["0", "1"], "seeds": [[0, 100], [100, 256]], "reason": "why not",
        "model": content["model"] | {"prompts_sha256": "11", "fps": 8},
        "numerics": content["numerics"] | {"matmul": "highest"},
        "calibration": CALIBRATION | {"spread": 0.5, "unconditional": False},
        "budget": {
            "at": 0.4, "knob": "alpha", "setting": 0.1, "expected": 0.39, "realised": 0.38, "search": {"runs": 2},
        },
        "schedule": content["schedule"] | {"meta": {"alpha": 0.1}}, "planned": "calibrated",
        "reported": row("chebbooster/1/chebbooster-n3-h3").to_json() | {"note": "n"},
        "captions": {"3": "a bell"}, "scores": scores,
        "cost": content["cost"] | {"paper": paper, "batches_halved": 1},
        "described": {"model": OTHER, "solver": PART, "predictor": PART, "policy": PART},
        "code": {"policy": {"version": 1, "source": "cafe"}}, "batch_size": 8, "formerly": "0",
    }  # fmt: skip


def places(hint: Any, value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value with a type inside JSON of this type, and the type."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        fits = [each for each in get_args(hint) if isinstance(value, json_types(each))]
        yield from (place for place in places(fits[0], value, at) if place[0] != at)
        yield at, hint
        return
    if hint is not object and at:
        yield at, hint
    inside: list[tuple[str | int, Any]] = []
    if isinstance(hint, type) and issubclass(hint, Stored):
        inside = [(member.key, member.hint) for member in members(hint) if member.key in value]
    elif get_origin(hint) is Mapping:
        inside = [(key, get_args(hint)[1]) for key in value]
    elif get_origin(hint) is tuple:
        inside = [(0, get_args(hint)[0])] if value else []
    for key, of in inside:
        yield from places(of, value[key], (*at, key))


def allowed(hint: Any) -> tuple[type, ...]:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return tuple(kind for each in options for kind in json_types(each))


def damaged(place: Place, hint: Any) -> dict[str, Any]:
    """The whole record with a value of a wrong type in one place."""
    wrong = next(each for each in WRONG if type(each) not in allowed(hint))
    content = json.loads(json.dumps(whole()))
    inner: Any = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = wrong
    return content


def named(place: Place) -> str:
    return ".".join(map(str, place))


TYPED = list(places(Record, whole()))


def test_the_record_of_these_tests_has_every_field() -> None:
    places = {place for place, _ in TYPED}
    kinds = [Record, *_classes(Record)]
    reached = {key for place in places for key in place}
    assert {member.key for kind in kinds for member in members(kind)} - {"meta", "parameters"} <= reached | {
        "config", "provenance"
    }  # fmt: skip
    assert len(TYPED) > 120 and Record.from_json(whole()).to_json() == whole()


def _classes(hint: Any) -> set[Any]:
    if isinstance(hint, type) and issubclass(hint, Stored):
        inner = [member.hint for member in members(hint)]
        return {hint}.union(*map(_classes, inner))
    return set[Any]().union(*map(_classes, get_args(hint)))


@pytest.mark.parametrize(("place", "hint"), TYPED, ids=[named(place) for place, _ in TYPED])
def test_a_value_of_a_wrong_type_is_one_line_that_names_file_and_field(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: Place, hint: Any
) -> None:
    content = damaged(place, hint)
    path = Store(tmp_path).record_path(whole()["name"], whole()["point_id"])
    write_json(path, content)
    assert Store(tmp_path).records() == []
    (line,) = [
        each.getMessage() for each in caplog.records if each.name == "smoothbench.storage.results_folder"
    ]
    assert str(path) in line and f"its {named(place)} " in line and "\n" not in line
    with pytest.raises(ValueError) as error:
        load(tmp_path)
    assert f"records/{path.name}: its {named(place)} " in str(error.value) and "\n" not in str(error.value)
    assert not jsonschema.Draft202012Validator(record_schema()).is_valid(content)


REQUIRED = [
    place
    for place, _ in TYPED
    if place[:-1] in {(), ("status",), ("cost",), ("calibration",), ("scores", "psnr@256"), ("reported",)}
    and not isinstance(place[-1], int)
]


@pytest.mark.parametrize("place", REQUIRED, ids=named)
def test_a_missing_field_is_named_unless_it_is_optional(place: Place) -> None:
    content = json.loads(json.dumps(whole()))
    inner: Any = content
    for key in place[:-1]:
        inner = inner[key]
    del inner[place[-1]]
    try:
        record = Record.from_json(content)
    except KeyError as error:
        assert str(error) == repr(named(place))
        assert not jsonschema.Draft202012Validator(record_schema()).is_valid(content)
    else:
        assert record.to_json() == content  # what is absent stays absent
        jsonschema.validate(content, record_schema())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seeds": [[0, 5]]}, "its seeds [[0, 5]] are not 256 samples in rising half-open ranges"),
        ({"seeds": [[0, 256, 257]]}, "its seeds.0 is [0, 256, 257], not 2 values"),
        ({"seeds": []}, "its seeds is empty"),
        ({"cost": None}, "its cost is null, though its status.cost is done"),
        ({"order": 10**400}, "not a finite number"),
        ({"schema": 2}, "its schema is 2, this version reads 3: run it again"),
        ({"status": {"quality": "Done", "cost": "done"}}, "its status.quality is 'Done', not one of done, failed"),
        ({"captions": {"first": "a bell"}}, "its captions name 'first' is not like 12"),
        ({"scores": {"fd": {}}}, "its scores name 'fd' is not like fd_nano@256"),
        ({"schedule": {"sites": ["a"], "kinds": ["ff"], "rows": ["1", "01"]}}, "its schedule has 1 sites and"),
        ({"schedule": {"sites": ["a"], "kinds": ["ff"], "rows": ["x"]}}, "its schedule.rows.0 'x' is not like"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as error:
        Record.from_json(whole() | change)
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, [], "record", 3])
def test_what_is_no_object_is_refused(content: Any) -> None:
    with pytest.raises(ValueError, match=r"its content is .*, not an object"):
        Record.from_json(content)


def test_unknown_keys_stay_where_they_are() -> None:
    content = whole() | {"mine": {"a": [1, None]}}
    content["cost"]["joules"] = 3
    record = replace(Record.from_json(content), label="another")
    assert record.to_json() == content | {"label": "another"}
    assert record.cost is not None and record.cost.others == {"joules": 3}


def test_published_records_are_read_and_written_without_a_change() -> None:
    assert len(PUBLISHED) > 300
    validator = jsonschema.Draft202012Validator(record_schema())
    for path in PUBLISHED:
        content = load_json(path)
        text = json.dumps(Record.from_json(content).to_json(), indent=1, sort_keys=True, allow_nan=False)
        assert text + "\n" == read_bytes(path).decode(), path
        validator.validate(content)


def test_published_latencies_are_read_and_written_without_a_change() -> None:
    paths = sorted(RESULTS.rglob("latency.json"))
    assert paths
    for path in paths:
        content = json.loads(path.read_text())
        assert Latency.from_json(content).to_json() == content, path


def test_the_json_schema_is_that_of_the_types() -> None:
    """After a change of the types: python -m smoothbench.storage.record_schema."""
    assert FILE.read_text(encoding="utf-8") == schema_text()
    jsonschema.Draft202012Validator.check_schema(record_schema())
