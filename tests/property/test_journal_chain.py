"""Laws of the journal: what is written is read; no damage goes unnoticed or crashes a reader."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.journal import JournalError, JournalWriter, Seal, read, verify
from bench.kinds import KINDS

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
DATA = st.dictionaries(st.text(max_size=8), JSON, max_size=4)
EVENTS = st.lists(
    st.tuples(st.sampled_from(["pacs", "ris", "山"]), st.sampled_from(sorted(KINDS)), DATA), max_size=8
)


def build(path: Path, events: list[tuple[str, str, dict[str, Any]]]) -> Seal:
    numbers: dict[str, int] = {}
    with JournalWriter(path, {"cell": "x"}) as writer:
        for t, (src, kind, data) in enumerate(events):
            numbers[src] = numbers.get(src, 0) + 1
            writer.append(src, numbers[src], t, kind, data)
        return writer.close()


@settings(max_examples=100, deadline=None)
@given(EVENTS)
def test_round_trip(events: list[tuple[str, str, dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "j")
        seal = build(path, events)
        assert [(e.src, e.kind, e.data) for e in read(path)] == events
        assert verify(path, seal).ok


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_change_of_a_byte_is_noticed(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "j")
        seal = build(path, [("pacs", "bench.note", {"message": f"n{i}"}) for i in range(4)])
        content = bytearray(path.read_bytes())
        end = content.rindex(b'{"seal"')
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
        path.write_bytes(content)
        # The seal is the end of the chain: nothing follows that could tell, and nothing hangs on it.
        if at < end:
            assert not verify(path, seal).ok


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_cut_is_noticed(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "j")
        seal = build(path, [("pacs", "bench.note", {"message": f"n{i}"}) for i in range(4)])
        content = path.read_bytes()
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        report = verify(path, seal)
        assert not report.ok
        try:
            assert [event.n for event in read(path)] == list(range(1, report.events + 1))
        except JournalError:
            assert report.events == 0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "j")
        good = b'{"format":"modality-bench/journal","version":1,"meta":{},"prev":""}\n'
        for prefix in (b"", good):
            path.write_bytes(prefix + content)
            verify(path)
            try:
                list(read(path))
            except JournalError:
                pass
            try:
                list(read(path, lenient=True))
            except JournalError:
                assert prefix == b""
