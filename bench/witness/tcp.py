"""TCP conversations put together again from segments that may be doubled, out of order, missing or cut.

Rules of this file:

* A conversation is a pair of addresses and ports, wherever its frames were captured (interface and VLAN do not
  count, as in Wireshark); a SYN with another initial number begins a new one.
* What was delivered first stays: later bytes for the same place are a retransmission and are not compared.
* **Causality.** A segment that acknowledges bytes of the other side was sent after these.  It waits until they were
  delivered: so the order of PDUs is right also when the capture's order is not.
* **Patience.** A missing segment is waited for until the receiver acknowledged it and ``PATIENCE`` more segments of
  the conversation were seen, or ``HELD`` bytes wait behind it, or the conversation is over.  Then it is a gap.
* Memory: at most ``HELD`` bytes per direction and ``FLOWS`` open conversations; older ones are finished early.
* The loop over frames has a fast way for segments in order (Ethernet, IPv4); everything else goes the thorough way.
"""

from __future__ import annotations

import struct
from bisect import insort
from collections.abc import Callable
from typing import Final

from bench.witness.capture import Source
from bench.witness.flow import Facts, Flow, Half
from bench.witness.frames import ETHERNET, IPV4, Decoder, Segment, address
from bench.witness.levels import DEFAULT, Limits
from bench.witness.model import Association, Conversation, Endpoint, Problem

PATIENCE: Final = 2000
"""Segments of a conversation for which an acknowledged hole may still be filled."""
BEGIN_PATIENCE: Final = 100
"""Segments of a conversation for which a SYN may still come."""
HELD: Final = 8 << 20
"""Bytes that wait behind a hole at most, per direction."""
FLOWS: Final = 20_000
"""Conversations that are open at a time."""
LISTED: Final = 20_000
"""Conversations without DICOM that are listed; the rest is counted."""
FAR: Final = 1 << 30
BEHIND: Final = 1 << 26
"""Bytes that a segment may be ahead of, or behind, the stream and still belong to it."""
CLOSED: Final = 5.0
SILENT: Final = 120.0
"""Seconds after the end of a connection, or after its last segment, when a SYN is none of its own any more: systems
repeat a SYN for about two minutes (RFC 6298, RFC 9293 3.8.3), and never after data were sent."""

FIN, SYN, RST, ACK = 1, 2, 4, 16
_M: Final = 0xFFFFFFFF
_FAST: Final = struct.Struct(">HBxH2xHxB2x12sIIBBH")
"""From the EtherType on: type, version and header length, total length, fragment, protocol, addresses and ports,
numbers, data offset, flags, window."""


def _signed(number: int) -> int:
    """A difference of sequence numbers as a signed number."""
    number &= _M
    return number - 0x100000000 if number & 0x80000000 else number


