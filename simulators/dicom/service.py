"""What a service (PACS, RIS, printer) offers to the server that carries it.

Rules of this file:

* The server owns sockets, upper layer, message events and faults; a service owns what requests mean.
* A request's data set is pushed into a :class:`Sink` as it arrives; memory is the sink's business, and bounded.
* A service refuses by raising :class:`Refused`; whatever else it raises is a bug of ours, answered with 0110.
* Sinks and answers run in the association's thread; services are called by many of these at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from simulators.base import Emit
from simulators.dicom.elements import DataSet, MalformedDataset, decode
from simulators.dicom.negotiation import Policy
from simulators.wire.dimse import Command

SUCCESS = 0x0000
PENDING = 0xFF00
PENDING_UNSUPPORTED = 0xFF01
CANCELLED = 0xFE00
PROCESSING_FAILURE = 0x0110
NO_SUCH_CLASS = 0x0118
NOT_UNDERSTOOD = 0xC000
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
UNRECOGNISED_OPERATION = 0x0211
RESOURCE_LIMITATION = 0x0213
SOP_CLASS_NOT_SUPPORTED = 0x0122


class Request(NamedTuple):
    """A DIMSE request and the association it came on."""

    assoc: int
    calling: str
    called: str
    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    command: Command
    name: str
    """The command's name, ``C-STORE-RQ``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response: status, encoded data set or None, further command elements by keyword."""

    status: int = SUCCESS
    dataset: bytes | None = None
    elements: Mapping[str, Any] = field(default_factory=dict)


class Refused(Exception):
    """A request is answered with a failure of the service's own."""

    def __init__(self, status: int, reason: str, error_id: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.error_id = error_id


class Sink(Protocol):
    """Takes the data set of one request."""

    @property
    def expected(self) -> int:
        """Bytes of the data set that will certainly still come; 0: unknown."""

    def write(self, parts: Sequence[memoryview]) -> None:
        """Take fragments; the views are valid during the call only.  May raise :class:`Refused`."""

    def finish(self) -> Iterable[Answer]:
        """The message is whole: do it and yield the answers, the final one last.  May raise :class:`Refused`."""

    def abandon(self) -> None:
        """The message will never be whole, or is not to be performed; forget it."""


class Service(Protocol):
    """A service class provider."""

    source: str
    """First part of its event kinds: ``pacs``, ``ris``."""

    def policy(self) -> Policy:
        """What is accepted; asked for each association."""

    def begin(self, request: Request) -> Sink:
        """A request arrived (its command; the data set follows).  May raise :class:`Refused`."""

    def cancel(self, assoc: int, message_id: int) -> None:
        """C-CANCEL arrived for an operation that is answered at this moment."""


class Discard:
    """Takes a data set that nobody wants."""

    expected = 0

    def write(self, parts: Sequence[memoryview]) -> None:
        """Forget it."""

    def finish(self) -> Iterable[Answer]:
        """Nothing to say."""
        return ()

    def abandon(self) -> None:
        """Nothing to forget."""


class Collect:
    """Keeps a small data set, decodes it and hands it to ``perform``.

    ``limit``: bytes at most; beyond, the request is refused with ``too_long``.
    """

    expected = 0

    def __init__(
        self,
        request: Request,
        limit: int,
        perform: Callable[[Request, DataSet | None], Iterable[Answer]],
        *,
        too_long: int = RESOURCE_LIMITATION,
        malformed: int = NOT_UNDERSTOOD,
    ) -> None:
        self._request = request
        self._limit = limit
        self._perform = perform
        self._too_long = too_long
        self._malformed = malformed
        self._data = bytearray()

    def write(self, parts: Sequence[memoryview]) -> None:
        """Keep fragments."""
        for data in parts:
            if len(self._data) + len(data) > self._limit:
                self._data.clear()
                raise Refused(self._too_long, f"data set of more than {self._limit} bytes")
            self._data += data

    def finish(self) -> Iterable[Answer]:
        """Decode and perform."""
        dataset: DataSet | None = None
        if self._request.command.has_dataset:
            try:
                dataset = decode(self._data, self._request.transfer_syntax)
            except MalformedDataset as error:
                raise Refused(self._malformed, f"malformed data set: {error}") from None
        return self._perform(self._request, dataset)

    def abandon(self) -> None:
        """Forget it."""
        self._data.clear()


VERIFICATION = "1.2.840.10008.1.1"


class Echo:
    """Verification (PS3.4 A): answers C-ECHO and tells ``<source>.echoed``."""

    __slots__ = ("_emit", "_kind", "_request")
    expected = 0

    def __init__(self, request: Request, emit: Emit, source: str) -> None:
        self._request = request
        self._emit = emit
        self._kind = f"{source}.echoed"

    def write(self, parts: Sequence[memoryview]) -> None:
        """C-ECHO has no data set; forget what comes."""

    def finish(self) -> Iterable[Answer]:
        """Answer."""
        self._emit(self._kind, assoc=self._request.assoc, calling=self._request.calling)
        return _ECHO_ANSWER

    def abandon(self) -> None:
        """Nothing to forget."""


_ECHO_ANSWER = (Answer(),)
