"""The user items of A-ASSOCIATE PDUs to bytes and back (PS3.8 D.1, PS3.7 D.3.3).

Rules of this file: those of :mod:`simulators.wire.codec`, whose part it is.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import Final

from simulators.wire.errors import LocalProtocolError, RemoteProtocolError
from simulators.wire.limits import Limits
from simulators.wire.pdu import (
    AsyncOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    RawItem,
    RoleSelection,
    UserIdentityAC,
    UserIdentityRQ,
    UserItem,
)

_ITEM: Final = struct.Struct(">BBH")
_SHORT: Final = struct.Struct(">H")
_LONG: Final = struct.Struct(">I")
_UID: Final = re.compile(rb"[0-9]+(?:\.[0-9]+)*")
_INVALID: Final = 6
_ONCE: Final = frozenset((0x51, 0x52, 0x53, 0x55, 0x58, 0x59))


def encode_text(text: str) -> bytes:
    """Text as it goes on the wire: one byte per character where possible (so that every byte can be commanded)."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def item(item_type: int, data: bytes, length: int | None = None, reserved: int = 0) -> bytes:
    """An item or sub-item: type, reserved byte, length, data."""
    return _ITEM.pack(item_type, reserved, len(data) if length is None else length) + data


def _counted(data: bytes) -> bytes:
    return _SHORT.pack(len(data)) + data


def encode_user_item(value: UserItem) -> bytes:
    """The bytes of one user item; unchecked."""
    match value:
        case MaximumLength(length):
            return item(0x51, _LONG.pack(length))
        case ImplementationClassUID(uid):
            return item(0x52, encode_text(uid))
        case AsyncOperationsWindow(invoked, performed):
            return item(0x53, struct.pack(">HH", invoked, performed))
        case RoleSelection(sop_class, scu, scp):
            return item(0x54, _counted(encode_text(sop_class)) + struct.pack(">BB", scu, scp))
        case ImplementationVersionName(name):
            return item(0x55, encode_text(name))
        case ExtendedNegotiation(sop_class, information):
            return item(0x56, _counted(encode_text(sop_class)) + information)
        case CommonExtendedNegotiation(sop_class, service_class, related, version, reserved):
            classes = b"".join(_counted(encode_text(uid)) for uid in related)
            data = _counted(encode_text(sop_class)) + _counted(encode_text(service_class)) + _counted(classes)
            return item(0x57, data + reserved, reserved=version)
        case UserIdentityRQ(identity_type, response_requested, primary, secondary):
            head = struct.pack(">BB", identity_type, response_requested)
            return item(0x58, head + _counted(primary) + _counted(secondary))
        case UserIdentityAC(response):
            return item(0x59, _counted(response))
        case RawItem(item_type, data, length):
            return item(item_type, data, length)
        case _:
            raise LocalProtocolError(f"not a user item: {value!r}")


@lru_cache(maxsize=1024)
def read_uid(data: bytes, limit: int) -> str:
    """A UID as PS3.8 F writes it: digits and dots, no padding, at most ``limit`` (64) characters.

    Leading zeros of a component are let through: they are common, harmless here, and for a check to judge.
    """
    if len(data) > limit or not _UID.fullmatch(data):
        raise RemoteProtocolError(f"not a UID: {data[:80]!r}", _INVALID)
    return data.decode("ascii")


def decode_user_items(data: bytes, limits: Limits) -> tuple[UserItem, ...]:
    """Read the content of a User Information item; raises :class:`RemoteProtocolError`."""
    items: list[UserItem] = []
    seen: set[int] = set()
    position, end = 0, len(data)
    while position < end:
        if end - position < 4:
            raise RemoteProtocolError("a user item header ends beyond its item", _INVALID)
        item_type, reserved, length = _ITEM.unpack_from(data, position)
        after = position + 4 + length
        if after > end:
            raise RemoteProtocolError(f"user item {item_type:02X}H ends beyond its item", _INVALID)
        if len(items) == limits.user_items:
            raise RemoteProtocolError(f"more than {limits.user_items} user items", _INVALID)
        if item_type in seen and item_type in _ONCE:
            raise RemoteProtocolError(f"user item {item_type:02X}H is there twice", _INVALID)
        seen.add(item_type)
        items.append(_decode_one(item_type, reserved, data[position + 4 : after], limits))
        position = after
    return tuple(items)


