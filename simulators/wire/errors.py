"""Who broke the protocol: we, or the peer.

Rules of this file:

* :class:`LocalProtocolError`: our side asked for something that the protocol does not allow here.  Nothing
  was sent and nothing changed.  On a bench this is an error of the bench, never a fault of the product.
* :class:`RemoteProtocolError`: the peer did.  It carries the PDU that the standard answers with; give the
  exception to :meth:`simulators.wire.Connection.refuse` to get the bytes.
* Nothing else is ever raised for what a peer sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulators.wire.pdu import Abort, AssociateReject


class ProtocolError(Exception):
    """Abstract base of the two; never raised itself."""


class LocalProtocolError(ProtocolError):
    """Our side tried something that the protocol does not allow in this state; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something malformed, too large, or not allowed in this state.

    ``abort_reason`` is the reason of an A-ABORT from the service provider (PS3.8 Table 9-26): 0 not
    specified, 1 unrecognized PDU, 2 unexpected PDU, 4 unrecognized, 5 unexpected, 6 invalid parameter.
    ``answer`` is the PDU that PS3.8 answers with (None: nothing is sent); it is set when a
    :class:`~simulators.wire.Connection` raised the error, whose state then already is after that answer.
    """

    __slots__ = ("abort_reason", "answer")

    def __init__(self, message: str, abort_reason: int = 0) -> None:
        super().__init__(message)
        self.abort_reason = abort_reason
        self.answer: Abort | AssociateReject | None = None
