"""The stream of a cell: what counts as silence, and what the bench itself said went wrong."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.expect import Engine
from bench.journal import JournalWriter, read
from bench.runner.stream import Stream


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Stream]:
    """A stream into a journal of its own."""
    journal = JournalWriter(tmp_path / "journal.jsonl", {})
    running = Stream(journal, Engine(()))
    running.start()
    yield running
    running.close()
    journal.close()


def test_silence_needs_closed_connections(stream: Stream) -> None:
    """An open association may still bring a duplicate; a closed one cannot."""
    stream.say("pacs", "wire.open", assoc=1)
    stream.drain()
    assert not stream.quiesce(0.01, 0.2)
    stream.say("pacs", "wire.close", assoc=1)
    stream.drain()
    assert stream.quiesce(0.01, 5)


def test_a_connection_that_a_pulled_cable_killed_needs_a_longer_silence_only(stream: Stream) -> None:
    """Its end never arrives at the other side; a new one, opened later, has to end as always."""
    stream.say("pacs", "wire.open", assoc=1)
    stream.say("link", "link.pulled", link="pacs")
    stream.drain()
    began = time.monotonic()
    assert stream.quiesce(0.02, 10)
    assert time.monotonic() - began >= 0.3
    stream.say("pacs", "wire.open", assoc=2)
    stream.drain()
    assert not stream.quiesce(0.01, 0.3)


def test_pictures_of_a_stream_do_not_disturb_the_silence(stream: Stream) -> None:
    """A probe sends pictures for ever; a cell comes to rest all the same."""
    stream.say("pacs", "wire.open", assoc=1)
    stream.say("pacs", "wire.close", assoc=1)
    stream.drain()
    before = stream.last_ns
    stream.say("ultrasound", "ultrasound.frame", sequence=1)
    stream.drain()
    assert stream.last_ns == before
    stream.say("ultrasound", "ultrasound.set", by="bench")
    stream.drain()
    assert stream.last_ns > before


def test_an_error_of_a_simulator_is_an_error_of_the_bench(stream: Stream) -> None:
    """A crash in a simulator must never look like the product's fault alone."""
    stream.say("world", "bench.error", where="world", message="ValueError: no")
    stream.drain()
    assert stream.errors == ["world: ValueError: no"]


def test_what_the_journal_refuses_is_seen(stream: Stream, tmp_path: Path) -> None:
    """An unknown kind is no event, and the cell says so."""
    stream.say("pacs", "pacs.flew", assoc=1)
    stream.drain()
    assert any("pacs.flew" in error for error in stream.errors)
    assert not [e for e in read(tmp_path / "journal.jsonl", lenient=True) if e.kind == "pacs.flew"]


@pytest.mark.parametrize(("seconds", "told"), [(0.9, False), (1.0, True), (2.4, True)])
def test_pictures_that_the_bench_holds_up_are_its_own_error(
    stream: Stream, seconds: float, told: bool
) -> None:
    """A product that complains of a stream that stood still is right; the cell is not its failure alone."""
    stream.say("ultrasound", "ultrasound.late", slots=30, seconds=seconds, after=5)
    stream.drain()
    assert any("stood still" in error for error in stream.errors) is told
