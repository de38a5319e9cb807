"""PDUs to bytes and back (PS3.8 9.3 and D, PS3.7 D.3).

Rules of this file:

* :func:`encode` writes whatever it is given; :func:`decode` reads only what the standard and the limits allow.
* All numbers are big endian (PS3.8 9.3.1); reserved bytes are written as 0 and not tested.
* What a decoder meets and does not know is kept (items) or skipped (sub-items of a presentation context), as
  PS3.8 9.3.1 says; what it knows must be right.
* A bad peer is a :class:`RemoteProtocolError` with the reason for the A-ABORT; no other exception leaves here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, TypeAlias

from simulators.wire.errors import LocalProtocolError, RemoteProtocolError
from simulators.wire.limits import DEFAULT_LIMITS, Limits
from simulators.wire.pdu import (
    PDU,
    PDV,
    Abort,
    ApplicationContext,
    AssociateAccept,
    AssociateItem,
    AssociateReject,
    AssociateRequest,
    PresentationContextAC,
    PresentationContextRQ,
    PresentationData,
    RawItem,
    RawPDU,
    ReleaseRequest,
    ReleaseResponse,
    UserInformation,
)
from simulators.wire.useritems import decode_user_items, encode_text, encode_user_item, item, read_uid

Bytes: TypeAlias = bytes | bytearray | memoryview

# A-ABORT reasons of the service provider (PS3.8 Table 9-26)
UNRECOGNIZED_PDU: Final = 1
UNEXPECTED_PDU: Final = 2
UNEXPECTED_PARAMETER: Final = 5
INVALID_PARAMETER: Final = 6

HEADER: Final = struct.Struct(">BxI")
PDV_HEADER: Final = struct.Struct(">IBB")
# The header of a P-DATA-TF PDU and of its first PDV in one go.
DATA_HEADER: Final = struct.Struct(">BxIIBB")
_ASSOCIATE: Final = struct.Struct(">H2x16s16s32x")
_ITEM: Final = struct.Struct(">BxH")
_CONTEXT_AC: Final = struct.Struct(">BxHBxBxBxH")

_AE_FORBIDDEN: Final = re.compile(rb"[^\x20-\x7e]|\\")


# -- writing ------------------------------------------------------------------------------------------------


def encode(pdu: PDU | RawPDU) -> bytes:
    """The bytes of a PDU, whatever it holds.

    An AE title longer than 16 characters is written in full (and so displaces what follows).  Raises
    :class:`LocalProtocolError` only for a number or length that has no place in its field.
    """
    try:
        return _encode(pdu)
    except (struct.error, OverflowError) as error:
        raise LocalProtocolError(f"{type(pdu).__name__} cannot be written: {error}") from None


def _encode(pdu: PDU | RawPDU) -> bytes:
    if isinstance(pdu, PresentationData):
        body = b"".join(
            PDV_HEADER.pack(len(pdv.data) + 2, pdv.context_id, pdv.control) + pdv.data for pdv in pdu.pdvs
        )
        return HEADER.pack(4, len(body)) + body
    if isinstance(pdu, AssociateRequest | AssociateAccept):
        body = b"".join(
            (
                struct.pack(">H2x", pdu.protocol_version),
                encode_text(pdu.called).ljust(16),
                encode_text(pdu.calling).ljust(16),
                bytes(32),
                *map(_encode_item, pdu.items),
            )
        )
        return HEADER.pack(1 if isinstance(pdu, AssociateRequest) else 2, len(body)) + body
    if isinstance(pdu, AssociateReject):
        return struct.pack(">BxIxBBB", 3, 4, pdu.result, pdu.source, pdu.reason)
    if isinstance(pdu, ReleaseRequest):
        return b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
    if isinstance(pdu, ReleaseResponse):
        return b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"
    if isinstance(pdu, Abort):
        return struct.pack(">BxIxxBB", 7, 4, pdu.source, pdu.reason)
    if isinstance(pdu, RawPDU):
        return HEADER.pack(pdu.pdu_type, len(pdu.data) if pdu.length is None else pdu.length) + pdu.data
    raise LocalProtocolError(f"not a PDU: {pdu!r}")


def _encode_item(value: AssociateItem) -> bytes:
    if isinstance(value, PresentationContextRQ):
        return item(
            0x20,
            b"".join(
                (
                    struct.pack(">B3x", value.context_id),
                    item(0x30, encode_text(value.abstract_syntax)),
                    *(item(0x40, encode_text(uid)) for uid in value.transfer_syntaxes),
                )
            ),
        )
    if isinstance(value, PresentationContextAC):
        if value.transfer_syntax is None:
            return item(0x21, struct.pack(">BxBx", value.context_id, value.result))
        uid = encode_text(value.transfer_syntax)
        length = len(uid)
        return _CONTEXT_AC.pack(0x21, length + 8, value.context_id, value.result, 0x40, length) + uid
    if isinstance(value, ApplicationContext):
        return item(0x10, encode_text(value.uid))
    if isinstance(value, UserInformation):
        return item(0x50, b"".join(map(encode_user_item, value.items)))
    if isinstance(value, RawItem):
        return item(value.item_type, value.data, value.length)
    raise LocalProtocolError(f"not an item of an A-ASSOCIATE PDU: {value!r}")


# -- reading ------------------------------------------------------------------------------------------------


def check_length(pdu_type: int, length: int, data_limit: int, limits: Limits) -> None:
    """Judge a PDU by its 6-byte header; raises :class:`RemoteProtocolError`.

    ``data_limit``: what a P-DATA-TF PDU may have.  An A-ASSOCIATE PDU has at least its fixed 68 bytes.
    """
    if pdu_type == 4:
        if length > data_limit:
            raise RemoteProtocolError(
                f"P-DATA-TF of {length} bytes, at most {data_limit} allowed", INVALID_PARAMETER
            )
        if length < 6:
            raise RemoteProtocolError(f"P-DATA-TF of {length} bytes has no PDV", INVALID_PARAMETER)
    elif pdu_type in (1, 2):
        if not 68 <= length <= limits.associate_length:
            raise RemoteProtocolError(
                f"A-ASSOCIATE PDU of {length} bytes, allowed are 68 to {limits.associate_length}",
                INVALID_PARAMETER,
            )
    elif pdu_type in (3, 5, 6, 7):
        if length != 4:
            raise RemoteProtocolError(
                f"PDU type {pdu_type:02X}H of {length} bytes, must be 4", INVALID_PARAMETER
            )
    else:
        raise RemoteProtocolError(f"unknown PDU type {pdu_type:02X}H", UNRECOGNIZED_PDU)


def decode(data: Bytes, limits: Limits = DEFAULT_LIMITS) -> PDU:
    """Read exactly one PDU strictly.  Raises :class:`RemoteProtocolError`."""
    if len(data) < 6:
        raise RemoteProtocolError(f"a PDU header has 6 bytes, here are {len(data)}", UNRECOGNIZED_PDU)
    pdu_type, length = HEADER.unpack_from(data)
    check_length(pdu_type, length, limits.data_length, limits)
    if len(data) != 6 + length:
        raise RemoteProtocolError(f"PDU of {length} bytes, here are {len(data) - 6}", INVALID_PARAMETER)
    return decode_body(pdu_type, memoryview(data)[6:], limits)


def decode_body(pdu_type: int, body: memoryview, limits: Limits) -> PDU:
    """Read a PDU whose header passed :func:`check_length`; ``body`` is its whole variable field."""
    if pdu_type == 4:
        return PresentationData(
            tuple(
                PDV(context_id, control, bytes(data))
                for context_id, control, data in split_pdvs(body, limits)
            )
        )
    if pdu_type == 1 or pdu_type == 2:
        return _decode_associate(pdu_type, bytes(body), limits)
    if pdu_type == 3:
        result, source = body[1], body[2]
        if result not in (1, 2) or source not in (1, 2, 3):
            raise RemoteProtocolError(
                f"A-ASSOCIATE-RJ with result {result}, source {source}", INVALID_PARAMETER
            )
        return AssociateReject(result, source, body[3])
    if pdu_type == 5:
        return ReleaseRequest()
    if pdu_type == 6:
        return ReleaseResponse()
    # An A-ABORT is believed whatever it says: answering it with another one would help nobody.
    return Abort(body[2], body[3])


def split_pdvs(body: memoryview, limits: Limits) -> list[tuple[int, int, memoryview]]:
    """(context id, control, data) of every PDV of a P-DATA-TF's variable field, without copying (PS3.8 9.3.5.1)."""
    pdvs: list[tuple[int, int, memoryview]] = []
    position, end = 0, len(body)
    while position < end:
        if end - position < 6:
            raise RemoteProtocolError("a PDV header ends beyond its PDU", INVALID_PARAMETER)
        length, context_id, control = PDV_HEADER.unpack_from(body, position)
        after = position + 4 + length
        if length < 2 or after > end:
            raise RemoteProtocolError(f"PDV length {length} does not fit its PDU", INVALID_PARAMETER)
        if len(pdvs) == limits.pdvs:
            raise RemoteProtocolError(f"more than {limits.pdvs} PDVs in a PDU", INVALID_PARAMETER)
        pdvs.append((context_id, control, body[position + 6 : after]))
        position = after
    return pdvs


