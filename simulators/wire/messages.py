"""Messages to presentation data values and back, streaming (PS3.7 6.3.1, PS3.8 E).

Rules of this file:

* One message at a time: all fragments of a message travel in one presentation context, the command set first, and
  no fragment of another message comes between (PS3.8 E.1, E.2).
* A command set is kept until it is whole (and is limited); a data set is never kept, its fragments are handed on
  as they are.
* For whatever fragments arrive: events or :class:`RemoteProtocolError`, never anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from simulators.wire.codec import DATA_HEADER
from simulators.wire.commands import Command, decode_command, encode_command
from simulators.wire.errors import LocalProtocolError, RemoteProtocolError
from simulators.wire.limits import DEFAULT_LIMITS, Limits

Bytes: TypeAlias = bytes | bytearray | memoryview


class MessageStarted(NamedTuple):
    """The command set is complete; if ``command.has_dataset``, fragments of the data set follow."""

    context_id: int
    command: Command


class DatasetFragment(NamedTuple):
    """Bytes of the data set, valid until the connection's next ``buffer`` or ``receive_data``.  May be empty."""

    data: memoryview
    last: bool


class MessageComplete(NamedTuple):
    """The message is whole; ``dataset_length`` bytes of data set went by."""

    context_id: int
    command: Command
    dataset_length: int


MessageEvent: TypeAlias = MessageStarted | DatasetFragment | MessageComplete


class Assembler:
    """Makes messages of the presentation data values of one association."""

    __slots__ = ("_buffer", "_context_id", "_length", "_limits", "_pdvs", "command")

    command: Command | None
    """The command whose data set is arriving, or None."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = b""
        self._context_id = 0
        self._length = 0
        self._pdvs = 0
        self.command = None

    @property
    def idle(self) -> bool:
        """Whether no message is under way."""
        return self._pdvs == 0

    @property
    def dataset_length(self) -> int:
        """Bytes of the current message's data set that arrived so far."""
        return self._length

    def events(self, fragments: Iterable[tuple[int, int, memoryview]]) -> Iterator[MessageEvent]:
        """Events of (context id, control, data) fragments: ``assembler.events(connection.data_fragments())``.

        Raises :class:`RemoteProtocolError`, to be answered with ``connection.refuse(error)``; after that the assembler
        is of no use any more.
        """
        for context_id, control, data in fragments:
            if self._pdvs:
                if context_id != self._context_id:
                    raise RemoteProtocolError(
                        f"a fragment in context {context_id} within a message in context {self._context_id}"
                    )
                if self._pdvs >= self._limits.message_pdvs:
                    raise RemoteProtocolError(f"a message of more than {self._limits.message_pdvs} fragments")
            command = self.command
            if command is not None:
                if control & 1:
                    raise RemoteProtocolError(f"a command fragment within the data set of {command.name}")
                self._pdvs += 1
                length = self._length = self._length + len(data)
                if length > self._limits.dataset_length:
                    raise RemoteProtocolError(
                        f"data set of more than {self._limits.dataset_length} bytes in {command.name}"
                    )
                if not control & 2:
                    yield DatasetFragment(data, False)
                    continue
                yield DatasetFragment(data, True)
                self._reset()
                yield MessageComplete(context_id, command, length)
                continue
            if not control & 1:
                raise RemoteProtocolError("a data set fragment without a command set before it")
            self._pdvs += 1
            self._context_id = context_id
            if len(self._buffer) + len(data) > self._limits.command_length:
                raise RemoteProtocolError(f"command set of more than {self._limits.command_length} bytes")
            self._buffer += data
            if not control & 2:
                continue
            command = decode_command(self._buffer, self._limits)
            self._buffer = b""
            if command.has_dataset:
                self.command = command
                yield MessageStarted(context_id, command)
            else:
                self._reset()
                yield MessageStarted(context_id, command)
                yield MessageComplete(context_id, command, 0)

    def _reset(self) -> None:
        self.command = None
        self._pdvs = self._length = 0


_ANY_LENGTH: Final = 1 << 16  # what a fragment may have when the peer takes any length


def fragments(
    context_id: int,
    command: Command | bytes,
    dataset: Bytes | Iterable[Bytes] | None = None,
    max_length: int = 16384,
) -> Iterator[bytes]:
    """The P-DATA-TF PDUs of one message, each with one PDV and a variable field within ``max_length`` (0 = any).

    ``dataset``: one bytes-like object or an iterable of them, which are joined to full fragments; None: no data set
    fragments.  Fragments have even lengths, but for the last one of an odd data set.  Raises
    :class:`LocalProtocolError` when ``max_length`` has no room for a fragment.
    """
    room = (max_length or _ANY_LENGTH) - 6
    if room < 1:
        raise LocalProtocolError(f"a maximum length of {max_length} has no room for data")
    if room > 1:
        room &= ~1
    data = command if isinstance(command, bytes) else encode_command(command)
    yield from _split(context_id, 1, data, room)
    if dataset is None:
        return
    if isinstance(dataset, bytes | bytearray | memoryview):
        yield from _split(context_id, 0, dataset, room)
        return
    held = bytearray()
    for chunk in dataset:
        held += chunk
        # Keep at least one byte back: the last fragment must be known as such when it is written.
        whole = (len(held) - 1) // room * room
        if whole > 0:
            for start in range(0, whole, room):
                yield _pdu(context_id, 0, held[start : start + room])
            del held[:whole]
    yield from _split(context_id, 0, held, room)


def _split(context_id: int, control: int, data: Bytes, room: int) -> Iterator[bytes]:
    view = memoryview(data)
    end = len(view)
    start = 0
    while end - start > room:
        yield _pdu(context_id, control, view[start : start + room])
        start += room
    yield _pdu(context_id, control | 2, view[start:])


def _pdu(context_id: int, control: int, data: Bytes) -> bytes:
    length = len(data)
    return b"".join((DATA_HEADER.pack(4, length + 6, length + 2, context_id, control), data))
