"""A real capture said again in the laboratory, so that one defect can be made in it on the way.

    tape = record("wire.pcapng")        # PDUs and messages of every DICOM connection, byte for byte
    lab = Lab(); lab.edit(change)       # sees every message, and may change it
    replay(tape, lab); lab.write(path)

Rules of this file:

* For whole captures of a bench only: every packet is there, and the order of the wire is the order of the file.
* What no edit touches is written as it was, byte for byte; a message that is not touched keeps its cut.
* Pixels may be made smaller on the way (:func:`small`), or a night of mutants would take days: what is judged stays
  true, since rows, columns and extremes are made to fit.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.scenario import dictionary
from bench.witness.capture import Source
from bench.witness.frames import Decoder, Segment
from simulators.wire import AssociateAccept, AssociateRequest, decode
from simulators.wire.dimse import Command, decode_command, encode_command
from tests.lab.conversation import Conversation, Cut, Lab, Outgoing, Side
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE, LONG, UNDEFINED, DataSet, Element, Fragments

_HEADER: Final = struct.Struct(">BxI")
_SIDES: Final[tuple[Side, Side]] = ("requestor", "acceptor")
EDGE: Final = 32
"""Rows and columns of pixels that were made small."""


@dataclass(frozen=True, slots=True)
class Said:
    """A PDU or a whole message of one side, or the end of the connection; ``data`` are the bytes of a PDU."""

    time: float
    side: Side
    data: bytes = b""
    context_id: int = 0
    command: bytes = b""
    dataset: bytes | None = None
    longest: int = 0
    end: str = ""


@dataclass(slots=True)
class Talk:
    """One connection with everything that was said on it."""

    client: tuple[str, int]
    server: tuple[str, int]
    begin: float
    said: list[Said] = field(default_factory=list)


Tape = tuple[Talk, ...]
"""Connections in the order in which they began."""
Change = Callable[[int, Said], Said | None]
"""What becomes of something said on the connection with a number from 0; None: it is left out."""


def record(path: Path | str) -> Tape:
    """Read the DICOM connections of a whole capture."""
    source, decoder = Source.open(path), Decoder()
    lines: dict[bytes, _Line] = {}
    done: list[_Line] = []
    for number, frame in enumerate(source.frames(), 1):
        segment = decoder.segment(frame[1], frame[2], frame[3], frame[4], number)
        if segment is not None:
            key, backwards = segment.key, _turned(segment.key)
            line = lines.get(key) or lines.get(backwards)
            if segment.flags & 0x12 == 0x02:
                line = lines[key] = _Line(key, frame[0])
                done.append(line)
                lines.pop(backwards, None)
            if line is not None:
                line.take(segment, frame[0], 0 if key == line.key else 1)
    talks = [line.talk() for line in done if line.pdus]
    return tuple(sorted(talks, key=lambda talk: talk.begin))


def _turned(key: bytes) -> bytes:
    size = (len(key) - 4) // 2
    return key[size : 2 * size] + key[:size] + key[2 * size + 2 :] + key[2 * size : 2 * size + 2]


def _ends(key: bytes) -> tuple[tuple[str, int], tuple[str, int]]:
    size = (len(key) - 4) // 2
    if size != 4:
        raise ValueError("a bench speaks IPv4")
    ports = struct.unpack(">HH", key[8:])
    return (".".join(map(str, key[:4])), ports[0]), (".".join(map(str, key[4:8])), ports[1])


class _Line:
    """The two directions of a connection on their way to PDUs."""

    def __init__(self, key: bytes, begin: float) -> None:
        self.key, self.begin = key, begin
        self.next: list[int | None] = [None, None]
        self.bytes = [bytearray(), bytearray()]
        self.waiting: list[dict[int, bytes]] = [{}, {}]
        self.pdus: list[tuple[float, int, bytes]] = []
        self.ends: list[tuple[float, int, str]] = []

    def take(self, segment: Segment, time: float, side: int) -> None:
        if segment.flags & 0x02:
            self.next[side] = (segment.seq + 1) & 0xFFFFFFFF
            return
        if segment.length:
            wanted = self.next[side]
            if wanted is None or not (wanted - segment.seq - 1) & 0xFFFFFFFF < 1 << 31:  # not sent again
                self.waiting[side][segment.seq] = bytes(segment.data)
            self._deliver(time, side, segment.seq)
        if segment.flags & 0x04:
            self.ends.append((time, side, "rst"))
        elif segment.flags & 0x01:
            self.ends.append((time, side, "fin"))

    def _deliver(self, time: float, side: int, first: int) -> None:
        """Take what is next; a segment that the recorder saw too early waits for the one before it."""
        wanted = first if self.next[side] is None else self.next[side]
        assert wanted is not None
        buffer = self.bytes[side]
        while (data := self.waiting[side].pop(wanted, None)) is not None:
            buffer += data
            wanted = (wanted + len(data)) & 0xFFFFFFFF
        self.next[side] = wanted
        while len(buffer) >= 6:
            total = 6 + _HEADER.unpack_from(buffer)[1]
            if len(buffer) < total:
                break
            self.pdus.append((time, side, bytes(buffer[:total])))
            del buffer[:total]

    def talk(self) -> Talk:
        if any(self.waiting):
            raise ValueError("a segment is missing: only whole captures are replayed")
        talk = Talk(*_ends(self.key), self.begin)
        parts: list[_Parts] = [_Parts(), _Parts()]
        for time, side, data in self.pdus:
            if data[0] == 4:
                talk.said += parts[side].take(time, _SIDES[side], data)
            else:
                talk.said.append(Said(time, _SIDES[side], data))
        talk.said += [Said(time, _SIDES[side], end=what) for time, side, what in self.ends]
        talk.said.sort(key=lambda one: one.time)
        return talk


class _Parts:
    """Presentation data values of one side on their way to a message."""

    def __init__(self) -> None:
        self.command, self.dataset = bytearray(), bytearray()
        self.longest = 0

    def take(self, time: float, side: Side, data: bytes) -> list[Said]:
        done: list[Said] = []
        self.longest = max(self.longest, len(data) - 6)
        at = 6
        while at < len(data):
            (length,) = struct.unpack_from(">I", data, at)
            context, control = data[at + 4], data[at + 5]
            (self.command if control & 1 else self.dataset).extend(data[at + 6 : at + 4 + length])
            at += 4 + length
            if control & 2 and (not control & 1 or not decode_command(bytes(self.command)).has_dataset):
                said = bytes(self.dataset) if not control & 1 else None
                done.append(Said(time, side, b"", context, bytes(self.command), said, longest=self.longest))
                self.command, self.dataset, self.longest = bytearray(), bytearray(), 0
        return done


def replay(tape: Tape, lab: Lab, *, change: Change | None = None) -> None:
    """Say a tape again; *change* may replace or leave out anything but messages, which ``lab.edit`` sees."""
    calls: list[tuple[float, int, Talk, Said | None]] = []
    for number, talk in enumerate(tape):
        calls.append((talk.begin, number, talk, None))
        calls += [(one.time, number, talk, one) for one in talk.said]
    calls.sort(key=lambda call: (call[0], call[1]))
    if calls:  # the hour stays what it was: dates in data sets are compared with it
        lab.time = calls[0][0]
    open_: dict[int, Conversation] = {}
    for time, number, talk, said in calls:
        lab.time = max(lab.time, time)
        if said is not None and change is not None and not said.command:
            said = change(number, said)
            if said is None:
                continue
        if said is None:
            continue
        if number not in open_:
            request = decode(said.data)
            if not isinstance(request, AssociateRequest):
                raise ValueError("a connection that does not begin with A-ASSOCIATE-RQ")
            for edit in lab.request_edits:
                request = edit(request)
            edits, lab.request_edits = lab.request_edits, []
            conversation = open_[number] = lab.associate(
                client=talk.client[0],
                client_port=talk.client[1],
                server=talk.server[0],
                port=talk.server[1],
                request=request,
                say=not edits,
            )
            lab.request_edits = edits
            if edits:
                conversation.pdu("requestor", request)
            continue
        _say(open_[number], said)


def _say(conversation: Conversation, said: Said) -> None:
    if said.end:
        conversation.stream.add(conversation.lab.time, said.side != "requestor", said.end)
    elif not said.command:
        if said.data[0] == 2:
            answer = decode(said.data)
            assert isinstance(answer, AssociateAccept)
            conversation.limits["acceptor"] = answer.max_length or 65536
            for context in answer.contexts:
                abstract = conversation.contexts.get(context.context_id, ("", None))[0]
                accepted = context.transfer_syntax if not context.result else None
                conversation.contexts[context.context_id] = (abstract, accepted)
        conversation.say(said.side, said.data)
    else:
        command: Command = decode_command(said.command)
        syntax = conversation.contexts.get(said.context_id, ("", None))[1] or EXPLICIT_LE
        dataset = read(said.dataset, syntax) if said.dataset is not None else None
        kept = command if encode_command(command) == said.command else said.command
        how = Cut(longest=said.longest if said.dataset is not None else None)
        conversation._send(
            Outgoing(conversation, said.side, command.name, kept, dataset, said.context_id, how, syntax)
        )


# Data sets


def read(data: bytes, transfer_syntax: str) -> DataSet:
    """A data set whose values are the bytes that were sent; sequences can be changed like any other."""
    made, end = _read(data, 0, len(data), transfer_syntax)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes behind the data set")
    return made


def _read(data: bytes, at: int, end: int, syntax: str) -> tuple[DataSet, int]:
    order, explicit = (">" if syntax == "1.2.840.10008.1.2.2" else "<"), syntax != IMPLICIT_LE
    made = DataSet()
    while at < end:
        group, number = struct.unpack_from(f"{order}HH", data, at)
        tag = group << 16 | number
        if tag in (0xFFFEE00D, 0xFFFEE0DD):
            return made, at + 8
        if explicit:
            vr = data[at + 4 : at + 6].decode("ascii")
            size = 12 if vr in LONG else 8
            (length,) = struct.unpack_from(
                f"{order}{'I' if size == 12 else 'H'}", data, at + size - (4 if size == 12 else 2)
            )
        else:
            vr = _vr(tag)
            size, (length,) = 8, struct.unpack_from("<I", data, at + 4)
        at += size
        undefined = length == UNDEFINED
        if vr == "SQ":
            items, at = _items(data, at, end if undefined else at + length, syntax, undefined)
            made.elements.append(Element(tag, vr, items, undefined=undefined))
        elif undefined:
            fragments, at = _fragments(data, at, order)
            made.elements.append(Element(tag, vr, fragments))
        else:
            made.elements.append(Element(tag, vr, data[at : at + length]))
            at += length
    return made, at


def _vr(tag: int) -> str:
    keyword = dictionary.keywords_by_tag().get(f"{tag:08X}")
    return dictionary.elements()[keyword].vr if keyword else "UN"


def _items(data: bytes, at: int, end: int, syntax: str, undefined: bool) -> tuple[list[DataSet], int]:
    order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
    found: list[DataSet] = []
    while at < end:
        group, number, length = struct.unpack_from(f"{order}HHI", data, at)
        at += 8
        if group << 16 | number == 0xFFFEE0DD:
            return found, at
        item, at = _read(data, at, len(data) if length == UNDEFINED else at + length, syntax)
        found.append(item)
    return found, at


def _fragments(data: bytes, at: int, order: str) -> tuple[Fragments, int]:
    found: list[bytes] = []
    while True:
        group, number, length = struct.unpack_from(f"{order}HHI", data, at)
        at += 8
        if group << 16 | number == 0xFFFEE0DD:
            break
        found.append(data[at : at + length])
        at += length
    table = struct.unpack(f"<{len(found[0]) // 4}I", found[0]) if found[0] else None
    return Fragments(tuple(found[1:]), table), at


def small(out: Outgoing) -> None:
    """An edit: native pixels of 16 bits become a corner of :data:`EDGE` x :data:`EDGE`, and what tells of them fits."""
    made: Any = out.dataset
    if (
        not isinstance(made, DataSet)
        or out.name != "C-STORE-RQ"
        or not isinstance(made.get("PixelData"), bytes)
    ):
        return
    columns = struct.unpack("<H", made.get("Columns"))[0]
    rows = struct.unpack("<H", made.get("Rows"))[0]
    pixels = made.get("PixelData")
    if rows <= EDGE or columns <= EDGE or len(pixels) != rows * columns * 2:
        return
    first = (rows - EDGE) // 2
    left = (columns - EDGE) // 2
    lines = (pixels[2 * ((first + y) * columns + left) :][: 2 * EDGE] for y in range(EDGE))
    corner = b"".join(lines)
    values = struct.unpack(f"<{EDGE * EDGE}H", corner)
    for keyword, value in (("Rows", EDGE), ("Columns", EDGE)):
        made.put(keyword, value)
    for keyword, value in (("SmallestImagePixelValue", min(values)), ("LargestImagePixelValue", max(values))):
        if made.has(keyword):
            made.put(keyword, value, vr="US")
    made.put("PixelData", corner, vr="OW")
