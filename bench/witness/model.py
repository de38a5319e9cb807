"""What a capture says: conversations, associations, PDUs and messages, as plain values.

Rules of this file:

* Everything is frozen; frame numbers are Wireshark's: from 1, over the whole file, whatever the frames hold.
* Times are seconds since 1970 as captured.
* ``Association.problems`` holds every problem of the association; ``Message.problems`` those of them that concern
  the message.
* Data sets are :class:`bench.witness.dataset.DataSet`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from simulators.wire import PDU
from simulators.wire.commandtable import ELEMENTS, NO_DATASET

if TYPE_CHECKING:
    from bench.witness.dataset import DataSet, Element

Side: TypeAlias = Literal["requestor", "acceptor"]
"""A side of an association: who sent the A-ASSOCIATE-RQ, and whom it was sent to."""
End: TypeAlias = Literal["released", "aborted", "rejected", "closed", "reset", "open"]
"""How an association ended; ``closed``: by closing the TCP connection only; ``open``: not in the capture."""


def other_side(side: Side) -> Side:
    """The one that ``side`` talks to."""
    return "acceptor" if side == "requestor" else "requestor"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One end of a TCP connection."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that cannot be read as the wire should be.

    ``code`` is one of :data:`bench.witness.problems.CODES`; ``offset``: bytes from the start of the PDU (or, for
    problems of a TCP stream, from its start; of a capture file, from the file's start); ``pdu``: index of the PDU
    in its association; ``message``: number of the message.
    """

    code: str
    text: str
    frame: int | None
    side: Side | None = None
    offset: int | None = None
    pdu: int | None = None
    message: int | None = None
    context_id: int | None = None


@dataclass(frozen=True, slots=True)
class Pdu:
    """A PDU that is not P-DATA-TF.

    ``index`` counts all PDUs of the association in the order in which they became whole, P-DATA-TF too; ``length``
    is the length field; ``pdu`` is None when nothing sensible could be read; ``raw`` has the header too.
    """

    index: int
    side: Side
    kind: str
    frame: int
    last_frame: int
    time: float
    length: int
    pdu: PDU | None
    raw: bytes = field(repr=False)
    last_time: float = 0.0


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context: what was proposed and what was answered.

    ``result`` None: never answered.  ``proposed_role`` and ``accepted_role``: (SCU, SCP) of the requestor from role
    selection items for this abstract syntax, None when there was none.  ``answers``: how often it was answered.
    """

    id: int
    abstract: str
    proposed: tuple[str, ...]
    result: int | None
    transfer_syntax: str | None
    proposed_role: tuple[int, int] | None = None
    accepted_role: tuple[int, int] | None = None
    answers: int = 0

    @property
    def accepted(self) -> bool:
        """Whether the acceptor took it."""
        return self.result == 0


@dataclass(frozen=True, slots=True)
class Tcp:
    """The TCP connection below an association.

    ``zero_windows``: segments that announced no room (by either side); ``stalls``: pauses of 30 to 500 ms after a
    segment shorter than the largest, within one PDU (Nagle meeting delayed acknowledgement).
    """

    syn: bool = False
    first_fin: Side | None = None
    reset: Side | None = None
    zero_windows: int = 0
    stalls: int = 0
    gaps: tuple[Problem, ...] = ()
    one_direction: bool = False
    mid_stream: bool = False
    retransmissions: int = 0
    reordered: int = 0
    opened_by: Side | None = None


class Trail:
    """Which frame carried which byte of one direction of a TCP stream."""

    __slots__ = ("frames", "starts", "times")

    def __init__(self) -> None:
        self.starts = array("Q")
        self.frames = array("I")
        self.times = array("d")

    def index_at(self, position: int) -> int:
        """The entry that carried the byte at ``position`` of the stream."""
        return max(bisect_right(self.starts, position) - 1, 0)

    def frame_at(self, position: int) -> int:
        """The frame that carried the byte at ``position`` of the stream."""
        return self.frames[self.index_at(position)]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the bytes of a data set stand in their stream: one entry for each fragment."""

    trail: Trail
    offsets: array[int]
    positions: array[int]

    def frame_at(self, offset: int) -> int | None:
        """The frame that carried byte ``offset`` of the data set."""
        if not self.offsets:
            return None
        index = max(bisect_right(self.offsets, max(offset, 0)) - 1, 0)
        return self.trail.frame_at(self.positions[index] + max(offset, 0) - self.offsets[index])