class Reassembler:
    """Takes the frames of capture files one after the other; then ``finish()``."""

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self.limits = limits
        self.decoder = Decoder()
        self.halves: dict[bytes, Half] = {}
        self.frames = 0
        self.associations: list[Association] = []
        self.conversations: list[Conversation] = []
        self.left_out = 0
        self.problems: list[Problem] = []
        self.first_time: float | None = None
        self.last_time: float | None = None
        self.cut_frames = 0
        self.first_cut: int | None = None

    def read(self, source: Source, progress: Callable[[int], None] | None = None) -> None:
        """Read all frames of one file; they are numbered on from those of the file before."""
        frame = self.frames
        get, fast = self.halves.get, _FAST.unpack_from
        decode, slow = self.decoder.segment, self._segment
        first: float | None = None
        time = 0.0
        for time, link, buffer, start, end, length in source.frames(progress):
            frame += 1
            if first is None:
                first = time
            if link == ETHERNET and end - start >= 54:
                (kind, head, total, fragment, protocol, key, seq, ack, offset, flags, window) = fast(
                    buffer, start + 12
                )
                if kind == IPV4 and head == 0x45:
                    if protocol != 6:
                        continue
                    half = get(key)
                    if half is not None and half.fast and flags & 0x37 == 0x10 and not fragment & 0x3FFF:
                        begin = start + 34 + (offset >> 4) * 4
                        stop = start + 14 + total
                        if stop <= end and begin <= stop:
                            flow, other = half.flow, half.other
                            if begin == stop and seq == half.next:
                                flow.frames += 1
                                half.ack = ack
                                if not window:
                                    flow.zero_windows += 1
                                flow.last_frame, flow.last_time = frame, time
                                continue
                            if begin < stop and seq == half.next and (ack == other.next or _seen(other, ack)):
                                size = stop - begin
                                half.ack = ack
                                half.next = seq + size & _M
                                flow.frames += 1
                                flow.last_frame, flow.last_time = frame, time
                                if 0.03 < time - half.last_time < 0.5:
                                    _stalled(half, other)
                                half.last_time = time
                                half.last_size = size
                                if size > half.largest:
                                    half.largest = size
                                if not window:
                                    flow.zero_windows += 1
                                half.push(buffer[begin:stop], frame, time)
                                continue
            if length > end - start:
                self.cut_frames += 1
                if self.first_cut is None:
                    self.first_cut = frame
            segment = decode(link, buffer, start, end, frame)
            if segment is not None:
                slow(segment, frame, time)
        if first is not None:
            self.first_time = first if self.first_time is None else min(self.first_time, first)
            self.last_time = time if self.last_time is None else max(self.last_time, time)
        self.frames = frame

    def finish(self) -> None:
        """End all conversations that are still open."""
        for half in list(self.halves.values()):
            if half is half.flow.halves[0]:
                self._finish(half.flow)
        self.halves.clear()

    def remarks(self) -> list[Problem]:
        """Problems of the frames themselves."""
        found: list[Problem] = []
        decoder = self.decoder
        for link, (frame, count) in decoder.unknown_links.items():
            found.append(
                Problem("capture-link", f"{count} frames of link type {link} are not decoded", frame)
            )
        if decoder.dropped or decoder.waiting:
            count = decoder.dropped + len(decoder.waiting)
            first = decoder.first_dropped or next(iter(decoder.waiting.values())).frame
            found.append(Problem("capture-fragments", f"{count} IP datagrams never became whole", first))
        if self.cut_frames:
            text = f"{self.cut_frames} frames were captured only in part (snap length)"
            found.append(Problem("frame-cut", text, self.first_cut))
        return found

    # -- the thorough way -----------------------------------------------------------------------------------

    def _new(self, key: bytes, frame: int, time: float) -> Half:
        if len(self.halves) >= 2 * FLOWS:
            self._evict()
        flow = Flow(key, frame, time, self.limits)
        for half in flow.halves:
            self.halves[half.key] = half
        return flow.halves[0]

    def _evict(self) -> None:
        """Finish the older half of the conversations; first those that are not DICOM."""
        flows = list(dict.fromkeys(half.flow for half in self.halves.values()))
        flows.sort(key=lambda flow: (flow.dialogue.dicom, flow.last_frame))
        for flow in flows[: len(flows) // 2]:
            self._remove(flow)

    def _remove(self, flow: Flow) -> None:
        for half in flow.halves:
            if self.halves.get(half.key) is half:
                del self.halves[half.key]
        self._finish(flow)

    def _segment(self, segment: Segment, frame: int, time: float) -> None:
        key, seq, ack, flags, window, data, size, macs = segment
        half = self.halves.get(key)
        if half is None:
            half = self._new(key, frame, time)
        elif (flags & SYN and self._is_new(half, seq, ack, flags, time)) or (
            size
            and half.synced
            and (half.flow.reset or (half.fin is not None and half.other.fin is not None))
            and abs(_signed(seq - half.next)) > 1 << 24
        ):
            self._remove(half.flow)
            half = self._new(key, frame, time)
        flow, other = half.flow, half.other
        half.seen = True
        flow.frames += 1
        flow.count += 1
        if half.synced and not flags & (SYN | RST) and not -BEHIND < _signed(seq - half.next) < FAR:
            flow.stray += 1  # of an older conversation, most likely
            return
        flow.last_frame, flow.last_time = frame, max(time, flow.last_time)
        if half.macs is None:
            half.macs = macs
        if flags & ACK:
            if not other.synced or _signed(ack - half.ack) > 0 or not half.ack:
                half.ack = ack
            if half.low_ack is None or _signed(ack - half.low_ack) < 0:
                half.low_ack = ack
        else:
            ack = -1
        if flags & SYN:
            flow.syn = True
            half.isn = seq
            if not half.synced:
                self._sync(half, seq + 1 & _M)
            if flags & ACK:
                flow.opener = flow.opener or other
            else:
                flow.opener = half
            seq = seq + 1 & _M
        elif not window and not flags & RST:
            flow.zero_windows += 1
        self._place(half, seq, ack, flags, data, size, frame, time)
        self._drain(flow)
        for side in flow.halves:
            if side.pending:
                limit = PATIENCE if side.synced and side.other.synced else BEGIN_PATIENCE
                if flow.count - side.since > limit or side.held > HELD:
                    self._force(side, final=False)
        self._quicken(flow)

    def _is_new(self, half: Half, seq: int, ack: int, flags: int, time: float) -> bool:
        """Whether a SYN begins another conversation than the one that these ports have now."""
        if half.isn is not None:
            return half.isn != seq or _begun_again(half, time)
        base = seq + 1 & _M
        if half.synced:
            # Mid-stream until now: a SYN for the same numbers came late, any other one is new.
            return half.stream.end > 0 and not -FAR < _signed(half.next - half.stream.end - base) <= 0
        if half.pending:
            lowest = half.next + half.pending[0][0]
            return not 0 <= _signed(lowest - base) < HELD
        if flags & ACK and half.other.isn is not None:
            return (half.other.isn + 1 & _M) != ack
        if half.other.low_ack is not None:
            # Only the answers of an older conversation were recorded: they acknowledge other numbers.
            return not 0 <= _signed(half.other.low_ack - base) < HELD
        return False

    def _place(
        self, half: Half, seq: int, ack: int, flags: int, data: bytes, size: int, frame: int, time: float
    ) -> None:
        """Put a segment where it belongs; deliver nothing yet."""
        flow = half.flow
        if not half.synced and not half.pending:
            half.next = seq
        distance = _signed(seq - half.next)
        start = half.stream.end + distance
        if abs(distance) > FAR:
            flow.stray += 1
            return
        if flags & RST:
            flow.reset = flow.reset or half
            return
        if flags & FIN and start + size >= 0:
            half.fin = start + size
            if flow.first_fin is None or (flow.first_fin is not half and time < flow.fin_time):
                flow.first_fin, flow.fin_time = half, time
        if half.synced:
            if not size:
                return
            if start + size <= half.stream.end:
                flow.retransmissions += 1
                return
            if distance:
                flow.reordered += 1
                half.stream.reordered = True
        if not half.pending:
            half.since = flow.count
        half.held += len(data) + 64
        insort(half.pending, (start, frame, size, data, ack, frame, time))

    def _sync(self, half: Half, base: int) -> None:
        """The stream begins at ``base``; what waits is counted from there."""
        if half.pending:
            shift = _signed(base - half.next)
            half.pending = [(entry[0] - shift, *entry[1:]) for entry in half.pending if entry[2]]
            half.held = sum(len(entry[3]) + 64 for entry in half.pending)
            if half.fin is not None:
                half.fin -= shift
        half.next = base
        half.synced = True
        half.since = half.flow.count

    def _drain(self, flow: Flow) -> None:
        """Deliver what may be delivered, in both directions."""
        first, second = flow.halves
        if not first.pending and not second.pending:
            return
        progress = True
        while progress:
            progress = False
            for half in flow.halves:
                if half.synced and half.pending and self._deliver(half, patient=True):
                    progress = True

    def _deliver(self, half: Half, *, patient: bool) -> bool:
        stream, other, flow = half.stream, half.other, half.flow
        done = 0
        for start, _, size, data, ack, frame, time in half.pending:
            end = stream.end
            if start > end or (patient and ack >= 0 and not _seen(other, ack)):
                break
            done += 1
            half.held -= len(data) + 64
            skip = end - start
            if size <= skip:
                if size:
                    flow.retransmissions += 1
                continue
            half.next = half.next + size - skip & _M
            if 0.03 < time - half.last_time < 0.5:
                _stalled(half, other)
            half.last_time, half.last_size = time, size
            half.largest = max(half.largest, size)
            if len(data) > skip:
                half.push(data[skip:] if skip else data, frame, time)
            missing = start + size - stream.end
            if missing > 0:
                stream.gap(missing, frame, time, "frame-cut")
            patient = patient or not done
            if not patient:
                break
        if done:
            del half.pending[:done]
            half.since = flow.count
        return done > 0

    def _force(self, half: Half, *, final: bool) -> None:
        """Patience is over: find where the stream begins, declare a gap, or deliver without waiting for the other."""
        flow, other = half.flow, half.other
        if not half.synced:
            for side in flow.halves:
                if side.pending and not side.synced:
                    starts = [entry[0] for entry in side.pending if entry[2]]
                    base = side.next + min(starts or [side.pending[0][0]]) & _M
                    if side.other.isn is not None and side.other.low_ack is not None:
                        # The other side's SYN was captured: what it acknowledged first is where this one begins.
                        if 0 < _signed(base - side.other.low_ack) < HELD:
                            base = side.other.low_ack
                    else:
                        side.stream.mid_stream = True
                    self._sync(side, base)
            self._drain(flow)
            return
        if not half.pending:
            return
        start, _, _, _, ack, frame, time = half.pending[0]
        hole = start - half.stream.end
        if hole > 0:
            acknowledged = not other.seen or _signed(other.ack - half.next) > 0
            if not final and not acknowledged and half.held <= HELD:
                half.since = flow.count
                return
            half.next = half.next + hole & _M
            half.stream.gap(hole, frame, time, "gap")
        elif not other.synced:
            if other.pending:
                self._force(other, final=True)
            else:
                other.absent = True
        elif other.pending and other.pending[0][0] > other.stream.end:
            self._force(other, final=True)
        elif not other.pending and 0 < (missing := _signed(ack - other.next)) < FAR:
            other.next = ack
            other.stream.gap(missing, frame, time, "gap")
        else:
            self._deliver(half, patient=False)
        half.since = flow.count
        self._drain(flow)

    def _quicken(self, flow: Flow) -> None:
        first, second = flow.halves
        fast = not first.pending and not second.pending
        first.fast = fast and first.synced and (second.synced or (second.absent and not second.seen))
        second.fast = fast and second.synced and (first.synced or (first.absent and not first.seen))

    # -- the end --------------------------------------------------------------------------------------------

    def _finish(self, flow: Flow) -> None:
        for _ in range(1_000_000):
            self._drain(flow)
            half = min(
                (half for half in flow.halves if half.pending),
                key=lambda half: (half.synced, half.pending[0][5]),
                default=None,
            )
            if half is None:
                break
            self._force(half, final=True)
        for half in flow.halves:
            missing = 0
            if half.synced and half.other.seen and half.other.ack:
                missing = _signed(half.other.ack - half.next)
                missing = missing if 1 < missing < BEHIND else 0
            if half.fin is not None and half.synced:
                missing = max(min(missing, half.fin - half.stream.end), half.fin - half.stream.end, 0)
            if missing:
                half.stream.gap(missing, flow.last_frame, flow.last_time, "gap", tail=True)
        dialogue = flow.dialogue
        if dialogue.dicom:
            self.associations.extend(dialogue.finish(Facts(flow)))
            return
        if len(self.conversations) >= LISTED:
            self.left_out += 1
            return
        opener = flow.opener or flow.halves[0]
        source, port, target, target_port = address(opener.key)
        self.conversations.append(
            Conversation(
                opener=Endpoint(source, port),
                other=Endpoint(target, target_port),
                frames=flow.frames,
                bytes=flow.bytes,
                what=flow.what,
                first_frame=flow.first_frame,
                last_frame=flow.last_frame,
                first_time=flow.first_time,
                last_time=flow.last_time,
            )
        )


def _seen(half: Half, ack: int) -> bool:
    """Whether all bytes that ``ack`` acknowledges were delivered (one more: its FIN, captured or not)."""
    return _signed(ack - half.next) <= 1 if half.synced else half.absent


def _stalled(half: Half, other: Half) -> None:
    """A pause after a short segment while the sender was within a PDU and the other side silent."""
    if half.last_size < half.largest and half.stream.within and other.last_time < half.last_time:
        half.flow.stalls += 1


def _begun_again(half: Half, time: float) -> bool:
    """Whether a SYN with a known number begins a connection of its own: it comes too late to be a repetition."""
    flow = half.flow
    quiet = time - flow.last_time
    over = flow.reset is not None or (half.fin is not None and half.other.fin is not None)
    return (over and quiet > CLOSED) or (half.stream.end > 0 and quiet > SILENT)
