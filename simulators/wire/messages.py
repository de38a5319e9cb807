"""Messages to presentation data values and back, streaming (PS3.8 E, PS3.7 6.3.1).

Not built yet; the names stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from simulators.wire.commands import Command
from simulators.wire.limits import DEFAULT_LIMITS, Limits


class MessageStarted:
    """The command set is complete; if ``command.has_dataset``, fragments follow."""

    context_id: int
    command: Command


class DatasetFragment:
    """Bytes of the data set, valid until the connection's next ``buffer``/``receive_data``."""

    data: memoryview
    last: bool


class MessageComplete:
    """The message is whole."""

    context_id: int
    command: Command
    dataset_length: int


MessageEvent = MessageStarted | DatasetFragment | MessageComplete


class Assembler:
    """Presentation data values of one association to messages; keeps at most one command set in memory."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        raise NotImplementedError

    def events(self, fragments: Iterable[tuple[int, int, memoryview]]) -> Iterator[MessageEvent]:
        """Events of all fragments; give it ``connection.data_fragments()``.  Raises ``RemoteProtocolError``."""
        raise NotImplementedError


def fragments(
    context_id: int,
    command: Command | bytes,
    dataset: bytes | memoryview | Iterable[bytes | memoryview] | None = None,
    max_length: int = 16384,
) -> Iterator[bytes]:
    """The P-DATA-TF PDUs of one message, each within the peer's ``max_length`` (0 = any)."""
    raise NotImplementedError
