"""Both directions of a conversation: whose association it is, and what is wrong in it.

Rules of this file:

* The requestor is who sent the A-ASSOCIATE-RQ; in a conversation captured from its middle it is who opened the TCP
  connection, else the side with the higher port.
* A problem is told with its frame and side; of those with the same code ``PER_CODE`` are told and the rest counted.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from bench.witness.building import Building, Incoming
from bench.witness.model import Problem
from bench.witness.problems import PER_CODE

if TYPE_CHECKING:
    from bench.witness.flow import Flow
    from bench.witness.stream import Stream

KNOWN_PORTS: Final = frozenset((104, 2761, 2762, 11112))


class Talk:
    """What both directions of one conversation share."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.dicom = False
        self.streams: tuple[Stream, Stream]
        self.current: Building | None = None
        self.done: list[Building] = []
        self.incoming: list[Incoming | None] = [None, None]
        self.muted = [False, False]
        """Behind a gap: nothing is said about a direction until a command begins."""

    def _problem(
        self,
        code: str,
        text: str,
        stream: Stream,
        *,
        position: int | None = None,
        offset: int | None = None,
        pdu: int | None = None,
        incoming: Incoming | None = None,
        context_id: int | None = None,
        message: int | None = None,
    ) -> None:
        current = self._building(stream)
        current.counts[code] += 1
        if current.counts[code] > PER_CODE:
            return
        frame = stream.frame
        if position is not None and stream.trail is not None and len(stream.trail.starts):
            frame = stream.trail.frame_at(position + (offset or 0) if code == "pdv-length" else position)
        if message is None and incoming is not None:
            message = incoming.number or None
        problem = Problem(
            code,
            text,
            frame,
            current.sides[stream.number],
            offset if offset is not None else position,
            pdu if pdu is not None else current.count,
            message,
            context_id,
        )
        current.problems.append(problem)
        if incoming is not None:
            incoming.problems.append(problem)

    def _building(self, stream: Stream) -> Building:
        if self.current is None:
            self.current = Building(self._guess())
        return self.current

    def _guess(self) -> int:
        """Number of the stream whose sender is taken for the requestor when no A-ASSOCIATE-RQ was captured."""
        flow = self.flow
        if self.done:
            return self.done[-1].requestor
        if flow.opener is not None:
            return 0 if flow.opener is flow.halves[0] else 1
        key = flow.halves[0].key
        mine, theirs = struct.unpack(">HH", key[-4:])
        if (mine in KNOWN_PORTS) != (theirs in KNOWN_PORTS):
            return 1 if mine in KNOWN_PORTS else 0
        return 0 if mine >= theirs else 1

    def _times(self, stream: Stream, position: int, size: int) -> tuple[int, float, int, float]:
        """Frame and time of the first byte of a PDU, and of its last one."""
        trail = stream.trail
        if trail is None or not len(trail.starts):
            return stream.frame, stream.time, stream.frame, stream.time
        first = trail.index_at(position)
        last = trail.index_at(position + max(size - 1, 0))
        if stream.reordered and last > first:
            last = max(range(first, last + 1), key=trail.frames.__getitem__)
        return trail.frames[first], trail.times[first], trail.frames[last], trail.times[last]

    def _blind(self) -> bool:
        """Whether something that would explain a PDU may have been missed."""
        return any(s.gap_count or s.mid_stream for s in self.streams) or any(
            h.absent for h in self.flow.halves
        )

    def _over(self) -> bool:
        """Whether the end of the TCP connection was captured."""
        flow = self.flow
        return flow.reset is not None or flow.first_fin is not None

    def _stopped(self, current: Building, stream: Stream) -> bool:
        """Whether it was the other side that ended it all, so that ``stream`` could not go on."""
        if current.ended_by is not None:
            return current.ended_by != current.sides[stream.number]
        flow = self.flow
        first = flow.first_fin or flow.reset
        return first is not None and first is not flow.halves[stream.number]
