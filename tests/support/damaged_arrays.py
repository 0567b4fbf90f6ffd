"""Array files that are cut, changed or something else altogether, for hypothesis."""

import io
import zipfile

from hypothesis import HealthCheck
from hypothesis import settings as effort
from hypothesis import strategies as st

SOME = effort(
    deadline=None, derandomize=True, database=None, max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
SEEDS = range(7, 11)


def foreign(method: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    """An archive whose members are whatever they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


@st.composite
def broken(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes cut, with some replaced, or others altogether."""
    kind = draw(st.sampled_from(["cut", "flip", "other", "member"]))
    if kind == "cut":
        return data[: draw(st.integers(0, len(data) - 1))]
    if kind == "flip":
        damaged = bytearray(data)
        for place in draw(st.lists(st.integers(0, len(data) - 1), min_size=1, max_size=4)):
            damaged[place] ^= draw(st.integers(1, 255))
        return bytes(damaged)
    if kind == "member":
        return foreign(rows=draw(st.binary(max_size=40)), seeds=b"\x93NUMPY" + draw(st.binary(max_size=40)))
    return draw(st.sampled_from([b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x80\x04"])) + draw(st.binary())
