"""One direction of a conversation as bytes in order: is it DICOM, and where do its PDUs begin and end.

Rules of this file:

* Bytes come by :meth:`Stream.push`, holes by :meth:`Stream.gap`; a PDU is cut out when it is whole and given to the
  :class:`~bench.witness.dialogue.Dialogue`.
* P-DATA-TF PDUs longer than ``WHOLE`` are passed on piece by piece; nothing longer is ever kept.
* A hole within a PDU costs that PDU; a longer one costs the bytes up to the next plausible PDU.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from bench.witness import detect
from bench.witness.model import Trail

if TYPE_CHECKING:
    from bench.witness.dialogue import Dialogue

WHOLE: Final = 1 << 18
"""Bytes of a P-DATA-TF PDU that is handled in one go; longer ones are streamed."""
CONTROL: Final = 1 << 20
"""Bytes of any other PDU that is believed."""
GAPS: Final = 40
"""Gaps that are described; the rest is counted."""

_HEADER: Final = struct.Struct(">BBI")
_PDV: Final = struct.Struct(">IBB")


class Mode(IntEnum):
    """What the next byte belongs to."""

    START = 0  # nothing is known yet
    PDU = 1  # a PDU
    DATA = 2  # the inside of a long P-DATA-TF
    SKIP = 3  # the rest of a PDU that is not read
    LOST = 4  # anything: a PDU is searched
    DEAD = 5  # something that is not DICOM


class Stream:
    """The bytes that one side sends."""

    __slots__ = (
        "control",
        "dialogue",
        "end",
        "frame",
        "gap_count",
        "gaps",
        "have",
        "left",
        "lost_from",
        "mid_stream",
        "mode",
        "need",
        "number",
        "parts",
        "pdv_context",
        "pdv_left",
        "reordered",
        "searched",
        "time",
        "trail",
        "unknown",
        "what",
        "within",
    )

    def __init__(self, dialogue: Dialogue, number: int) -> None:
        self.dialogue = dialogue
        self.number = number
        self.end = 0
        self.mode = Mode.START
        self.parts: list[bytes] = []
        self.have = 0
        self.need = 1
        self.trail: Trail | None = None
        self.frame = 0
        self.time = 0.0
        self.within = False
        self.reordered = False
        self.mid_stream = False
        self.what = ""
        self.gaps: list[tuple[str, int, int, int]] = []
        self.gap_count = 0
        self.left = 0
        self.pdv_left = 0
        self.pdv_context = 0
        self.control = 0
        self.lost_from = 0
        self.searched = 0
        self.unknown = 0

    def push(self, data: bytes, frame: int, time: float) -> None:
        """The next bytes, captured in ``frame``."""
        if self.mode == 5:
            self.end += len(data)
            return
        trail = self.trail
        if trail is None:
            trail = self.trail = Trail()
        trail.starts.append(self.end)
        trail.frames.append(frame)
        trail.times.append(time)
        self.end += len(data)
        self.frame = frame
        self.time = time
        self.parts.append(data)
        self.have += len(data)
        if self.have >= self.need:
            self._run(ended=False)

    def gap(self, missing: int, frame: int, time: float, code: str, *, tail: bool = False) -> None:
        """``missing`` bytes are not there; ``frame`` is the one that comes behind them (or has them cut off)."""
        self.gap_count += 1
        if len(self.gaps) < GAPS:
            self.gaps.append((code, self.end, missing, frame))
        parts, have = self.parts, self.have
        self.parts, self.have = [], 0
        self.end += missing
        if self.mode == Mode.DEAD:
            return
        self.frame, self.time = frame, time
        if self.mode == Mode.START and detect.looks_like_request(b"".join(parts)):
            self.dialogue.start(self)
            self.mode = Mode.PDU
        left = 0
        if self.mode in (Mode.DATA, Mode.SKIP):
            left = self.left - missing if self.mode == Mode.SKIP else self.left - have - missing
        elif self.mode == Mode.PDU and have >= 6:
            data = b"".join(parts)
            kind, _, length = _HEADER.unpack_from(data)
            left = 6 + length - have - missing
            position = self.end - missing - have
            if kind == 4:
                self.dialogue.data(self, memoryview(data)[6:], length, position, partial=True)
            elif kind in (1, 2) and have >= 74:
                self.dialogue.pdu(self, kind, data, position, partial=True)
        elif (self.mode == Mode.PDU and not tail) or self.mode in (Mode.START, Mode.LOST):
            left = -1
        if self.dialogue.dicom:
            self.dialogue.lost(self)
        self.need = 1
        if left > 0:
            self.mode, self.left = Mode.SKIP, left
        elif left == 0 and self.mode != Mode.START:
            self.mode, self.need = Mode.PDU, 6
        else:
            self._lose(self.end)
        self.within = left > 0

    def finish(self) -> int:
        """No more bytes will come.  Returns the number of bytes of a PDU that was begun and never ended."""
        if self.mode in (Mode.LOST, Mode.START) and self.have:
            self._run(ended=True)
        if self.mode == Mode.PDU:
            return self.have
        return 1 if self.mode in (Mode.DATA, Mode.SKIP) and not self.gap_count else 0

    def _lose(self, position: int) -> None:
        if self.mode != Mode.LOST:
            self.lost_from = position
        self.mode, self.need, self.searched = Mode.LOST, 12, 0

    def _die(self, data: bytes) -> None:
        self.what = detect.protocol(data)
        self.mode = Mode.DEAD
        self.trail = None

    def _run(self, *, ended: bool) -> None:
        """Cut out of the collected bytes what is whole."""
        data = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        view = memoryview(data)
        size = len(data)
        base = self.end - size
        position = 0
        dialogue = self.dialogue
        while True:
            mode = self.mode
            if mode == Mode.PDU:
                have = size - position
                if have < 6:
                    self.need = 6
                    break
                kind, reserved, length = _HEADER.unpack_from(data, position)
                if kind == 4:
                    if length <= WHOLE:
                        if have < 6 + length:
                            self.need = 6 + length
                            break
                        after = position + 6 + length
                        dialogue.data(self, view[position + 6 : after], length, base + position)
                        if reserved:
                            dialogue.reserved(self, base + position, reserved)
                        self.unknown = 0
                        position = after
                        continue
                    dialogue.begin_data(self, length, base + position)
                    self.left, self.pdv_left = length, 0
                    self.mode = Mode.DATA
                    position += 6
                    continue
                if 1 <= kind <= 7:
                    if length > CONTROL:
                        dialogue.bad_length(self, kind, length, base + position)
                        self._lose(base + position)
                        self.searched = 1
                        continue
                elif length > CONTROL or self.unknown or not detect_later(data, position, length, size):
                    dialogue.garbage(self, data[position : position + 16], base + position)
                    self._lose(base + position)
                    self.searched = 1
                    continue
                if (
                    3 <= kind <= 7
                    and length > 4
                    and have >= 16
                    and detect.plausible_header(data, position + 10)
                ):
                    after = position + 10  # the length lies: the next PDU begins where this one should end
                elif have < 6 + length:
                    self.need = 6 + length
                    break
                else:
                    after = position + 6 + length
                self.unknown = 0 if 1 <= kind <= 7 else self.unknown + 1
                dialogue.pdu(self, kind, data[position:after], base + position)
                position = after
            elif mode == Mode.DATA:
                if not self.left:
                    self.mode = Mode.PDU
                    continue
                have = min(size - position, self.left)
                if self.pdv_left:
                    take = min(have, self.pdv_left)
                    if not take:
                        self.need = 1
                        break
                    self.pdv_left -= take
                    self.left -= take
                    control = self.control if not self.pdv_left else self.control & ~2
                    dialogue.fragment(
                        self, self.pdv_context, control, view[position : position + take], base + position
                    )
                    position += take
                    continue
                if self.left < 6:
                    dialogue.bad_pdv(self, self.left, base + position, "a PDV header ends beyond its PDU")
                    self.mode = Mode.SKIP
                    continue
                if have < 6:
                    self.need = 6
                    break
                length, self.pdv_context, self.control = _PDV.unpack_from(data, position)
                if length < 2 or length + 4 > self.left:
                    dialogue.bad_pdv(
                        self,
                        length,
                        base + position,
                        f"a PDV of {length} bytes in {self.left - 4} that are left",
                    )
                    if length < 2:
                        self.mode = Mode.SKIP
                        continue
                    length = self.left - 4
                self.pdv_left = length - 2
                self.left -= 6
                position += 6
                dialogue.begin_pdv(self, length, self.control, base + position - 6)
                if not self.pdv_left:
                    dialogue.fragment(self, self.pdv_context, self.control, view[:0], base + position)
            elif mode == Mode.SKIP:
                take = min(size - position, self.left)
                position += take
                self.left -= take
                if self.left:
                    self.need = 1
                    break
                self.mode = Mode.PDU
            elif mode == Mode.LOST:
                found, searched = detect.find_pdu(
                    data, position + self.searched, ended=ended, known=dialogue.dicom
                )
                if found is None:
                    self.searched = 0
                    position = searched
                    rest = size - position
                    self.need = rest + max(12, rest // 2)
                    break
                dialogue.found(self, self.lost_from, base + found)
                position, self.searched = found, 0
                self.mode = Mode.PDU
            elif mode == Mode.START:
                if dialogue.dicom:
                    self.mode = Mode.PDU
                    continue
                shape = detect.looks_like_request(view)
                if shape is False:
                    shape = detect.looks_like_answer(view)
                    if shape and not dialogue.may_be_answer(self):
                        shape = False
                if shape is None and not ended:
                    self.need = size + 1
                    break
                if shape:
                    dialogue.start(self)
                    self.mode = Mode.PDU
                elif self.mid_stream or self.gap_count:
                    self._lose(0)
                else:
                    self._die(data)
            else:
                position = size
                break
        rest = size - position
        self.parts = [data[position:]] if rest else []
        self.have = rest
        self.within = bool(rest) or self.mode in (Mode.DATA, Mode.SKIP)


def detect_later(data: bytes, position: int, length: int, size: int) -> bool:
    """Whether a PDU of unknown type ends where another may begin (or beyond what is there)."""
    after = position + 6 + length
    return after + 6 > size or detect.plausible_header(data, after)
