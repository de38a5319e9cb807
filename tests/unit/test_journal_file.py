"""The journal: what is written, what survives, and what verify sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.clocks import ClockError
from bench.journal import (
    ChainReport,
    ClockMap,
    ClockPair,
    Event,
    JournalError,
    JournalWriter,
    Seal,
    read,
    read_clock_pair,
    verify,
)


def write(path: Path, count: int = 5) -> Seal:
    writer = JournalWriter(path, {"cell": "a"})
    for n in range(1, count + 1):
        writer.append("pacs", n, 1000 * n, "bench.note", {"message": f"note {n}"})
    return writer.close()


def edit(path: Path, change: Callable[[list[bytes]], object]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))


def whats(report: ChainReport) -> list[str]:
    return [problem.what for problem in report.problems]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with JournalWriter(path, {"cell": "one", "seed": 7}) as writer:
        first = writer.append("ris", 1, 10, "ris.queried", {"matches": 1, "calling": "山田"})
        writer.append("pacs", 1, 11, "pacs.stored", {"sop_instance": "1.2.3"})
    reader = read(path)
    events = list(reader)
    assert reader.meta == {"cell": "one", "seed": 7}
    assert events == [first, Event(2, 11, "pacs", 1, "pacs.stored", {"sop_instance": "1.2.3"})]
    assert reader.sealed
    assert reader.cut is None
    assert "山田" in path.read_text(encoding="utf-8")


def test_whole_journal_verifies_against_its_seal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    seal = write(path)
    report = verify(path, seal)
    assert report.ok
    assert (report.events, report.last) == (5, seal.last)


@pytest.mark.parametrize("kind", ["pacs.unheard_of", "", "PACS.STORED"])
def test_unknown_kind_is_refused_and_not_written(tmp_path: Path, kind: str) -> None:
    with JournalWriter(tmp_path / "j", {}) as writer:
        with pytest.raises(JournalError, match="unknown event kind"):
            writer.append("x", 1, 1, kind, {})
        writer.append("x", 1, 1, "bench.note", {})
    assert verify(tmp_path / "j").events == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1, 2}, object()])
def test_what_is_not_json_is_refused(tmp_path: Path, value: object) -> None:
    with JournalWriter(tmp_path / "j", {}) as writer:
        with pytest.raises(JournalError, match="not JSON"):
            writer.append("x", 1, 1, "bench.note", {"value": value})
        assert writer.append("x", 1, 1, "bench.note", {}).seq == 1
    assert verify(tmp_path / "j").ok


def test_lone_surrogates_and_line_separators_survive(tmp_path: Path) -> None:
    data = {"name": "\ud800x", "text": "a\u2028b\nc\x00"}
    with JournalWriter(tmp_path / "j", {}) as writer:
        writer.append("x", 1, 1, "bench.note", data)
    assert [event.data for event in read(tmp_path / "j")] == [data]
    assert verify(tmp_path / "j").ok


def test_existing_journal_is_never_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "j")
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(JournalError, match="exists already"):
        JournalWriter(tmp_path / "j", {})
    assert (tmp_path / "j").read_bytes() == before


def test_closed_journal_refuses_and_closes_twice(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "j", {})
    assert writer.close() == writer.close()
    with pytest.raises(JournalError, match="closed"):
        writer.append("x", 1, 1, "bench.note", {})


def test_repeated_source_number_is_refused_by_the_writer(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "j", {}) as writer:
        writer.append("x", 1, 1, "bench.note", {})
        with pytest.raises(JournalError, match="used before"):
            writer.append("x", 1, 2, "bench.note", {})


def test_missing_source_numbers_are_named(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "j", {}) as writer:
        for n in (1, 2, 5, 6, 8):
            writer.append("pacs", n, n, "bench.note", {})
        writer.append("ris", 2, 9, "bench.note", {})
        assert writer.gaps == {"pacs": [(3, 4), (7, 7)], "ris": [(1, 1)]}
    report = verify(tmp_path / "j")
    assert report.missing == {"pacs": ((3, 4), (7, 7)), "ris": ((1, 1),)}
    assert whats(report) == ["missing"] * 3


def test_edited_line_is_found(tmp_path: Path) -> None:
    write(tmp_path / "j")

    def forge(lines: list[bytes]) -> None:
        lines[3] = lines[3].replace(b"note 3", b"note 9")

    edit(tmp_path / "j", forge)
    report = verify(tmp_path / "j")
    assert [(p.line, p.what) for p in report.problems] == [(5, "chain")]


def test_removed_and_swapped_lines_are_found(tmp_path: Path) -> None:
    write(tmp_path / "removed")
    edit(tmp_path / "removed", lambda lines: lines.pop(2))
    assert {"chain", "order", "missing", "seal"} <= set(whats(verify(tmp_path / "removed")))
    write(tmp_path / "swapped")

    def swap(lines: list[bytes]) -> None:
        lines[2], lines[3] = lines[3], lines[2]

    edit(tmp_path / "swapped", swap)
    assert {"chain", "order"} <= set(whats(verify(tmp_path / "swapped")))


def test_truncated_tail_is_found(tmp_path: Path) -> None:
    seal = write(tmp_path / "j")
    edit(tmp_path / "j", lambda lines: lines.__delitem__(slice(-2, None)))
    assert whats(verify(tmp_path / "j")) == ["unsealed"]
    assert whats(verify(tmp_path / "j", seal)) == ["unsealed", "seal"]


def test_rewritten_journal_does_not_match_the_seal_kept_elsewhere(tmp_path: Path) -> None:
    seal = write(tmp_path / "a", 5)
    write(tmp_path / "b", 4)
    assert whats(verify(tmp_path / "b", seal)) == ["seal"]


def test_lines_after_the_seal_are_found(tmp_path: Path) -> None:
    write(tmp_path / "j")
    edit(tmp_path / "j", lambda lines: lines.append(lines[1]))
    assert "after-seal" in whats(verify(tmp_path / "j"))


@pytest.mark.parametrize("keep", [1, 30, 100])
def test_cut_last_line_is_told_and_the_rest_is_read(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "j"
    write(path)
    lines = path.read_bytes().splitlines(keepends=True)[:-1]
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:keep])
    reader = read(path)
    assert len(list(reader)) == 4
    assert reader.cut is not None
    assert "line 6 is cut off" in reader.cut
    assert whats(verify(path)) == ["cut", "unsealed"]


def test_damaged_line_raises_or_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "j")

    def damage(lines: list[bytes]) -> None:
        lines[3] = b"\xff\xfe{not json\n"

    edit(tmp_path / "j", damage)
    with pytest.raises(JournalError, match="j:4"):
        list(read(tmp_path / "j"))
    reader = read(tmp_path / "j", lenient=True)
    assert [event.seq for event in reader] == [1, 2, 4, 5]
    assert reader.damaged == [4]
    assert "damaged" in whats(verify(tmp_path / "j"))


@pytest.mark.parametrize(
    "content", [b"", b"{}\n", b"\x00" * 100, b'{"format":"modality-bench/journal"}\n', b"[" * 9999]
)
def test_what_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    with pytest.raises(JournalError, match="not a journal"):
        read(tmp_path / "j")
    assert "unsealed" in whats(verify(tmp_path / "j"))


def test_journal_of_a_later_format_is_refused(tmp_path: Path) -> None:
    header = {"format": "modality-bench/journal", "version": 99, "meta": {}, "prev": ""}
    (tmp_path / "j").write_text(json.dumps(header) + "\n")
    with pytest.raises(JournalError, match="version 99"):
        read(tmp_path / "j")


def test_source_stamps_and_numbers_from_many_threads(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "j", {}) as writer:
        emit = writer.source("runner")
        barrier = threading.Barrier(4)

        def work() -> None:
            barrier.wait(60)
            for _ in range(100):
                emit("bench.note", message="x")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    report = verify(tmp_path / "j")
    assert report.ok
    assert report.events == 400


def test_source_keeps_its_numbers_whole_when_an_event_is_refused(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "j", {}) as writer:
        emit = writer.source("runner", clock=lambda: 5)
        with pytest.raises(JournalError):
            emit("no.such")
        emit("bench.note")
    assert [(event.n, event.t) for event in read(tmp_path / "j")] == [(1, 5)]


def test_kill_loses_at_most_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    code = textwrap.dedent(
        """
        import sys
        from bench.journal import JournalWriter
        writer = JournalWriter(sys.argv[1], {})
        n = 0
        while True:
            n += 1
            writer.append("x", n, n, "bench.note", {"message": "m" * 200})
            if n % 100 == 0:
                print(n, flush=True)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        told = 0
        for _ in range(5):
            told = int(process.stdout.readline())
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        process.stdout.close()  # type: ignore[union-attr]
    events = list(read(path))
    assert len(events) >= told
    assert [event.n for event in events] == list(range(1, len(events) + 1))
    assert set(whats(verify(path))) <= {"cut", "unsealed"}


