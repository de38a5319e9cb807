"""What comes out of a connection besides PDUs, and who is who.

Rules of this file: plain values; the PDUs themselves are in :mod:`simulators.wire.pdu`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from simulators.wire.pdu import PDU
from simulators.wire.states import State


class Role(Enum):
    """Who asked for the association."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


class NeedData(Enum):
    """The type of :data:`NEED_DATA`."""

    NEED_DATA = "NEED_DATA"

    def __repr__(self) -> str:
        return "NEED_DATA"


NEED_DATA: Final = NeedData.NEED_DATA
"""What :meth:`Connection.next_event` returns when it needs more bytes."""


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The peer closed the transport connection.

    ``state`` is where the association was: Sta13 or Sta1 when it was over, elsewhere it is lost.  ``pending`` is the
    number of bytes of an unfinished PDU.
    """

    state: State
    pending: int = 0

    @property
    def clean(self) -> bool:
        """Whether the association was over."""
        return self.state is State.STA1 or self.state is State.STA13


Event: TypeAlias = PDU | ConnectionClosed