def _split_items(data: bytes, start: int, what: str) -> Iterator[tuple[int, bytes]]:
    position, end = start, len(data)
    while position < end:
        if end - position < 4:
            raise RemoteProtocolError(f"an item header ends beyond {what}", INVALID_PARAMETER)
        item_type, length = _ITEM.unpack_from(data, position)
        after = position + 4 + length
        if after > end:
            raise RemoteProtocolError(
                f"item {item_type:02X}H of {length} bytes ends beyond {what}", INVALID_PARAMETER
            )
        yield item_type, data[position + 4 : after]
        position = after


@lru_cache(maxsize=256)
def _ae_title(field: bytes, what: str) -> str:
    """An AE title without its insignificant spaces (PS3.8 9.3.2: 16 characters of ISO 646, PS3.5: not blank)."""
    if _AE_FORBIDDEN.search(field):
        raise RemoteProtocolError(f"{what} AE title {field!r} has forbidden characters", INVALID_PARAMETER)
    title = field.strip(b" ").decode("ascii")
    if not title:
        raise RemoteProtocolError(f"{what} AE title is blank", INVALID_PARAMETER)
    return title


def _decode_associate(pdu_type: int, body: bytes, limits: Limits) -> AssociateRequest | AssociateAccept:
    version, called, calling = _ASSOCIATE.unpack_from(body)
    items: list[AssociateItem] = []
    seen: set[int] = set()
    applications = users = others = 0
    context_type = 0x20 if pdu_type == 1 else 0x21
    for item_type, data in _split_items(body, 68, "the PDU"):
        if item_type == context_type:
            context: PresentationContextRQ | PresentationContextAC
            context = _context_rq(data, limits) if pdu_type == 1 else _context_ac(data, limits)
            if context.context_id in seen:
                raise RemoteProtocolError(
                    f"presentation context id {context.context_id} is used twice", INVALID_PARAMETER
                )
            seen.add(context.context_id)
            if len(seen) > limits.contexts:
                raise RemoteProtocolError(
                    f"more than {limits.contexts} presentation contexts", INVALID_PARAMETER
                )
            items.append(context)
        elif item_type == 0x10:
            applications += 1
            items.append(ApplicationContext(read_uid(data, limits.uid)))
        elif item_type == 0x50:
            users += 1
            items.append(UserInformation(decode_user_items(data, limits)))
        elif item_type in (0x20, 0x21, 0x30, 0x40):
            raise RemoteProtocolError(f"item {item_type:02X}H has no place here", UNEXPECTED_PARAMETER)
        else:
            others += 1
            if others > limits.user_items:
                raise RemoteProtocolError(f"more than {limits.user_items} unknown items", INVALID_PARAMETER)
            items.append(RawItem(item_type, data))
    if applications != 1 or users != 1 or not seen:
        raise RemoteProtocolError(
            f"{applications} application context items, {len(seen)} presentation context items, {users} user "
            "information items: needed are 1, 1 or more, 1",
            INVALID_PARAMETER,
        )
    if pdu_type == 1:
        return AssociateRequest(
            _ae_title(called, "called"), _ae_title(calling, "calling"), tuple(items), version
        )
    # In the answer these 32 bytes are echoes that shall not be tested (PS3.8 9.3.3).
    return AssociateAccept(
        called.rstrip(b" ").decode("latin-1"), calling.rstrip(b" ").decode("latin-1"), tuple(items), version
    )


