"""One TCP conversation while it is put together, and what it tells when it is over.

Rules of this file:

* State only: the rules by which segments change it are those of :mod:`bench.witness.tcp`.
* A conversation has two halves, one for each direction; which of them is the requestor's is known by the dialogue.
"""

from __future__ import annotations

from bench.witness.dialogue import Dialogue
from bench.witness.frames import address, reverse
from bench.witness.levels import DEFAULT, Limits
from bench.witness.model import Endpoint, Problem, Side, Tcp
from bench.witness.stream import Stream


class Half:
    """One direction of a conversation; ``stream.end`` bytes of it were delivered, ``next`` comes then."""

    __slots__ = (
        "absent",
        "ack",
        "fast",
        "fin",
        "flow",
        "held",
        "isn",
        "key",
        "largest",
        "last_size",
        "last_time",
        "low_ack",
        "macs",
        "next",
        "other",
        "pending",
        "push",
        "seen",
        "since",
        "stream",
        "synced",
    )

    def __init__(self, flow: Flow, key: bytes, number: int) -> None:
        self.flow = flow
        self.key = key
        self.stream = Stream(flow.dialogue, number)
        self.push = self.stream.push
        self.other: Half = self
        self.synced = False
        self.fast = False
        self.seen = False
        self.absent = False
        """Given up: nobody waits for this direction before its beginning is seen."""
        self.isn: int | None = None
        self.next = 0
        self.ack = 0
        self.low_ack: int | None = None
        # (start, order of arrival, bytes on the wire, data, acknowledged number or -1, frame, time)
        self.pending: list[tuple[int, int, int, bytes, int, int, float]] = []
        self.held = 0
        self.since = 0
        self.fin: int | None = None
        self.last_time = 0.0
        self.last_size = 0
        self.largest = 0
        self.macs: tuple[bytes, bytes] | None = None


class Flow:
    """One conversation."""

    __slots__ = (
        "count",
        "dialogue",
        "fin_time",
        "first_fin",
        "first_frame",
        "first_time",
        "frames",
        "halves",
        "last_frame",
        "last_time",
        "limits",
        "opener",
        "reordered",
        "reset",
        "retransmissions",
        "stalls",
        "stray",
        "syn",
        "zero_windows",
    )

    def __init__(self, key: bytes, frame: int, time: float, limits: Limits = DEFAULT) -> None:
        self.limits = limits
        self.dialogue = Dialogue(self)
        first, second = Half(self, key, 0), Half(self, reverse(key), 1)
        first.other, second.other = second, first
        self.halves = (first, second)
        self.dialogue.streams = (first.stream, second.stream)
        self.first_frame = self.last_frame = frame
        self.first_time = self.last_time = time
        self.frames = self.count = 0
        self.opener: Half | None = None
        self.first_fin: Half | None = None
        self.fin_time = 0.0
        self.reset: Half | None = None
        self.syn = False
        self.zero_windows = self.stalls = self.stray = self.retransmissions = self.reordered = 0

    @property
    def bytes(self) -> int:
        """How many were delivered, of both directions together."""
        return sum(half.stream.end for half in self.halves)

    @property
    def what(self) -> str:
        """What a conversation was that never became DICOM."""
        first, second = self.halves
        if not self.bytes:
            if self.reset is not None and self.syn:
                return "refused"
            return "empty" if first.seen and second.seen else "unanswered"
        return first.stream.what or second.stream.what or "unknown"


class Facts:
    """What the TCP connection tells about an association that it carried."""

    __slots__ = ("addresses", "flow", "macs")

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.addresses: list[Endpoint] = []
        self.macs: list[str | None] = []
        first, second = flow.halves
        source, port, target, target_port = address(first.key)
        self.addresses = [Endpoint(source, port), Endpoint(target, target_port)]
        macs = first.macs or (second.macs and second.macs[::-1]) or None
        for index in (0, 1):
            self.macs.append(macs[index].hex(":") if macs else None)

    def opener(self) -> int | None:
        """Number of the stream whose side sent the SYN."""
        return None if self.flow.opener is None else self.flow.halves.index(self.flow.opener)

    def tcp(self, sides: tuple[Side, Side], gaps: tuple[Problem, ...]) -> Tcp:
        """The facts, with ``sides[n]`` being the side that sends stream ``n``."""
        flow = self.flow
        number = {flow.halves[0]: 0, flow.halves[1]: 1}
        first, second = flow.halves
        return Tcp(
            syn=flow.syn,
            first_fin=None if flow.first_fin is None else sides[number[flow.first_fin]],
            reset=None if flow.reset is None else sides[number[flow.reset]],
            zero_windows=flow.zero_windows,
            stalls=flow.stalls,
            gaps=gaps,
            one_direction=not (first.seen and second.seen),
            mid_stream=not flow.syn,
            retransmissions=flow.retransmissions,
            reordered=flow.reordered,
            opened_by=None if flow.opener is None else sides[number[flow.opener]],
        )