def test_clock_pair_reads_both_clocks() -> None:
    pair = min(
        (read_clock_pair() for _ in range(20)), key=lambda pair: pair.uncertainty
    )  # one may be disturbed
    assert 0 < pair.uncertainty < 50_000_000
    assert pair.to_data() == {"mono": pair.mono, "real": pair.real, "uncertainty": pair.uncertainty}


def test_clock_map_interpolates_and_states_its_uncertainty() -> None:
    clocks = ClockMap([ClockPair(2_000_000_000, 1_002_000_000_100, 50), ClockPair(0, 1_000_000_000_000, 20)])
    between = clocks.wall(1_000_000_000)
    assert between.ns == 1_001_000_000_050
    assert between.uncertainty == 50 + 100
    after = clocks.wall(3_000_000_000)
    assert after.ns == 1_003_000_000_100
    assert after.uncertainty == 50 + 100_000
    assert clocks.wall(-1_000_000_000).ns == 999_000_000_000
    assert clocks.steps == []


def test_clock_step_is_seen_and_widens_the_uncertainty() -> None:
    second = 1_000_000_000
    clocks = ClockMap([ClockPair(0, 0), ClockPair(second, second), ClockPair(2 * second, 3 * second)])
    assert clocks.steps == [(2 * second, second)]
    assert clocks.wall(3 * second // 2).uncertainty >= second
    assert clocks.wall(second // 2).uncertainty < 10_000


def test_clock_map_from_events_ignores_what_is_no_pair() -> None:
    events = [
        Event(1, 0, "runner", 1, "clock.pair", {"mono": 0, "real": 1_700_000_000_000_000_000}),
        Event(2, 0, "runner", 2, "clock.pair", {"mono": "x"}),
        Event(3, 0, "runner", 3, "bench.note", {"mono": 9, "real": 9}),
    ]
    assert ClockMap.from_events(events).iso(1_500_000_000) == "2023-11-14T22:13:21.500Z"
    with pytest.raises(ClockError, match="unknown"):
        ClockMap([]).wall(0)
