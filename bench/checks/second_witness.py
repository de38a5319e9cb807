"""The second witness: tshark counts the DICOM messages of a capture, and the journal must agree.

Rules of this file:

* tshark shares no line with the bench or the SUT.  A disagreement is ERROR: the bench does not know what happened.
* A message is counted when its command is complete: a PDV whose control header says *command* and *last*
  (PS3.8 E.2), in either direction.
* tshark loses PDUs of segments that were captured out of order unless told otherwise; it is always told.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.journal import Event

COMMAND_AND_LAST: Final = 0x03
TIMEOUT_S: Final = 600.0

Connection = tuple[str, int]
"""Address and port of the side that opened the TCP connection."""


class WitnessError(Exception):
    """tshark could not read the capture."""


@dataclass(frozen=True)
class Comparison:
    """What the two witnesses say, connection by connection."""

    journal: Mapping[Connection, int]
    capture: Mapping[Connection, int]

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
        return tuple(found)


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
    decode = [part for port in sorted(set(ports)) for part in ("-d", f"tcp.port=={port},dicom")]
    fields = ("ip.src", "tcp.srcport", "ip.dst", "tcp.dstport", "dicom.pdv.flags")
    command = [
        *("tshark", "-n", "-r", str(capture), "-o", "tcp.reassemble_out_of_order:TRUE", *decode),
        *("-Y", "dicom.pdv.flags", "-T", "fields", "-E", "separator=|", "-E", "occurrence=a"),
        *(part for field in fields for part in ("-e", field)),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WitnessError(f"tshark: {error}") from error
    if done.returncode:
        raise WitnessError(f"tshark ended with status {done.returncode}: {done.stderr.strip()[-200:]}")
    counts: Counter[Connection] = Counter()
    served = set(ports)
    for line in done.stdout.splitlines():
        source, source_port, target, target_port, flags = line.split("|")
        complete = sum(int(flag, 16) == COMMAND_AND_LAST for flag in flags.split(","))
        client = (source, int(source_port)) if int(target_port) in served else (target, int(target_port))
        counts[client] += complete
    return dict(counts)


def compare(events: Sequence[Event], capture: Path) -> Comparison:
    """Count both ways.

    Raises:
        WitnessError: tshark could not count.
    """
    ports = [
        int(endpoint["port"])
        for event in events
        if event.kind == "host.started"
        for endpoint in event.data["endpoints"].values()
        if endpoint.get("ae_title") and endpoint.get("port")
    ]
    return Comparison(count_journal(events), count_capture(capture, ports))
