"""Two streams of PDUs become associations (PS3.8 9.2, 9.3).

Rules of this file:

* The streams say what they cut out of their bytes, and what they could not; everything is read on after a fault.
* What is allowed depends on what both sides said before, and is no fault where that may not have been captured.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from bench.witness.associate import KINDS, read_pdu
from bench.witness.building import Building
from bench.witness.messages import Messages
from bench.witness.model import Association, Pdu, Side, other_side
from bench.witness.outcome import association
from simulators.wire.pdu import PDU, AssociateAccept, AssociateRequest

if TYPE_CHECKING:
    from bench.witness.flow import Facts
    from bench.witness.stream import Stream

PDUS: Final = 10_000
"""PDUs (without P-DATA-TF) of one association that are kept; a usual one has four."""
_PDV: Final = struct.Struct(">IBB")


class Dialogue(Messages):
    """Both directions of one conversation, as the streams give them."""

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

    # -- associations ---------------------------------------------------------------------------------------

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
        current.touch(first, time, last, last_time)
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

    def _order(self, current: Building, side: Side, kind: int) -> str:
        """Why a PDU is not allowed now (PS3.8 9.2, Table 9-10); empty: it is, or the beginning was not seen."""
        name, state = KINDS.get(kind, "a PDU of unknown type"), current.state
        if current.end is not None:
            if kind == 7 or not current.knew(side):
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
            current.propose(value)
        elif isinstance(value, AssociateAccept):
            current.state = "accepted"
            current.accept(value)

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
                current.propose(value)
        elif kind == 2:
            if current.answer is None:
                current.answer = pdu
                current.state = "accepted"
                if isinstance(value, AssociateAccept):
                    current.limits[1 - stream.number] = value.max_length
                    current.accept(value)
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
                if current.knew(side):
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

    # -- the end --------------------------------------------------------------------------------------------

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
            association(
                building, self.flow, self.streams, facts, first=index == 0, last=index == len(self.done) - 1
            )
            for index, building in enumerate(self.done)
        ]