def _context_id(data: bytes) -> int:
    if len(data) < 4:
        raise RemoteProtocolError(f"presentation context item of {len(data)} bytes", INVALID_PARAMETER)
    context_id = data[0]
    if not context_id & 1:
        raise RemoteProtocolError(f"presentation context id {context_id} is not odd", INVALID_PARAMETER)
    return context_id


# A peer proposes the same contexts with every association; contexts are immutable, so one reading serves all.
_SHORT_CONTEXT: Final = 1024


def _context_rq(data: bytes, limits: Limits) -> PresentationContextRQ:
    if len(data) <= _SHORT_CONTEXT:
        return _read_context_rq_cached(data, limits.transfer_syntaxes, limits.uid)
    return _read_context_rq(data, limits.transfer_syntaxes, limits.uid)


def _read_context_rq(data: bytes, syntaxes: int, uid: int) -> PresentationContextRQ:
    context_id = _context_id(data)
    abstract: str | None = None
    transfers: list[str] = []
    for item_type, value in _split_items(data, 4, f"presentation context {context_id}"):
        if item_type == 0x40:
            if len(transfers) == syntaxes:
                raise RemoteProtocolError(
                    f"more than {syntaxes} transfer syntaxes in context {context_id}", INVALID_PARAMETER
                )
            transfers.append(read_uid(value, uid))
        elif item_type == 0x30:
            if abstract is not None:
                raise RemoteProtocolError(f"two abstract syntaxes in context {context_id}", INVALID_PARAMETER)
            abstract = read_uid(value, uid)
    if abstract is None or not transfers:
        raise RemoteProtocolError(
            f"context {context_id} lacks its abstract syntax or any transfer syntax", INVALID_PARAMETER
        )
    return PresentationContextRQ(context_id, abstract, tuple(transfers))


_read_context_rq_cached = lru_cache(maxsize=512)(_read_context_rq)


def _context_ac(data: bytes, limits: Limits) -> PresentationContextAC:
    context_id, result = _context_id(data), data[2]
    if result > 4:
        raise RemoteProtocolError(f"context {context_id} has result {result}", INVALID_PARAMETER)
    transfer: str | None = None
    for item_type, value in _split_items(data, 4, f"presentation context {context_id}"):
        if item_type != 0x40:
            continue
        if transfer is not None:
            raise RemoteProtocolError(f"two transfer syntaxes in context {context_id}", INVALID_PARAMETER)
        # Without acceptance the field has no meaning and shall not be tested (PS3.8 9.3.3.2).
        transfer = read_uid(value, limits.uid) if result == 0 else value.decode("latin-1")
    if result == 0 and transfer is None:
        raise RemoteProtocolError(
            f"accepted context {context_id} lacks its transfer syntax", INVALID_PARAMETER
        )
    return PresentationContextAC(context_id, result, transfer)
