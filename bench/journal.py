"""The journal: everything that happened in a cell, one JSON object per line.

Rules of this file:

* A journal is only ever appended to, by one writer.  The first line is a header, the last one (when the cell
  ended properly) a seal, every other line an event.
* Every line holds in ``prev`` the SHA-256 of the line before it (its bytes without the newline), the header
  holds ``""``. An edited, removed or inserted line breaks the chain; a missing seal shows that the tail is
  gone or was never written.  This is proof against accidents, not against a forger, who can compute the chain
  anew.
* A line is handed to the operating system before ``append`` returns: a killed process loses at most the line
  that it was writing.  ``close`` also asks the system to put the file on the disc.
* Sources number their events from 1.  A hole in the numbers is a lost event, which makes a cell ERROR.  A
  source that is started again takes a new name (``pacs#2``).
* Event kinds are a closed list (:mod:`bench.kinds`).  The writer refuses others; the reader does not, since
  it must read the journals of later versions.
* Reading and verifying need no bench and no Linux.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from bench.clocks import ClockMap, ClockPair, WallTime, read_clock_pair
from bench.kinds import KINDS

__all__ = [
    "FORMAT",
    "MAX_LINE",
    "VERSION",
    "ChainProblem",
    "ChainReport",
    "ClockMap",
    "ClockPair",
    "Event",
    "JournalError",
    "JournalWriter",
    "Reader",
    "Seal",
    "WallTime",
    "read",
    "read_clock_pair",
    "verify",
]

FORMAT: Final = "modality-bench/journal"
VERSION: Final = 1
"""Written into the header; raised only when an old reader would misunderstand a new journal."""

MAX_LINE: Final = 16 * 1024 * 1024
"""Longest line in bytes that is read: a damaged file must not fill the memory."""


class JournalError(Exception):
    """A journal cannot be written as asked, or what is read is none."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: ``t`` is CLOCK_MONOTONIC (ns) at the source, ``n`` its count there from 1."""

    seq: int
    t: int
    src: str
    n: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seal:
    """How a closed journal ended: number of events and SHA-256 (hex) of the last event's line."""

    events: int
    last: str


@dataclass(slots=True)
class _Numbers:
    """Follow the numbers of one source."""

    expected: int = 1
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def see(self, n: int) -> bool:
        """Take the next number; return whether it is neither repeated nor behind."""
        if n < self.expected:
            return False
        if n > self.expected:
            self.gaps.append((self.expected, n - 1))
        self.expected = n + 1
        return True


_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
).encode
_encode_ascii = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False).encode


