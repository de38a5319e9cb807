"""The second witness: tshark counts the PDUs and messages of a capture; journal and witness must agree with it.

Rules of this file:

* tshark shares no line with the bench or the SUT.  A disagreement is ERROR: the bench does not know what happened.
* A message is counted when its command is complete: a PDV whose control header says *command* and *last*
  (PS3.8 E.2), in either direction.
* tshark loses PDUs of segments that were captured out of order unless told otherwise; it is always told.
* Conversations are compared by their pair of endpoints.  Where the capture itself has holes, or bytes that are no
  PDUs, two honest readers may count differently: such a pair is excused, and said to be.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from bench import witness
from bench.journal import Event
from bench.witness import Association, Capture, Endpoint
from bench.witness.problems import PRESENTATION_DATA, UPPER_LAYER

COMMAND_AND_LAST: Final = 0x03
TIMEOUT_S: Final = 600.0

Connection = tuple[str, int]
"""Address and port of the side that opened the TCP connection."""


class WitnessError(Exception):
    """tshark could not read the capture."""


@dataclass(frozen=True)
class Comparison:
    """What journal, tshark and (where it was asked) the bench's witness say, connection by connection."""

    journal: Mapping[Connection, int]
    capture: Mapping[Connection, int]
    witness: Mapping[Connection, int] | None = None

    @property
    def messages(self) -> int:
        """Messages that both have seen (if they agree)."""
        return sum(self.journal.values())

    @property
    def disagreements(self) -> tuple[str, ...]:
        """One sentence for each connection on which they differ."""
        found = []
        for connection in sorted({*self.journal, *self.capture}):
            mine, other = self.journal.get(connection, 0), self.capture.get(connection, 0)
            if mine != other:
                found.append(
                    f"the connection from {connection[0]}:{connection[1]} carried {other} DICOM messages according "
                    f"to tshark, {mine} according to the journal"
                )
        if self.witness is None:
            return tuple(found)
        for connection in sorted({*self.witness, *self.capture}):
            mine, other = self.witness.get(connection, 0), self.capture.get(connection, 0)
            if mine != other:
                found.append(
                    f"the connection from {connection[0]}:{connection[1]} carried {other} DICOM messages according "
                    f"to tshark, {mine} according to the witness"
                )
        return tuple(found)


Pair: TypeAlias = tuple[Endpoint, Endpoint]
"""The two ends of a conversation, the smaller one first."""


class Count(NamedTuple):
    """What was counted between two endpoints; every PDU, and every command that became whole."""

    pdus: int = 0
    messages: int = 0

    def __str__(self) -> str:
        return f"{self.pdus} PDUs and {self.messages} messages"


@dataclass(frozen=True)
class Counts:
    """PDUs and messages of a capture according to the witness and to tshark, by pair of endpoints.

    ``excused``: pairs on which they differ although neither is wrong, with the reason.
    """

    witness: Mapping[Pair, Count]
    tshark: Mapping[Pair, Count]
    doubtful: Mapping[Pair, str] = field(default_factory=dict)

    def _differ(self) -> list[Pair]:
        pairs = sorted({*self.witness, *self.tshark})
        return [p for p in pairs if self.witness.get(p, Count()) != self.tshark.get(p, Count())]

    def _sentence(self, pair: Pair) -> str:
        mine, other = self.witness.get(pair, Count()), self.tshark.get(pair, Count())
        return f"between {pair[0]} and {pair[1]} tshark counts {other}, the witness {mine}"

    @property
    def disagreements(self) -> tuple[str, ...]:
        """One sentence for each pair on which they differ without an excuse; any of them is ERROR."""
        return tuple(self._sentence(pair) for pair in self._differ() if pair not in self.doubtful)

    @property
    def excused(self) -> tuple[str, ...]:
        """One sentence for each pair on which they differ because of what the capture holds."""
        return tuple(
            f"{self._sentence(pair)} ({self.doubtful[pair]})"
            for pair in self._differ()
            if pair in self.doubtful
        )

    @property
    def total(self) -> Count:
        """All that the witness counted."""
        return Count(
            sum(count.pdus for count in self.witness.values()),
            sum(count.messages for count in self.witness.values()),
        )


def pair_of(first: Endpoint, second: Endpoint) -> Pair:
    """The pair of two endpoints."""
    return (first, second) if first <= second else (second, first)


_DOUBT: Final = frozenset((*UPPER_LAYER, *PRESENTATION_DATA)) - {
    *("reserved", "pdu-too-long", "pdv-odd", "pdv-control", "uid-padding", "item-unknown", "item-order"),
    *("item-missing", "context-refused", "context-unknown", "command-field"),
    *("command-dataset-type", "dataset-unannounced", "dataset-missing", "message-cut"),
}
"""Problems with which two readers may go on differently."""


def _doubt(association: Association) -> str | None:
    if not association.whole:
        return f"association {association.number} was not captured whole"
    for problem in association.problems:
        if problem.code in _DOUBT:
            return f"association {association.number}, frame {problem.frame}: {problem.text}"
    return None


