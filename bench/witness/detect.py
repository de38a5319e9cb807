"""What a stream of bytes looks like: DICOM upper layer (at its start, or anywhere), or some other protocol.

Rules of this file: pure functions of bytes.  At the start of a connection the shape of an A-ASSOCIATE-RQ is enough;
in the middle a P-DATA-TF must agree with itself and with what follows it, for pixels hold everything.
"""

from __future__ import annotations

import re
import struct
from typing import Final

HEADER: Final = struct.Struct(">BBI")
ASSOCIATE_LONGEST: Final = 1 << 20
"""Bytes of an A-ASSOCIATE PDU that is believed."""
DATA_LONGEST: Final = 1 << 20
"""Bytes of a P-DATA-TF PDU that is recognised after a gap."""
PDVS: Final = 1000
"""Presentation data values that are compared with their PDU before it is believed."""
SHORT: Final = {3: 4, 5: 4, 6: 4, 7: 4}
"""PDU types of fixed length (PS3.8 9.3.4, 9.3.6 to 9.3.8)."""
_FIRST_ITEMS: Final = frozenset((0x10, 0x20, 0x21, 0x50))
_CANDIDATE: Final = re.compile(
    rb"\x04\x00\x00[\x00-\x0f]..\x00[\x00-\x0f]..[\x01\x03\x05\x07\x09\x0b\x0d\x0f\x11-\xff][\x00-\x03]"
    rb"|[\x05\x06]\x00\x00\x00\x00\x04\x00\x00\x00\x00"
    rb"|\x07\x00\x00\x00\x00\x04\x00\x00[\x00\x02][\x00-\x06]"
    rb"|\x01\x00\x00[\x00-\x0f]..\x00\x01",
    re.DOTALL,
)
_COMMAND: Final = b"\x00\x00\x00\x00\x04\x00\x00\x00"


def looks_like_request(data: bytes | memoryview) -> bool | None:
    """Whether a connection that begins so begins with an A-ASSOCIATE-RQ or -AC; None: more bytes are needed.

    Generous, because the faults of a request are to be reported: the type, a believable length and one of protocol
    version bit 0, printable AE titles or a known first item.
    """
    if not data or data[0] not in (1, 2):
        return False
    if len(data) < 6:
        return None
    _, _, length = HEADER.unpack_from(data)
    if not 68 <= length <= ASSOCIATE_LONGEST:
        return False
    if len(data) < min(6 + length, 78):
        return None
    version = bool(data[7] & 1) and data[6] == 0
    titles = all(32 <= byte < 127 for byte in bytes(data[10:42]))
    item = len(data) > 74 and data[74] in _FIRST_ITEMS
    return version + titles + item >= 2


def looks_like_answer(data: bytes | memoryview) -> bool | None:
    """Whether these are an A-ASSOCIATE-RJ, A-RELEASE or A-ABORT and nothing else; None: more bytes are needed."""
    if not data or data[0] not in SHORT:
        return False
    if len(data) < 10:
        return None
    kind, reserved, length = HEADER.unpack_from(data)
    if reserved or length != 4:
        return False
    if kind == 3:
        return bool(data[7] in (1, 2) and data[8] in (1, 2, 3))
    if kind == 7:
        return bool(data[8] in (0, 1, 2))
    return bytes(data[6:10]) == bytes(4)


def plausible_header(data: bytes | memoryview, position: int) -> bool:
    """Whether a PDU may begin at ``position`` (at least 6 bytes must be there)."""
    kind, reserved, length = HEADER.unpack_from(data, position)
    if reserved:
        return False
    if kind in SHORT:
        return bool(length == 4)
    if kind in (1, 2):
        return bool(68 <= length <= ASSOCIATE_LONGEST)
    return bool(kind == 4 and 6 <= length <= DATA_LONGEST)


def find_pdu(data: bytes, start: int, *, ended: bool, known: bool) -> tuple[int | None, int]:
    """Find the first PDU in the middle of a stream.

    ``ended``: no more bytes will come; ``known``: the conversation is DICOM for sure.

    Returns:
        The position of the PDU, or None; and the position up to which the search is finished for ever.
    """
    size = len(data)
    position = start
    while True:
        found = _CANDIDATE.search(data, position)
        if found is None:
            return None, max(start, size - 12)
        position = found.start()
        verdict = _verify(data, position, size, ended=ended, known=known)
        if verdict:
            return position, position
        if verdict is None:
            return None, position
        position += 1


def _verify(data: bytes, position: int, size: int, *, ended: bool, known: bool) -> bool | None:
    kind, _, length = HEADER.unpack_from(data, position)
    after = position + 6 + length
    if kind in SHORT:
        # Ten bytes that a picture may hold too: believed at the very end, or with another PDU behind them.
        if after == size:
            return True if known else None if not ended else False
        return known and after + 6 <= size and plausible_header(data, after)
    if kind == 1:
        return looks_like_request(data[position : position + 80])
    inner = position + 6
    first = True
    for _ in range(PDVS):
        if inner + 6 > min(after, size):
            break
        (pdv,) = struct.unpack_from(">I", data, inner)
        context, control = data[inner + 4], data[inner + 5]
        if pdv < 2 or inner + 4 + pdv > after or not context & 1 or control > 3:
            return False
        if first and control & 1 and data[inner + 6 : inner + 14] == _COMMAND:
            return True
        first = False
        inner += 4 + pdv
    else:
        return known
    if after + 6 > size:
        if ended or size - position > 2 * DATA_LONGEST:
            return bool(known and inner == after == size)
        return None
    return inner == after and plausible_header(data, after)


def protocol(data: bytes | memoryview) -> str:
    """The name of the protocol that begins so; ``unknown`` when it is none of the usual ones."""
    head = bytes(data[:16])
    if len(head) >= 3 and head[0] in (20, 21, 22, 23) and head[1] == 3 and head[2] <= 4:
        return "tls"
    if head[:1] == b"\x0b" or head[:4] in (b"MSH|", b"FHS|", b"BHS|"):
        return "hl7"
    if re.match(rb"(?:GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|TRACE|CONNECT|HTTP/|PRI) ?[\x20-\x7e]", head):
        return "http"
    for start, name in ((b"SSH-", "ssh"), (b"\xffSMB", "smb"), (b"\xfeSMB", "smb"), (b"220", "greeting")):
        if head.startswith(start) or head[4:].startswith(start):
            return name
    if head[:1] == b"\xff" and len(head) > 1 and head[1] >= 0xF0:
        return "telnet"
    return "unknown"