def _line(value: Mapping[str, Any]) -> bytes:
    """Encode one line without its newline; lone surrogates (a peer's bytes) are kept as escapes."""
    try:
        try:
            return _encode(value).encode()
        except UnicodeEncodeError:
            return _encode_ascii(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise JournalError(f"not JSON: {error}") from error


class JournalWriter:
    """Writes one journal; safe to use from several threads.

    Raises:
        JournalError: the file exists already.
    """

    def __init__(self, path: str | os.PathLike[str], meta: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._seq = 0
        self._numbers: dict[str, _Numbers] = {}
        header = _line({"format": FORMAT, "version": VERSION, "meta": dict(meta), "prev": ""})
        try:
            # O_APPEND and no buffer: what append() returned from survives the death of this process.
            self._file: BinaryIO | None = open(self.path, "xb", buffering=0)  # noqa: SIM115
        except FileExistsError as error:
            raise JournalError(
                f"{self.path.name} exists already; a journal is never written twice"
            ) from error
        self._prev = ""
        self._write(header)

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        rest = memoryview(line + b"\n")
        while rest:
            rest = rest[self._file.write(rest) :]
        self._prev = hashlib.sha256(line).hexdigest()

    def append(self, src: str, n: int, t: int, kind: str, data: Mapping[str, Any]) -> Event:
        """Write one event and return it with its number in the journal.

        Raises:
            JournalError: the kind is not in :data:`bench.kinds.KINDS`, the data are not JSON (NaN is not), a
            number is
                repeated, or the journal is closed.  Nothing was written then.
        """
        if kind not in KINDS:
            raise JournalError(f"unknown event kind {kind!r} from {src!r}; add it to bench/kinds.py")
        with self._lock:
            if self._file is None:
                raise JournalError(f"{self.path.name} is closed; {kind} from {src!r} came too late")
            event = Event(self._seq + 1, t, src, n, kind, dict(data))
            line = _line(
                {
                    "seq": event.seq,
                    "t": t,
                    "src": src,
                    "n": n,
                    "kind": kind,
                    "data": event.data,
                    "prev": self._prev,
                }
            )
            if len(line) > MAX_LINE:
                raise JournalError(
                    f"{kind} from {src!r} has {len(line)} bytes; big values belong into attachments"
                )
            numbers = self._numbers.setdefault(src, _Numbers())
            if not numbers.see(n):
                raise JournalError(
                    f"number {n} of {src!r} was used before; a restarted source takes a new name"
                )
            self._write(line)
            self._seq = event.seq
        return event

    def source(self, name: str, clock: Callable[[], int] = time.monotonic_ns) -> Callable[..., None]:
        """Return an ``emit(kind, /, **data)`` for a source inside this process: it stamps and numbers by
        itself.
        """
        lock = threading.Lock()
        count = 0

        def emit(kind: str, /, **data: Any) -> None:
            nonlocal count
            t = clock()
            with lock:
                self.append(name, count + 1, t, kind, data)
                count += 1

        return emit

    @property
    def gaps(self) -> dict[str, list[tuple[int, int]]]:
        """Missing numbers per source so far, as (first, last); each is a fault of the bench."""
        with self._lock:
            return {src: list(numbers.gaps) for src, numbers in self._numbers.items() if numbers.gaps}

    def close(self) -> Seal:
        """Write the seal and put the file on the disc; idempotent."""
        with self._lock:
            if self._file is not None:
                self._seal = Seal(self._seq, self._prev)
                self._write(_line({"seal": {"events": self._seq}, "prev": self._prev}))
                try:
                    os.fsync(self._file.fileno())
                finally:
                    self._file.close()
                    self._file = None
            return self._seal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (line number, bytes without newline, whole); a line over :data:`MAX_LINE` comes shortened, as not
    whole.
    """
    number = 0
    while raw := file.readline(MAX_LINE + 1):
        number += 1
        if raw.endswith(b"\n"):
            yield number, raw[:-1], True
            continue
        yield number, raw, False
        while raw and not raw.endswith(b"\n"):  # the rest of a line that is too long
            raw = file.readline(MAX_LINE)


def _event(value: Any) -> Event | None:
    """Return the event that a line's JSON value states, None when it is none."""
    match value:
        case {
            "seq": int(seq),
            "t": int(t),
            "src": str(src),
            "n": int(n),
            "kind": str(kind),
            "data": dict(data),
        }:
            return Event(seq, t, src, n, kind, data)
    return None


def _parse(line: bytes) -> Any:
    """Return the JSON value of a line, None when it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


class Reader(Iterator[Event]):
    """Streams the events of a journal; ``cut`` and ``sealed`` are known when it is exhausted."""

    def __init__(self, path: str | os.PathLike[str], lenient: bool = False) -> None:
        self.path = Path(path)
        self.lenient = lenient
        self.cut: str | None = None
        """A sentence about a last line that was cut off, else None."""
        self.sealed = False
        self.damaged: list[int] = []
        """Line numbers that were skipped (only when lenient)."""
        self._file = open(self.path, "rb")  # noqa: SIM115
        self._source = _lines(self._file)
        self.meta: dict[str, Any] = {}
        self.version = 0
        try:
            _, line, whole = next(self._source, (1, b"", True))
            match _parse(line):
                case {"format": "modality-bench/journal", "version": int(version), "meta": dict(meta)} if (
                    whole
                ):
                    self.version, self.meta = version, meta
                case _:
                    raise JournalError(f"{self.path.name} is not a journal: its first line is no header")
            if self.version > VERSION:
                raise JournalError(
                    f"{self.path.name} has format version {self.version}; this program reads up to {VERSION}"
                )
        except BaseException:
            self._file.close()
            raise

    def __next__(self) -> Event:
        for number, line, whole in self._source:
            value = _parse(line)
            event = _event(value) if whole else None
            if event is not None:
                return event
            if whole and isinstance(value, dict) and "seal" in value:
                self.sealed = True
                continue
            if not whole and len(line) <= MAX_LINE:
                self.cut = (
                    f"line {number} is cut off after {len(line)} bytes: the writer ended while writing it"
                )
                break
            if not self.lenient:
                self._file.close()
                raise JournalError(f"{self.path.name}:{number}: not an event")
            self.damaged.append(number)
        self._file.close()
        raise StopIteration

    def close(self) -> None:
        """Stop reading before the end."""
        self._file.close()


def read(path: str | os.PathLike[str], lenient: bool = False) -> Reader:
    """Stream the events of a journal in the order of writing.

    A last line without its newline (the writer was killed) ends the stream and is told in ``Reader.cut``.

    Raises:
        JournalError: no journal, a later format version, or (while iterating, unless ``lenient``) a damaged
        line. OSError: the file cannot be read.
    """
    return Reader(path, lenient)


@dataclass(frozen=True, slots=True)
class ChainProblem:
    """One thing that is wrong with a journal: ``what`` is a word for programs, ``message`` a sentence for
    people.
    """

    line: int
    what: str
    message: str


@dataclass(frozen=True)
class ChainReport:
    """What :func:`verify` found.  ``missing``: lost events per source, as (first, last) of their numbers."""

    events: int
    sealed: bool
    last: str
    problems: tuple[ChainProblem, ...]
    missing: Mapping[str, tuple[tuple[int, int], ...]]

    @property
    def ok(self) -> bool:
        """Tell whether the journal is whole, unedited, closed, and misses nothing."""
        return not self.problems


def verify(path: str | os.PathLike[str], seal: Seal | None = None) -> ChainReport:
    """Check chain, numbers, end and, when given, the seal that was kept elsewhere (cell.json).

    Problems are ``header``, ``cut`` (half a last line), ``damaged`` (no event), ``chain`` (an edited, removed
    or inserted line before this one), ``order`` (journal number), ``missing`` and ``repeated`` (source
    numbers), ``unsealed`` (the tail is gone or the writer was killed), ``after-seal``, ``seal`` (not the
    journal that was sealed).

    Raises:
        OSError: the file cannot be read.
    """
    problems: list[ChainProblem] = []
    sources: dict[str, _Numbers] = {}
    events = seq = number = 0
    prev = last = ""
    sealed = False

    def problem(what: str, message: str) -> None:
        problems.append(ChainProblem(number, what, message))

    with open(path, "rb") as file:
        for number, line, whole in _lines(file):
            value = _parse(line)
            if number == 1:
                last = prev = hashlib.sha256(line).hexdigest()
                if not (whole and isinstance(value, dict) and value.get("format") == FORMAT):
                    problem("header", "the first line is no header of a journal")
                continue
            if sealed:
                problem("after-seal", "a line follows the seal")
            if not whole:
                problem(
                    "cut", f"the line is cut off after {len(line)} bytes: the writer ended while writing it"
                )
                continue
            if not isinstance(value, dict) or value.get("prev") != prev:
                problem(
                    "chain",
                    "this line does not follow the line before it: a line was edited, removed or inserted",
                )
            prev = hashlib.sha256(line).hexdigest()
            if isinstance(value, dict) and isinstance(value.get("seal"), dict):
                sealed = True
                if value["seal"].get("events") != events:
                    problem(
                        "seal",
                        f"the seal counts {value['seal'].get('events')} events, the file holds {events}",
                    )
                continue
            event = _event(value)
            if event is None:
                problem("damaged", "the line is not an event")
                continue
            events += 1
            last = prev
            if event.seq != seq + 1:
                problem("order", f"event {event.seq} follows event {seq}")
            seq = event.seq
            numbers = sources.setdefault(event.src, _Numbers())
            before = len(numbers.gaps)
            if not numbers.see(event.n):
                problem("repeated", f"number {event.n} of {event.src!r} appears again")
            for first, final in numbers.gaps[before:]:
                problem("missing", f"events {first} to {final} of {event.src!r} are missing")
    if number == 0:
        problem("header", "the file is empty")
    if not sealed:
        problem("unsealed", "the journal was not closed: its writer was killed, or its tail is gone")
    if seal is not None and (events, last) != (seal.events, seal.last):
        problem("seal", f"{seal.events} events were sealed and {events} are here, or the last one is another")
    missing = {src: tuple(numbers.gaps) for src, numbers in sources.items() if numbers.gaps}
    return ChainReport(events, sealed, last, tuple(problems), missing)
