"""Two streams of PDUs become associations and messages (PS3.8 9.2, E; PS3.7 6.3).

Rules of this file:

* The requestor is who sent the A-ASSOCIATE-RQ; in a conversation captured from its middle it is who opened the TCP
  connection, else the side with the higher port.
* Everything is read on after a fault; behind a gap nothing is reported until a new command begins.
* Data sets pass by in fragments; only what :class:`bench.witness.dataset.Reader` keeps is kept.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bench.witness.associate import KINDS, read_pdu
from bench.witness.command import LONGEST, read_command
from bench.witness.dataset import DataSet, Reader
from bench.witness.model import (
    IMPLICIT,
    Association,
    Command,
    Context,
    End,
    Message,
    Pdu,
    Places,
    Problem,
    Side,
    other_side,
)
from bench.witness.problems import PER_CODE
from simulators.wire.pdu import PDU, AssociateAccept, AssociateRequest

if TYPE_CHECKING:
    from bench.witness.stream import Stream
    from bench.witness.tcp import Facts, Flow

KNOWN_PORTS: Final = frozenset((104, 2761, 2762, 11112))
EXACT: Final = 1 << 16
"""Fragments of a data set whose places are kept exactly; those behind them only to within ``COARSE`` bytes."""
COARSE: Final = 4096
PDUS: Final = 10_000
"""PDUs (without P-DATA-TF) of one association that are kept; a usual one has four."""
EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"
_PDV: Final = struct.Struct(">IBB")
_GROUP_LENGTH: Final = b"\0\0\0\0"


class Incoming:
    """A message that is being received."""

    __slots__ = (
        "broken",
        "command",
        "command_frame",
        "command_length",
        "command_time",
        "context",
        "context_id",
        "first_frame",
        "first_pdu",
        "first_time",
        "largest",
        "largest_fragment",
        "last_pdu",
        "length",
        "number",
        "offsets",
        "parts",
        "pdus",
        "positions",
        "problems",
        "reader",
        "syntax",
    )

    def __init__(self, context_id: int, frame: int, time: float) -> None:
        self.context_id = context_id
        self.context: Context | None = None
        self.parts: list[bytes] = []
        self.command: Command | None = None
        self.command_length = 0
        self.command_frame = 0
        self.command_time = 0.0
        self.first_frame = frame
        self.first_time = time
        self.first_pdu = -1
        self.last_pdu = -1
        self.pdus = 0
        self.largest = 0
        self.largest_fragment = 0
        self.number = 0
        self.reader: Reader | None = None
        self.syntax: str | None = None
        self.length = 0
        self.offsets = array("Q")
        self.positions = array("Q")
        self.problems: list[Problem] = []
        self.broken = False


class Building:
    """An association that is being read; index 0 and 1 are the numbers of the streams."""

    def __init__(self, requestor: int) -> None:
        self.requestor = requestor
        self.sides: tuple[Side, Side] = (
            ("requestor", "acceptor") if requestor == 0 else ("acceptor", "requestor")
        )
        self.request: Pdu | None = None
        self.answer: Pdu | None = None
        self.pdus: list[Pdu] = []
        self.left_out = 0
        self.contexts: dict[int, Context] = {}
        self.messages: dict[int, Message] = {}
        self.problems: list[Problem] = []
        self.counts: Counter[str] = Counter()
        self.count = 0
        self.numbers = 0
        self.data_pdus = [0, 0]
        self.limits = [0, 0]
        """What each stream's P-DATA-TF may have at most: announced by the other side; 0: anything."""
        self.state = "idle"
        self.titles = b""
        self.unsure = False
        """Request or answer were captured in part: there may be contexts that nobody saw."""
        self.end: End | None = None
        self.ended_by: Side | None = None
        self.release_by: Side | None = None
        self.first: tuple[int, float] | None = None
        self.last: tuple[int, float] = (0, 0.0)
        self.last_message: list[tuple[str, bool] | None] = [None, None]
        """Name of each stream's last message, and whether it had a data set."""


