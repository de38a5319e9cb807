"""PDUs to bytes and back (PS3.8 9.3, D; PS3.7 D.3)."""

from __future__ import annotations

from simulators.wire.limits import DEFAULT_LIMITS, Limits
from simulators.wire.pdu import PDU, RawPDU


def encode(pdu: PDU | RawPDU) -> bytes:
    """The bytes of a PDU, whatever it holds.

    Raises :class:`LocalProtocolError` only for numbers that have no place in their field.
    """
    raise NotImplementedError


def decode(data: bytes | bytearray | memoryview, limits: Limits = DEFAULT_LIMITS) -> PDU:
    """Read exactly one PDU strictly.  Raises :class:`RemoteProtocolError`."""
    raise NotImplementedError
