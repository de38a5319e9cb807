"""The DICOM upper layer and DIMSE without sockets and clock: events in, bytes out, limits on everything.

Start with :class:`Connection`; :mod:`simulators.wire.dimse` turns its data into messages.
"""

from simulators.wire import dimse as dimse
from simulators.wire.codec import decode, encode
from simulators.wire.connection import (
    NEED_DATA,
    AcceptedContext,
    Connection,
    ConnectionClosed,
    Event,
    Role,
)
from simulators.wire.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from simulators.wire.limits import DEFAULT_LIMITS, Limits
from simulators.wire.negotiate import accept
from simulators.wire.pdu import *  # noqa: F403
from simulators.wire.states import State