class Dialogue:
    """Both directions of one conversation."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.dicom = False
        self.streams: tuple[Stream, Stream]
        self.current: Building | None = None
        self.done: list[Building] = []
        self.incoming: list[Incoming | None] = [None, None]
        self.muted = [False, False]
        """Behind a gap: nothing is said about a direction until a command begins."""
        self.pdu_index = 0
        self.pdu_position = 0
        self.pdu_length = 0
        self.data_state = [(0, 0, 0), (0, 0, 0)]

    # -- what the streams ask -------------------------------------------------------------------------------

    def start(self, stream: Stream) -> None:
        """``stream`` begins with an association PDU."""
        self.dicom = True
        other = self.streams[1 - stream.number]
        if other.have:
            other.need = 1  # it waited to be understood

    def may_be_answer(self, stream: Stream) -> bool:
        """Whether a lone A-ASSOCIATE-RJ, A-RELEASE or A-ABORT at the start of ``stream`` may be believed."""
        other = self.streams[1 - stream.number]
        return not other.end or other.gap_count > 0 or stream.mid_stream

    def found(self, stream: Stream, lost_from: int, position: int) -> None:
        """A PDU was found again at ``position`` after bytes without meaning."""
        self.dicom = True
        self.muted[stream.number] = True
        if position > lost_from:
            text = f"{position - lost_from} bytes were skipped up to the next PDU"
            self._problem("resynchronised", text, stream, position=lost_from)

    def lost(self, stream: Stream) -> None:
        """Bytes of ``stream`` are missing: what is being received is no longer whole."""
        incoming = self.incoming[stream.number]
        if incoming is not None:
            incoming.broken = True
            if incoming.command is None:
                self.incoming[stream.number] = None
        self.muted[stream.number] = True

    def bad_length(self, stream: Stream, kind: int, length: int, position: int) -> None:
        """A PDU that is not P-DATA-TF with an impossible length."""
        self._problem(
            "pdu-length", f"{KINDS[kind]} with a length of {length}", stream, position=position, offset=2
        )

    def garbage(self, stream: Stream, head: bytes, position: int) -> None:
        """No PDU begins here."""
        if not self.muted[stream.number]:
            code = "pdu-type" if len(head) >= 6 and not any(head[1:3]) else "pdu-garbage"
            text = (
                f"no PDU begins with {head[:8].hex(' ')}"
                if code == "pdu-garbage"
                else f"PDU type {head[0]:02X}H"
            )
            self._problem(code, text, stream, position=position, offset=0)
            self.lost(stream)

    def reserved(self, stream: Stream, position: int, value: int) -> None:
        """The reserved byte of a P-DATA-TF PDU is not zero."""
        self._problem(
            "reserved",
            f"byte 2 of P-DATA-TF is {value:02X}H instead of 00H",
            stream,
            position=position,
            offset=1,
        )

    def bad_pdv(self, stream: Stream, length: int, position: int, text: str) -> None:
        """A presentation data value that does not fit its PDU."""
        if not self.muted[stream.number]:
            self._problem("pdv-length", text, stream, position=position, offset=position - self.pdu_position)

    # -- problems -------------------------------------------------------------------------------------------

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

    # -- associations ---------------------------------------------------------------------------------------

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

    def pdu(self, stream: Stream, kind: int, raw: bytes, position: int, *, partial: bool = False) -> None:
        """A PDU that is not P-DATA-TF; ``partial``: a gap follows, ``raw`` is what came before it."""
        value, faults = read_pdu(raw)
        number = stream.number
        self.dicom = True
        late = ""
        current = self.current
        if kind == 1:
            if current is not None and (current.request is not None or current.pdus or current.messages):
                if current.end is None:
                    late = "a second A-ASSOCIATE-RQ"
                else:
                    self._close(current)
                    self.done.append(current)
                    current = None
                    late = "another A-ASSOCIATE-RQ on the same TCP connection"
            if current is None:
                current = self.current = Building(number)
            elif current.request is None and not current.pdus and not current.count:
                self.current = replacement = Building(number)
                replacement.problems = current.problems
                current = replacement
        elif kind in (2, 3) and current is None:
            current = self.current = Building(1 - number)
        current = self._building(stream)
        current.unsure |= partial
        side = current.sides[number]
        first, time, last, last_time = self._times(stream, position, len(raw))
        pdu = Pdu(
            index=current.count,
            side=side,
            kind=KINDS.get(kind, "unknown"),
            frame=first,
            last_frame=last,
            time=time,
            length=int.from_bytes(raw[2:6], "big"),
            pdu=value,
            raw=raw,
            last_time=last_time,
        )
        self._touch(current, first, time, last, last_time)
        if partial:
            # Half a request is no request to be judged; what it proposed is known all the same.
            current.count += 1
            self._part(current, stream, value, raw)
            return
        for code, text, offset in faults:
            self._problem(code, text, stream, position=position, offset=offset, pdu=pdu.index)
        why = late or self._order(current, side, kind)
        if why and not self.muted[number] and not self._blind():
            code = "pdu-after-end" if current.end is not None and kind != 1 else "pdu-unexpected"
            self._problem(code, why, stream, position=position, offset=0, pdu=pdu.index)
        current.count += 1
        if len(current.pdus) < PDUS:
            current.pdus.append(pdu)
        else:
            current.left_out += 1
        self._advance(current, stream, kind, pdu)

    def _blind(self) -> bool:
        """Whether something that would explain a PDU may have been missed."""
        return any(s.gap_count or s.mid_stream for s in self.streams) or any(
            h.absent for h in self.flow.halves
        )

    def _touch(self, current: Building, first: int, time: float, last: int, last_time: float) -> None:
        if current.first is None:
            current.first = first, time
        if last > current.last[0]:
            current.last = last, last_time

    def _order(self, current: Building, side: Side, kind: int) -> str:
        """Why a PDU is not allowed now (PS3.8 9.2, Table 9-10); empty: it is, or the beginning was not seen."""
        name, state = KINDS.get(kind, "a PDU of unknown type"), current.state
        if current.end is not None:
            if kind == 7 or not self._knew(current, side):
                return ""  # aborts cross each other, and what is on its way
            return f"{name} after the association was {current.end}"
        if kind == 7 or (state == "idle" and kind != 4):
            return ""
        if kind in (2, 3):
            if side == "requestor":
                return f"{name} from the requestor"
            return "" if state == "requested" else f"{name} while the association is {state}"
        if kind in (5, 6):
            if kind == 6 and current.release_by in (None, side):
                return "" if current.request is None else f"{name} that nobody asked for"
            if kind == 5 and state == "requested" and side == "requestor":
                return f"{name} before the answer to the request"
        return ""

    def _part(self, current: Building, stream: Stream, value: PDU | None, raw: bytes) -> None:
        if isinstance(value, AssociateRequest):
            current.titles = raw[10:42]
            current.state = "requested"
            _propose(current.contexts, value)
        elif isinstance(value, AssociateAccept):
            current.state = "accepted"
            _answer(current.contexts, value)

    def _knew(self, current: Building, side: Side) -> bool:
        """Whether ``side`` must have known that the association is over when it sent a PDU.

        After a release both know; after an abort or a reject who sent it does, and the other one's PDUs may have been
        on their way.
        """
        return current.end == "released" or current.ended_by == side

    def _advance(self, current: Building, stream: Stream, kind: int, pdu: Pdu) -> None:
        side = current.sides[stream.number]
        value = pdu.pdu
        if kind == 1:
            if current.request is None:
                current.request = pdu
            if current.state == "idle":
                current.state = "requested"
            if isinstance(value, AssociateRequest):
                current.limits[1 - stream.number] = value.max_length
                _propose(current.contexts, value)
        elif kind == 2:
            if current.answer is None:
                current.answer = pdu
                current.state = "accepted"
                if isinstance(value, AssociateAccept):
                    current.limits[1 - stream.number] = value.max_length
                    _answer(current.contexts, value)
        elif kind == 3:
            if current.answer is None:
                current.answer = pdu
            current.end, current.ended_by = current.end or "rejected", current.ended_by or side
        elif kind == 5:
            current.release_by = current.release_by or side
        elif kind == 6:
            if current.end is None:
                current.end, current.ended_by = "released", current.release_by or other_side(side)
        elif kind == 7 and current.end is None:
            current.end, current.ended_by = "aborted", side

    # -- P-DATA ---------------------------------------------------------------------------------------------

    def begin_data(self, stream: Stream, length: int, position: int) -> None:
        """A P-DATA-TF PDU begins; its values follow."""
        number = stream.number
        self.dicom = True
        current = self.current or self._building(stream)
        self.pdu_index = current.count
        self.pdu_position = position
        self.pdu_length = length
        self.data_state[number] = current.count, position, length
        current.count += 1
        current.data_pdus[number] += 1
        limit = current.limits[number]
        if limit and length > limit:
            text = f"P-DATA-TF of {length} bytes, the receiver announced {limit}"
            self._problem("pdu-too-long", text, stream, position=position, offset=2, pdu=self.pdu_index)
        state = current.state != "accepted" or current.end or current.release_by == current.sides[number]
        if state and not self.muted[number] and not self._blind():
            why, side = "", current.sides[number]
            if current.end is not None:
                if self._knew(current, side):
                    why = f"P-DATA-TF after the association was {current.end}"
            elif current.state == "requested":
                why = "P-DATA-TF before the association was accepted"
            elif current.release_by == side:
                why = "P-DATA-TF after its own A-RELEASE-RQ"
            if why:
                code = "pdu-after-end" if current.end is not None else "pdu-unexpected"
                self._problem(code, why, stream, position=position, offset=0, pdu=self.pdu_index)

    def data(
        self, stream: Stream, body: memoryview, length: int, position: int, *, partial: bool = False
    ) -> None:
        """A P-DATA-TF PDU; ``partial``: a gap follows, ``body`` is what came before it."""
        self.begin_data(stream, length, position)
        end, at = len(body), 0
        unpack, fragment = _PDV.unpack_from, self.fragment
        if not length:
            self._problem(
                "pdv-empty", "P-DATA-TF without a presentation data value", stream, position=position
            )
        while at < end:
            if end - at < 6:
                if not partial:
                    self.bad_pdv(stream, end - at, position + 6 + at, "a PDV header ends beyond its PDU")
                return
            size, context_id, control = unpack(body, at)
            after = at + 4 + size
            if size < 2 or after > end:
                if not partial:
                    self.bad_pdv(
                        stream,
                        size,
                        position + 6 + at,
                        f"a PDV of {size} bytes in {end - at - 4} that are left",
                    )
                if size < 2:
                    return
                if after > end and partial:
                    control &= ~2
                after = end
            if size & 1 or control > 3:
                self._pdv(stream, size, control, position + 6 + at)
            fragment(stream, context_id, control, body[at + 6 : after], position + 12 + at)
            at = after

    def begin_pdv(self, stream: Stream, length: int, control: int, position: int) -> None:
        """A presentation data value of a long P-DATA-TF begins."""
        self.pdu_index, self.pdu_position, self.pdu_length = self.data_state[stream.number]
        if length & 1 or control > 3:
            self._pdv(stream, length, control, position)

    def _pdv(self, stream: Stream, size: int, control: int, position: int) -> None:
        if self.muted[stream.number]:
            return
        offset = position - self.pdu_position
        if size & 1:
            text = f"a presentation data value of {size - 2} bytes, an odd number"
            self._problem("pdv-odd", text, stream, position=position, offset=offset, pdu=self.pdu_index)
        if control > 3:
            text = f"message control header {control:02X}H has bits that must be 0"
            self._problem(
                "pdv-control", text, stream, position=position, offset=offset + 5, pdu=self.pdu_index
            )

    def fragment(
        self, stream: Stream, context_id: int, control: int, data: memoryview, position: int
    ) -> None:
        """A fragment of a command or data set, or a piece of one (its last bit is set with the last piece only)."""
        number = stream.number
        incoming = self.incoming[number]
        if control & 1:
            incoming = self._command_fragment(stream, incoming, context_id, control, data, position)
            if incoming is None:
                return
        else:
            if incoming is None or incoming.command is None:
                self._orphan(stream, incoming, context_id, control, position)
                return
            if context_id != incoming.context_id:
                self._changed(stream, incoming, context_id, position)
            index = self.data_state[number][0]
            if incoming.last_pdu != index:
                self._count(incoming, number)
            size = len(data)
            if not incoming.broken:
                reader = incoming.reader
                if reader is None:
                    reader = self._reader(stream, incoming, data)
                offsets, positions = incoming.offsets, incoming.positions
                if len(offsets) < EXACT or position - positions[-1] - incoming.length + offsets[-1] > COARSE:
                    offsets.append(incoming.length)
                    positions.append(position)
                try:
                    reader.feed(data)
                except Exception as error:  # the witness's own fault, and it must say so
                    self._failed(stream, incoming, error)
            incoming.length += size
            if size > incoming.largest_fragment:
                incoming.largest_fragment = size
            if control & 2:
                self._complete(stream, incoming)

    def _count(self, incoming: Incoming, number: int) -> None:
        index, _, length = self.data_state[number]
        if incoming.first_pdu < 0:
            incoming.first_pdu = index
        incoming.last_pdu = index
        incoming.pdus += 1
        incoming.largest = max(incoming.largest, length)

    def _command_fragment(
        self,
        stream: Stream,
        incoming: Incoming | None,
        context_id: int,
        control: int,
        data: memoryview,
        position: int,
    ) -> Incoming | None:
        number = stream.number
        if incoming is not None and incoming.command is not None:
            # A command where the data set was to begin or to go on.
            if not incoming.broken:
                code = "command-in-dataset" if incoming.length else "dataset-missing"
                text = (
                    f"a command fragment instead of the {'rest of the ' if incoming.length else ''}data set of "
                    + (f"{incoming.command.name}")
                )
                self._problem(code, text, stream, position=position, incoming=incoming, pdu=self.pdu_index)
            self._store(stream, incoming, complete=False)
            incoming = None
        if incoming is None:
            if self.muted[number]:
                if bytes(data[:4]) != _GROUP_LENGTH:
                    return None
                self.muted[number] = False
            first, time, _, _ = self._times(stream, self.data_state[number][1], 1)
            incoming = self.incoming[number] = Incoming(context_id, first, time)
        elif context_id != incoming.context_id:
            self._changed(stream, incoming, context_id, position)
        if incoming.last_pdu != self.data_state[number][0]:
            self._count(incoming, number)
        incoming.command_length += len(data)
        if incoming.command_length > LONGEST:
            text = f"a command set of more than {LONGEST} bytes"
            self._problem(
                "command-long", text, stream, position=position, incoming=incoming, pdu=self.pdu_index
            )
            self.incoming[number] = None
            self.muted[number] = True
            return None
        incoming.parts.append(bytes(data))
        if control & 2:
            self._command(stream, incoming, position)
        return incoming

    def _command(self, stream: Stream, incoming: Incoming, position: int) -> None:
        """A command set is whole."""
        current = self._building(stream)
        current.numbers += 1
        incoming.number = current.numbers
        raw = b"".join(incoming.parts)
        incoming.parts = []
        command, faults = read_command(raw)
        incoming.command = command
        index = self.data_state[stream.number][0]
        for code, text, offset in faults:
            self._problem(code, text, stream, position=position, offset=offset, pdu=index, incoming=incoming)
        incoming.command_frame, incoming.command_time = stream.frame, stream.time
        self._context(stream, current, incoming, position)
        if not command.has_dataset:
            self._complete(stream, incoming)

    def _context(self, stream: Stream, current: Building, incoming: Incoming, position: int) -> None:
        number, context_id = stream.number, incoming.context_id
        context = incoming.context = current.contexts.get(context_id)
        index = self.data_state[number][0]

        def tell(code: str, text: str) -> None:
            self._problem(
                code, text, stream, position=position, pdu=index, incoming=incoming, context_id=context_id
            )

        assert incoming.command is not None
        name = incoming.command.name
        if context is None or not context.proposed:
            if current.request is None or current.unsure or not current.request.pdu:
                tell("context-unseen", f"the proposal of presentation context {context_id} was not captured")
            else:
                tell(
                    "context-unknown",
                    f"{name} in presentation context {context_id}, which was never proposed",
                )
        elif context.result is None and (current.answer is None or current.unsure):
            tell("context-unseen", f"the answer to presentation context {context_id} was not captured")
        elif context.result != 0:
            result = "never answered" if context.result is None else f"refused (result {context.result})"
            tell("context-refused", f"{name} in presentation context {context_id}, which was {result}")

    def _changed(self, stream: Stream, incoming: Incoming, context_id: int, position: int) -> None:
        if not incoming.broken:
            text = f"a fragment in presentation context {context_id} of a message that began in {incoming.context_id}"
            self._problem(
                "context-changed",
                text,
                stream,
                position=position,
                pdu=self.data_state[stream.number][0],
                incoming=incoming,
                context_id=context_id,
            )

    def _orphan(
        self, stream: Stream, incoming: Incoming | None, context_id: int, control: int, position: int
    ) -> None:
        """A data set fragment without a command that announced it."""
        number = stream.number
        if self.muted[number]:
            return
        current = self._building(stream)
        before = current.last_message[number]
        if incoming is not None:
            text = "a data set fragment within a command set"
            code = "dataset-without-command"
        elif before is not None and before[1]:
            text = f"a data set fragment after the data set of {before[0]} had ended"
            code = "dataset-without-command"
        elif before is not None:
            text, code = f"a data set after {before[0]}, which announced none", "dataset-unannounced"
        else:
            text, code = "a data set fragment without a command before it", "dataset-without-command"
        sent = [m.number for m in current.messages.values() if m.sender == current.sides[number]]
        self._problem(
            code,
            text,
            stream,
            position=position,
            pdu=self.data_state[number][0],
            context_id=context_id,
            message=max(sent, default=None),
        )
        if not control & 2:
            self.muted[number] = True  # the rest of it needs no second mention

    def _reader(self, stream: Stream, incoming: Incoming, data: memoryview) -> Reader:
        context = incoming.context
        syntax = context.transfer_syntax if context is not None and context.accepted else None
        if not syntax:
            candidates = context.proposed if context is not None else ()
            guessed = _guess_syntax(bytes(data[:10]))
            same = [uid for uid in candidates if _shape(uid) == guessed]
            syntax = same[0] if same else guessed
            self._problem(
                "transfer-syntax-guessed",
                f"presentation context {incoming.context_id} has no accepted transfer syntax: read as {syntax}",
                stream,
                incoming=incoming,
                pdu=self.data_state[stream.number][0],
                context_id=incoming.context_id,
            )
        incoming.syntax = syntax
        incoming.reader = Reader(syntax)
        return incoming.reader

    def _failed(self, stream: Stream, incoming: Incoming, error: Exception) -> None:
        incoming.broken = True
        text = f"the data set could not be read: {type(error).__name__}: {error}"
        self._problem("reader-failed", text, stream, incoming=incoming, pdu=self.data_state[stream.number][0])

    def _complete(self, stream: Stream, incoming: Incoming) -> None:
        self._store(stream, incoming, complete=not incoming.broken)

    def _store(self, stream: Stream, incoming: Incoming, *, complete: bool) -> None:
        """The message is over, whole or not."""
        number = stream.number
        self.incoming[number] = None
        command = incoming.command
        if command is None:
            return
        current = self._building(stream)
        dataset: DataSet | None = None
        if incoming.reader is not None:
            try:
                dataset = incoming.reader.finish()
            except Exception as error:
                complete = False
                self._failed(stream, incoming, error)
        elif command.has_dataset and complete:
            dataset = Reader(incoming.syntax or IMPLICIT).finish()
        current.last_message[number] = command.name, command.has_dataset
        assert stream.trail is not None
        current.messages[incoming.number] = Message(
            association=0,
            number=incoming.number,
            sender=current.sides[number],
            context=incoming.context,
            context_id=incoming.context_id,
            command=replace(command, problems=tuple(incoming.problems)) if incoming.problems else command,
            dataset=dataset,
            first_frame=incoming.first_frame,
            command_frame=incoming.command_frame,
            last_frame=stream.frame,
            first_time=incoming.first_time,
            last_time=stream.time,
            first_pdu=incoming.first_pdu,
            last_pdu=incoming.last_pdu,
            pdus=incoming.pdus,
            largest_pdu=incoming.largest,
            complete=complete,
            problems=tuple(incoming.problems),
            transfer_syntax=incoming.syntax,
            dataset_length=incoming.length,
            largest_fragment=incoming.largest_fragment,
            command_time=incoming.command_time,
            places=Places(stream.trail, incoming.offsets, incoming.positions),
        )
        self._touch(current, incoming.first_frame, incoming.first_time, stream.frame, stream.time)

    # -- the end --------------------------------------------------------------------------------------------

    def _close(self, current: Building) -> None:
        """Store what was begun and never ended."""
        for stream in self.streams:
            incoming = self.incoming[stream.number]
            self.incoming[stream.number] = None
            if incoming is None:
                continue
            if incoming.broken or not (current.end is not None or self._over()):
                code = "message-open"
            elif self._stopped(current, stream):
                code = "message-stopped"
            else:
                code = "message-cut" if incoming.command is not None else "command-cut"
            what = incoming.command.name if incoming.command is not None else "a command set"
            if incoming.command is not None:
                what += f" after {incoming.length} bytes of its data set"
            self._problem(code, f"no end of {what}", stream, incoming=incoming)
            self._store(stream, incoming, complete=False)

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

    def finish(self, facts: Facts) -> list[Association]:
        """No more bytes will come: the associations of the conversation."""
        for stream in self.streams:
            rest = stream.finish()
            if rest:
                code = "pdu-open"
                if self._over() and not stream.gap_count:
                    code = "pdu-stopped" if self._stopped(self._building(stream), stream) else "pdu-cut"
                self._problem(
                    code, f"no end of a PDU of which {rest} bytes came", stream, position=stream.end - rest
                )
        if self.current is not None:
            self._close(self.current)
            self.done.append(self.current)
            self.current = None
        return [
            self._association(building, facts, index == len(self.done) - 1, index == 0)
            for index, building in enumerate(self.done)
        ]

    def _association(self, current: Building, facts: Facts, last: bool, first: bool) -> Association:
        flow = self.flow
        gaps: list[Problem] = []
        for stream in self.streams:
            for code, position, missing, frame in stream.gaps:
                text = f"{missing} bytes of the stream are missing"
                if code == "frame-cut":
                    text = f"{missing} bytes of the frame were not captured (snap length)"
                gaps.append(Problem(code, text, frame, current.sides[stream.number], position))
            if stream.gap_count > len(stream.gaps):
                text = f"{stream.gap_count - len(stream.gaps)} more gaps"
                gaps.append(Problem("left-out", text, None, current.sides[stream.number]))
        tcp = facts.tcp(current.sides, tuple(gaps))
        problems = [*current.problems, *gaps]
        for code, count in current.counts.items():
            if count > PER_CODE:
                problems.append(Problem("left-out", f"{count - PER_CODE} more of {code}", None))
        if current.left_out:
            problems.append(Problem("left-out", f"{current.left_out} more PDUs", None))
        if tcp.mid_stream and current.request is None:
            problems.append(
                Problem("mid-stream", "the association began before the capture", flow.first_frame)
            )
        if tcp.one_direction:
            problems.append(Problem("one-direction", "only one direction was captured", flow.first_frame))
        end, ended_by = current.end, current.ended_by
        if end is None:
            if not last:
                end = "open"
            elif tcp.reset is not None and (tcp.first_fin is None or tcp.reset == tcp.first_fin):
                end, ended_by = "reset", tcp.reset
            elif tcp.first_fin is not None:
                end, ended_by = "closed", tcp.first_fin
            else:
                end = "open"
        number = current.requestor
        begin = (
            (flow.first_frame, flow.first_time)
            if first
            else current.first or (flow.first_frame, flow.first_time)
        )
        finish = (flow.last_frame, flow.last_time) if last else current.last
        return Association(
            number=0,
            requestor=facts.addresses[number],
            acceptor=facts.addresses[1 - number],
            requestor_mac=facts.macs[number],
            acceptor_mac=facts.macs[1 - number],
            request=current.request,
            answer=current.answer,
            pdus=tuple(current.pdus),
            contexts=current.contexts,
            messages=tuple(current.messages[key] for key in sorted(current.messages)),
            problems=tuple(problems),
            tcp=tcp,
            first_frame=begin[0],
            last_frame=finish[0],
            first_time=begin[1],
            last_time=finish[1],
            end=end,
            ended_by=ended_by,
            whole=current.request is not None
            and not tcp.one_direction
            and not any(stream.gap_count for stream in self.streams)
            and not any(half.absent for half in flow.halves),
            titles=current.request.raw[10:42] if current.request else current.titles,
            data_pdus={current.sides[0]: current.data_pdus[0], current.sides[1]: current.data_pdus[1]},
        )


def _propose(contexts: dict[int, Context], request: AssociateRequest) -> None:
    roles = {uid.rstrip("\0 "): role for uid, role in request.roles.items()}
    for item in request.contexts:
        abstract = item.abstract_syntax.rstrip("\0 ")
        if item.context_id in contexts:
            continue
        proposed = tuple(uid.rstrip("\0 ") for uid in item.transfer_syntaxes)
        contexts[item.context_id] = Context(
            item.context_id, abstract, proposed, None, None, proposed_role=roles.get(abstract)
        )


def _answer(contexts: dict[int, Context], accept: AssociateAccept) -> None:
    roles = {uid.rstrip("\0 "): role for uid, role in accept.roles.items()}
    for item in accept.contexts:
        known = contexts.get(item.context_id) or Context(item.context_id, "", (), None, None)
        if known.answers:
            contexts[item.context_id] = replace(known, answers=known.answers + 1)
            continue
        syntax = item.transfer_syntax.rstrip("\0 ") if item.transfer_syntax and item.result == 0 else None
        contexts[item.context_id] = replace(
            known,
            result=item.result,
            transfer_syntax=syntax or None,
            accepted_role=roles.get(known.abstract),
            answers=1,
        )


def _guess_syntax(head: bytes) -> str:
    """A transfer syntax whose elements begin so: a VR of two capitals tells Explicit, a low first group the order."""
    explicit = len(head) >= 6 and head[4:6].isalpha() and head[4:6].isupper()
    if not explicit:
        return IMPLICIT
    return EXPLICIT_BE if head[0] == 0 and head[1] else EXPLICIT_LE


def _shape(uid: str) -> str:
    """The uncompressed transfer syntax that has the same encoding of elements."""
    return uid if uid in (IMPLICIT, EXPLICIT_BE) else EXPLICIT_LE