def count_witness(capture: Capture) -> tuple[dict[Pair, Count], dict[Pair, str]]:
    """What the witness counted, and which pairs may be counted otherwise with good reason."""
    counts: dict[Pair, Count] = {}
    doubtful: dict[Pair, str] = {}
    for association in capture.associations:
        pair = pair_of(association.requestor, association.acceptor)
        before = counts.get(pair, Count())
        counts[pair] = Count(before.pdus + association.pdu_count, before.messages + len(association.messages))
        doubt = _doubt(association)
        if doubt is not None:
            doubtful.setdefault(pair, doubt)
    return counts, doubtful


def check_capture(capture: Capture, *paths: str | PathLike[str]) -> Counts:
    """Let tshark count what the witness read in ``paths``.

    Raises:
        WitnessError: tshark is missing, fails, or takes too long.
    """
    mine, doubtful = count_witness(capture)
    ports = {association.acceptor.port for association in capture.associations}
    other: dict[Pair, Count] = {}
    for path in paths:
        for pair, count in _tshark(Path(path), ports).items():
            if pair in mine or count.messages:
                before = other.get(pair, Count())
                other[pair] = Count(before.pdus + count.pdus, before.messages + count.messages)
    if len(paths) > 1:
        doubtful = dict.fromkeys(mine, "the capture is in several files") | doubtful
    return Counts(mine, other, doubtful)


def _tshark(capture: Path, ports: Iterable[int]) -> dict[Pair, Count]:
    fields = ("ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport")
    counts: dict[Pair, Count] = {}
    for values in _rows(capture, ports, "dicom", (*fields, "dicom.pdu.type", "dicom.pdv.flags")):
        source4, source6, source_port, target4, target6, target_port, types, flags = values
        if not source_port:
            continue
        pair = pair_of(
            Endpoint((source4 or source6).split(",")[-1], int(source_port.split(",")[-1])),
            Endpoint((target4 or target6).split(",")[-1], int(target_port.split(",")[-1])),
        )
        before = counts.get(pair, Count())
        pdus = len(types.split(",")) if types else 0
        counts[pair] = Count(before.pdus + pdus, before.messages + _complete(flags))
    return counts


def _complete(flags: str) -> int:
    """How many of these message control headers end a command."""
    return sum(int(flag, 16) & COMMAND_AND_LAST == COMMAND_AND_LAST for flag in flags.split(",") if flag)


def _rows(capture: Path, ports: Iterable[int], shown: str, fields: Sequence[str]) -> Iterator[list[str]]:
    """One list of field values for each frame that tshark shows."""
    decode = [part for port in sorted(set(ports)) for part in ("-d", f"tcp.port=={port},dicom")]
    command = [
        *("tshark", "-n", "-r", str(capture), "-o", "tcp.reassemble_out_of_order:TRUE", *decode),
        *("-Y", shown, "-T", "fields", "-E", "separator=|", "-E", "occurrence=a"),
        *(part for name in fields for part in ("-e", name)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WitnessError(f"tshark: {error}") from error
    # tshark ends with 2 after a file that is cut, having shown everything before the cut.
    if done.returncode and "cut short" not in done.stderr:
        raise WitnessError(f"tshark ended with status {done.returncode}: {done.stderr.strip()[-200:]}")
    for line in done.stdout.splitlines():
        values = line.split("|")
        if len(values) == len(fields):
            yield values


def available() -> bool:
    """Tell whether tshark is installed."""
    return shutil.which("tshark") is not None


def count_journal(events: Iterable[Event]) -> dict[Connection, int]:
    """Count the messages of every connection that a simulator accepted."""
    opened: dict[tuple[str, int], Connection] = {}
    counts: dict[Connection, int] = {}
    for event in events:
        if event.kind == "wire.open":
            connection = (str(event.data["peer"]), int(event.data["port"]))
            opened[event.src, event.data["assoc"]] = connection
            counts.setdefault(connection, 0)
        elif event.kind == "wire.message":
            connection = opened.get((event.src, event.data["assoc"]), (event.src, event.data["assoc"]))
            counts[connection] = counts.get(connection, 0) + 1
    return counts


def count_capture(capture: Path, ports: Sequence[int]) -> dict[Connection, int]:
    """Let tshark count the messages of every TCP connection to one of ``ports``.

    Raises:
        WitnessError: tshark is missing, fails, or takes too long.
    """
    counts: Counter[Connection] = Counter()
    served = set(ports)
    fields = ("ip.src", "tcp.srcport", "ip.dst", "tcp.dstport", "dicom.pdv.flags")
    for source, source_port, target, target_port, flags in _rows(capture, ports, "dicom.pdv.flags", fields):
        client = (source, int(source_port)) if int(target_port) in served else (target, int(target_port))
        counts[client] += _complete(flags)
    return dict(counts)


def compare(events: Sequence[Event], capture: Path) -> Comparison:
    """Count in all three ways: the journal of a run, tshark, and the bench's witness.

    Raises:
        WitnessError: tshark or the witness could not count.
    """
    ports = [
        int(endpoint["port"])
        for event in events
        if event.kind == "host.started"
        for endpoint in event.data["endpoints"].values()
        if endpoint.get("ae_title") and endpoint.get("port")
    ]
    seen: Counter[Connection] = Counter()
    try:
        for association in witness.read(capture).associations:
            if association.acceptor.port in ports:
                client = association.requestor
                seen[client.address, client.port] += len(association.messages)
    except witness.NotACapture as error:
        raise WitnessError(str(error)) from error
    return Comparison(count_journal(events), count_capture(capture, ports), dict(seen))