CommandValue: TypeAlias = int | str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A command set as it was sent (PS3.7 6.3.1).

    ``elements`` are all elements in the order of the wire, unknown and repeated ones too; ``raw`` the bytes.
    """

    name: str
    elements: tuple[Element, ...]
    data: DataSet
    raw: bytes = field(repr=False)
    values: Mapping[int, CommandValue] = field(repr=False)
    problems: tuple[Problem, ...] = ()

    def get(self, keyword: str) -> CommandValue | None:
        """The value of an element of group 0000 by its keyword: US and UL as int, AT as tuple, others as text
        without padding; None when it is absent or unreadable."""
        number = 0 if keyword == "CommandGroupLength" else ELEMENTS.get(keyword)
        return None if number is None else self.values.get(number)

    def has(self, keyword: str) -> bool:
        """Whether the element is there at all, readable or not."""
        number = 0 if keyword == "CommandGroupLength" else ELEMENTS.get(keyword)
        return number is not None and any(element.tag == number for element in self.elements)

    def element(self, keyword: str) -> Element | None:
        """The (first) element as it was sent."""
        number = 0 if keyword == "CommandGroupLength" else ELEMENTS.get(keyword)
        return next((element for element in self.elements if element.tag == number), None)

    def _number(self, number: int) -> int | None:
        value = self.values.get(number)
        return value if isinstance(value, int) else None

    def _text(self, *numbers: int) -> str | None:
        for number in numbers:
            value = self.values.get(number)
            if isinstance(value, str):
                return value
        return None

    @property
    def command_field(self) -> int | None:
        """Command Field (0000,0100)."""
        return self._number(0x0100)

    @property
    def is_request(self) -> bool:
        """Whether bit 15 of Command Field is 0."""
        return not (self.command_field or 0) & 0x8000

    @property
    def message_id(self) -> int | None:
        """Message ID (0000,0110)."""
        return self._number(0x0110)

    @property
    def responded_to(self) -> int | None:
        """Message ID Being Responded To (0000,0120)."""
        return self._number(0x0120)

    @property
    def status(self) -> int | None:
        """Status (0000,0900)."""
        return self._number(0x0900)

    @property
    def has_dataset(self) -> bool:
        """Whether Command Data Set Type says that a data set follows (missing: no)."""
        return self.values.get(0x0800, NO_DATASET) != NO_DATASET

    @property
    def sop_class(self) -> str | None:
        """Affected or Requested SOP Class UID."""
        return self._text(0x0002, 0x0003)

    @property
    def sop_instance(self) -> str | None:
        """Affected or Requested SOP Instance UID."""
        return self._text(0x1000, 0x1001)


@dataclass(frozen=True, slots=True)
class Message:
    """A DIMSE message: a command set and, where it says so, a data set.

    ``number`` counts the messages of the association in the order in which their commands became whole;
    ``command_frame``: the frame that ended the command set; ``pdus``: the P-DATA-TF PDUs that carried it;
    ``largest_pdu``: the largest of their length fields; ``complete``: all fragments were seen;
    ``transfer_syntax``: the one the data set was read with.
    """

    association: int
    number: int
    sender: Side
    context: Context | None
    context_id: int
    command: Command
    dataset: DataSet | None
    first_frame: int
    command_frame: int
    last_frame: int
    first_time: float
    last_time: float
    first_pdu: int
    last_pdu: int
    pdus: int
    largest_pdu: int
    complete: bool
    problems: tuple[Problem, ...] = ()
    transfer_syntax: str | None = None
    dataset_length: int = 0
    largest_fragment: int = 0
    command_time: float = 0.0
    places: Places | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Such as ``C-STORE-RQ``."""
        return self.command.name

    @property
    def sop_class(self) -> str | None:
        """Affected or Requested SOP Class UID; without one the abstract syntax of the context."""
        return self.command.sop_class or (self.context.abstract if self.context else None)

    @property
    def sop_instance(self) -> str | None:
        """Affected or Requested SOP Instance UID."""
        return self.command.sop_instance

    def frame_at(self, offset: int) -> int:
        """The frame that carried byte ``offset`` of the data set."""
        found = self.places.frame_at(offset) if self.places is not None else None
        return self.first_frame if found is None else found