def _decode_one(item_type: int, reserved: int, data: bytes, limits: Limits) -> UserItem:
    if item_type == 0x51:
        return MaximumLength(_LONG.unpack(_exactly(data, 4, item_type))[0])
    if item_type == 0x52:
        return ImplementationClassUID(read_uid(data, limits.uid))
    if item_type == 0x55:
        if not 1 <= len(data) <= limits.version_name or not data.isascii() or not data.decode().isprintable():
            raise RemoteProtocolError(f"not an implementation version name: {data[:80]!r}", _INVALID)
        return ImplementationVersionName(data.decode("ascii"))
    if item_type == 0x53:
        return AsyncOperationsWindow(*struct.unpack(">HH", _exactly(data, 4, item_type)))
    if item_type == 0x54:
        uid, rest = _take_uid(data, item_type, limits)
        scu, scp = _exactly(rest, 2, item_type)
        if scu > 1 or scp > 1:
            raise RemoteProtocolError(f"role selection with roles {scu}, {scp}", _INVALID)
        return RoleSelection(uid, scu, scp)
    if item_type == 0x56:
        uid, rest = _take_uid(data, item_type, limits)
        if len(rest) > limits.user_identity:
            raise RemoteProtocolError(f"{len(rest)} bytes of application information", _INVALID)
        return ExtendedNegotiation(uid, rest)
    if item_type == 0x57:
        return _common_extended(reserved, data, limits)
    if item_type == 0x58:
        if len(data) < 2 or not 1 <= data[0] <= 5 or data[1] > 1:
            raise RemoteProtocolError(f"user identity of unknown kind {data[:2].hex()}", _INVALID)
        primary, rest = _take(data[2:], item_type, limits)
        secondary, rest = _take(rest, item_type, limits)
        _exactly(rest, 0, item_type)
        return UserIdentityRQ(data[0], data[1], primary, secondary)
    if item_type == 0x59:
        response, rest = _take(data, item_type, limits)
        _exactly(rest, 0, item_type)
        return UserIdentityAC(response)
    return RawItem(item_type, data)


def _common_extended(version: int, data: bytes, limits: Limits) -> CommonExtendedNegotiation:
    sop_class, rest = _take_uid(data, 0x57, limits)
    service_class, rest = _take_uid(rest, 0x57, limits)
    classes, reserved = _cut(rest, 0x57)
    related: list[str] = []
    while classes:
        if len(related) == limits.related_classes:
            raise RemoteProtocolError(f"more than {limits.related_classes} related classes", _INVALID)
        uid, classes = _take_uid(classes, 0x57, limits)
        related.append(uid)
    return CommonExtendedNegotiation(sop_class, service_class, tuple(related), version, reserved)


def _exactly(data: bytes, length: int, item_type: int) -> bytes:
    if len(data) != length:
        raise RemoteProtocolError(
            f"user item {item_type:02X}H: {len(data)} bytes instead of {length}", _INVALID
        )
    return data


def _cut(data: bytes, item_type: int) -> tuple[bytes, bytes]:
    """A field with a 16-bit length before it, and what follows."""
    if len(data) >= 2:
        after = 2 + (data[0] << 8 | data[1])
        if after <= len(data):
            return data[2:after], data[after:]
    raise RemoteProtocolError(f"a field of user item {item_type:02X}H ends beyond it", _INVALID)


def _take(data: bytes, item_type: int, limits: Limits) -> tuple[bytes, bytes]:
    field, rest = _cut(data, item_type)
    if len(field) > limits.user_identity:
        raise RemoteProtocolError(f"user item {item_type:02X}H: a field of {len(field)} bytes", _INVALID)
    return field, rest


def _take_uid(data: bytes, item_type: int, limits: Limits) -> tuple[str, bytes]:
    field, rest = _cut(data, item_type)
    return read_uid(field, limits.uid), rest
