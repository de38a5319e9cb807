"""The usual response, written in one go: no data set, no elements but the usual ones, one PDU.

Rules of this file:

* The same bytes as :meth:`simulators.wire.Connection.send_message` gives for the same response (a test compares them);
  whatever is unusual is left to that.
* It exists for the rate of small exchanges: it takes a tenth of the time.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

_PDU: Final = struct.Struct(">BxIIBB")
_LENGTH: Final = struct.Struct("<HHII")
_NUMBERS: Final = struct.Struct("<" + "HHIH" * 4)
_ELEMENT: Final = struct.Struct("<HHI")


@lru_cache(maxsize=256)
def _uid(number: int, uid: str) -> bytes:
    """A UID element; nothing for an empty one."""
    if not uid:
        return b""
    data = uid.encode("ascii")
    data += b"\0" * (len(data) & 1)
    return _ELEMENT.pack(0, number, len(data)) + data


def response(
    context_id: int, field: int, msgid: int, status: int, sop_class: str, sop_instance: str, max_length: int
) -> bytes | None:
    """The P-DATA-TF PDU of a response without data set, or ``None`` when it does not fit into one.

    Args:
        field: command field of the response.
        max_length: what the peer takes; 0 = any.
    """
    head = _uid(0x0002, sop_class)
    numbers = _NUMBERS.pack(
        0, 0x0100, 2, field, 0, 0x0120, 2, msgid, 0, 0x0800, 2, 0x0101, 0, 0x0900, 2, status
    )
    tail = _uid(0x1000, sop_instance)
    size = len(head) + len(numbers) + len(tail)
    if max_length and size + 18 > max_length:
        return None
    return b"".join(
        (_PDU.pack(4, size + 18, size + 14, context_id, 3), _LENGTH.pack(0, 0, 4, size), head, numbers, tail)
    )