@dataclass(frozen=True, slots=True)
class Association:
    """One association, from its A-ASSOCIATE-RQ (or what was captured first of it) to its end.

    ``whole``: both directions were captured from the A-ASSOCIATE-RQ on, without a gap.  ``data_pdus``: P-DATA-TF
    PDUs by sender.  ``titles``: the called and calling AE title of the request, 32 bytes, also of one that was
    captured in part (then ``request`` is None).  ``ended_by``: who sent the A-RELEASE-RQ, the A-ABORT or the
    A-ASSOCIATE-RJ, or who closed or reset the TCP connection first.  ``first_frame``/``first_time`` are those of the
    TCP connection's first segment.
    """

    number: int
    requestor: Endpoint
    acceptor: Endpoint
    requestor_mac: str | None
    acceptor_mac: str | None
    request: Pdu | None
    answer: Pdu | None
    pdus: tuple[Pdu, ...]
    contexts: Mapping[int, Context]
    messages: tuple[Message, ...]
    problems: tuple[Problem, ...]
    tcp: Tcp
    first_frame: int
    last_frame: int
    first_time: float
    last_time: float
    end: End
    ended_by: Side | None
    whole: bool
    data_pdus: Mapping[Side, int] = field(default_factory=dict)
    titles: bytes = b""

    @property
    def called_raw(self) -> bytes:
        """The 16 bytes of the called AE title in the request; empty when they were not captured."""
        return self.titles[:16]

    @property
    def calling_raw(self) -> bytes:
        """The 16 bytes of the calling AE title in the request; empty when they were not captured."""
        return self.titles[16:]

    @property
    def called(self) -> str:
        """The called AE title without insignificant spaces."""
        return self.called_raw.decode("latin-1").strip(" ")

    @property
    def calling(self) -> str:
        """The calling AE title without insignificant spaces."""
        return self.calling_raw.decode("latin-1").strip(" ")

    @property
    def accepted(self) -> bool:
        """Whether the answer was an A-ASSOCIATE-AC."""
        return self.answer is not None and self.answer.kind == "A-ASSOCIATE-AC"

    @property
    def pdu_count(self) -> int:
        """All PDUs of both sides."""
        return len(self.pdus) + sum(self.data_pdus.values())

    def endpoint(self, side: Side) -> Endpoint:
        """The address of a side."""
        return self.requestor if side == "requestor" else self.acceptor


@dataclass(frozen=True, slots=True)
class Conversation:
    """A TCP conversation without an association.

    ``what``: ``tls``, ``hl7``, ``http``, ``ssh``, ``unknown``, ``refused`` (SYN answered by RST), ``unanswered``
    (only SYNs), ``empty`` (opened, no data).
    """

    opener: Endpoint
    other: Endpoint
    frames: int
    bytes: int
    what: str
    first_frame: int
    last_frame: int
    first_time: float
    last_time: float


@dataclass(frozen=True, slots=True)
class Capture:
    """All that was read.  Frames are numbered over all ``files`` in the order given here (by first time)."""

    files: tuple[str, ...]
    frames: int
    bytes: int
    associations: tuple[Association, ...]
    problems: tuple[Problem, ...]
    streams: tuple[Conversation, ...]
    first_time: float | None
    last_time: float | None
    first_frames: tuple[int, ...] = (1,)
    streams_left_out: int = 0

    @property
    def dicom_messages(self) -> int:
        """All messages of all associations."""
        return sum(len(association.messages) for association in self.associations)

    def locate(self, frame: int) -> tuple[str, int]:
        """The file of a frame, and its number in that file."""
        index = max(bisect_right(self.first_frames, frame) - 1, 0)
        return self.files[index], frame - self.first_frames[index] + 1
