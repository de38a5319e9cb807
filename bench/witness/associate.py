"""A-ASSOCIATE, A-RELEASE and A-ABORT PDUs, read as far as they can be read (PS3.8 9.3, D; PS3.7 D.3.3).

Rules of this file:

* Values are those of :mod:`simulators.wire.pdu`, with items in the order of the wire, repeated ones too; nothing is
  repaired.  Text is latin-1 with its padding, so that every byte can be judged.
* What is structurally wrong is a fault ``(code, text, offset in the PDU)``; whether a *value* is allowed is judged by
  the checks.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, TypeAlias

from simulators.wire.pdu import (
    PDU,
    Abort,
    ApplicationContext,
    AssociateAccept,
    AssociateItem,
    AssociateReject,
    AssociateRequest,
    AsyncOperationsWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RawItem,
    ReleaseRequest,
    ReleaseResponse,
    RoleSelection,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
    UserItem,
)

Fault: TypeAlias = tuple[str, str, int]
CACHED: Final = 4096
"""Bytes of a PDU that is remembered: a peer says the same with every association, and PDUs are immutable."""

KINDS: Final = {
    1: "A-ASSOCIATE-RQ",
    2: "A-ASSOCIATE-AC",
    3: "A-ASSOCIATE-RJ",
    4: "P-DATA-TF",
    5: "A-RELEASE-RQ",
    6: "A-RELEASE-RP",
    7: "A-ABORT",
}
_ITEM: Final = struct.Struct(">BBH")
_RANK: Final = {0x10: 1, 0x20: 2, 0x21: 2, 0x50: 3}


def read_pdu(raw: bytes) -> tuple[PDU | None, tuple[Fault, ...]]:
    """Read a PDU of any type but P-DATA-TF; None when nothing sensible is in it."""
    return _cached(raw) if len(raw) <= CACHED else _read(raw)


def _read(raw: bytes) -> tuple[PDU | None, tuple[Fault, ...]]:
    faults: list[Fault] = []
    return _read_into(raw, faults), tuple(faults)


_cached = lru_cache(maxsize=256)(_read)


def _read_into(raw: bytes, faults: list[Fault]) -> PDU | None:
    kind = raw[0]
    if raw[1]:
        faults.append(
            ("reserved", f"byte 2 of {KINDS.get(kind, 'the PDU')} is {raw[1]:02X}H instead of 00H", 1)
        )
    (length,) = struct.unpack_from(">I", raw, 2)
    if kind in (1, 2):
        if len(raw) < 74:
            faults.append(
                ("pdu-length", f"{KINDS[kind]} with a length of {length}, at least 68 are needed", 2)
            )
            return None
        return _associate(kind, raw, faults)
    if kind not in KINDS:
        faults.append(("pdu-type", f"PDU type {kind:02X}H ({length} bytes)", 0))
        return None
    if length != 4:
        faults.append(("pdu-length", f"{KINDS[kind]} with a length of {length} instead of 4", 2))
    if len(raw) < 10:
        return None
    used = {3: (7, 8, 9), 7: (8, 9)}.get(kind, ())
    for position in range(6, 10):
        if position not in used and raw[position]:
            text = f"byte {position + 1} of {KINDS[kind]} is {raw[position]:02X}H instead of 00H"
            faults.append(("reserved", text, position))
    if kind == 3:
        return AssociateReject(raw[7], raw[8], raw[9])
    if kind == 5:
        return ReleaseRequest()
    if kind == 6:
        return ReleaseResponse()
    return Abort(raw[8], raw[9])


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _items(
    raw: bytes, start: int, end: int, what: str, faults: list[Fault]
) -> Iterator[tuple[int, int, int]]:
    """Type, start and end of the values of the items between ``start`` and ``end``."""
    position = start
    while position < end:
        if end - position < 4:
            text = f"{end - position} bytes at the end of {what} are no item"
            faults.append(("item-length", text, position))
            return
        kind, reserved, length = _ITEM.unpack_from(raw, position)
        after = position + 4 + length
        if reserved and kind != 0x57:
            faults.append(
                ("reserved", f"byte 2 of item {kind:02X}H is {reserved:02X}H instead of 00H", position + 1)
            )
        if after > end:
            text = f"item {kind:02X}H of {length} bytes ends {after - end} bytes beyond {what}"
            faults.append(("item-length", text, position))
            yield kind, position + 4, end
            return
        yield kind, position + 4, after
        position = after


def _associate(kind: int, raw: bytes, faults: list[Fault]) -> AssociateRequest | AssociateAccept:
    name = KINDS[kind]
    (version,) = struct.unpack_from(">H", raw, 6)
    if raw[8] or raw[9]:
        faults.append(("reserved", f"bytes 9 and 10 of {name} are {raw[8:10].hex()} instead of 0000", 8))
    if kind == 1 and any(raw[42:74]):
        faults.append(("reserved", f"bytes 43 to 74 of {name} are not all zero", 42))
    items: list[AssociateItem] = []
    rank = 0
    mine, other = (0x20, 0x21) if kind == 1 else (0x21, 0x20)
    seen: dict[int, int] = {}
    for item, start, end in _items(raw, 74, len(raw), name, faults):
        seen[item] = seen.get(item, 0) + 1
        if item in _RANK:
            if _RANK[item] < rank:
                faults.append(
                    ("item-order", f"item {item:02X}H stands behind a later one in {name}", start - 4)
                )
            rank = max(rank, _RANK[item])
        if item == 0x10:
            items.append(ApplicationContext(_uid(raw, start, end, "application context", faults)))
        elif item == mine:
            read = _context_rq if kind == 1 else _context_ac
            context = read(raw, start, end, faults)
            items.append(context if context is not None else RawItem(item, raw[start:end]))
        elif item == 0x50:
            items.append(UserInformation(tuple(_user_items(raw, start, end, kind, faults))))
        else:
            if item in (other, 0x30, 0x40) or 0x51 <= item <= 0x59:
                faults.append(("item-unexpected", f"item {item:02X}H has no place in {name}", start - 4))
            else:
                faults.append(("item-unknown", f"item {item:02X}H in {name}", start - 4))
            items.append(RawItem(item, raw[start:end]))
    for item, title in (
        (0x10, "application context"),
        (mine, "presentation context"),
        (0x50, "user information"),
    ):
        count = seen.get(item, 0)
        if not count:
            faults.append(("item-missing", f"{name} has no {title} item ({item:02X}H)", 74))
        elif count > 1 and item != mine:
            faults.append(("item-unexpected", f"{name} has {count} {title} items", 74))
    make = AssociateRequest if kind == 1 else AssociateAccept
    return make(_text(raw[10:26]).strip(" "), _text(raw[26:42]).strip(" "), tuple(items), version)


def _uid(raw: bytes, start: int, end: int, what: str, faults: list[Fault]) -> str:
    value = raw[start:end]
    if value[-1:] in (b"\0", b" "):
        faults.append(("uid-padding", f"the UID of the {what} is padded: {value!r}", end - 1))
    return _text(value)


def _context_rq(raw: bytes, start: int, end: int, faults: list[Fault]) -> PresentationContextRQ | None:
    if end - start < 4:
        faults.append(("item-length", f"a presentation context item of {end - start} bytes", start - 4))
        return None
    number = raw[start]
    what = f"presentation context {number}"
    if any(raw[start + 1 : start + 4]):
        faults.append(
            ("reserved", f"reserved bytes of {what} are {raw[start + 1 : start + 4].hex()}", start + 1)
        )
    abstracts: list[str] = []
    transfers: list[str] = []
    for item, first, last in _items(raw, start + 4, end, what, faults):
        if item == 0x30:
            if transfers:
                faults.append(("item-order", f"the abstract syntax of {what} is not first", first - 4))
            abstracts.append(_uid(raw, first, last, f"abstract syntax of {what}", faults))
        elif item == 0x40:
            transfers.append(_uid(raw, first, last, f"transfer syntax of {what}", faults))
        else:
            faults.append(("item-unexpected", f"sub-item {item:02X}H in {what}", first - 4))
    if len(abstracts) != 1:
        code = "item-unexpected" if abstracts else "item-missing"
        faults.append((code, f"{what} has {len(abstracts)} abstract syntaxes instead of 1", start - 4))
    if not transfers:
        faults.append(("item-missing", f"{what} has no transfer syntax", start - 4))
    return PresentationContextRQ(number, abstracts[0] if abstracts else "", tuple(transfers))


def _context_ac(raw: bytes, start: int, end: int, faults: list[Fault]) -> PresentationContextAC | None:
    if end - start < 4:
        faults.append(("item-length", f"a presentation context item of {end - start} bytes", start - 4))
        return None
    number, reserved, result, more = raw[start : start + 4]
    what = f"presentation context {number}"
    if reserved or more:
        faults.append(
            ("reserved", f"reserved bytes of {what} are {reserved:02X}H and {more:02X}H", start + 1)
        )
    transfers: list[str] = []
    for item, first, last in _items(raw, start + 4, end, what, faults):
        if item == 0x40:
            if result == 0:
                transfers.append(_uid(raw, first, last, f"transfer syntax of {what}", faults))
            else:  # then it has no meaning and shall not be tested (PS3.8 9.3.3.2)
                transfers.append(_text(raw[first:last]))
        else:
            faults.append(("item-unexpected", f"sub-item {item:02X}H in {what}", first - 4))
    if len(transfers) > 1 or (result == 0 and not transfers):
        code = "item-unexpected" if transfers else "item-missing"
        faults.append((code, f"{what} has {len(transfers)} transfer syntaxes instead of 1", start - 4))
    return PresentationContextAC(number, result, transfers[0] if transfers else None)


# -- user information (PS3.8 D.1, PS3.7 D.3.3) ---------------------------------------------------------------


def _user_items(raw: bytes, start: int, end: int, kind: int, faults: list[Fault]) -> Iterator[UserItem]:
    for item, first, last in _items(raw, start, end, "the user information item", faults):
        read = _USER.get(item)
        value: UserItem | None = None
        if read is None:
            faults.append(("item-unknown", f"user information item {item:02X}H", first - 4))
        elif (item, kind) in ((0x58, 2), (0x59, 1)):
            faults.append(("item-unexpected", f"user item {item:02X}H in {KINDS[kind]}", first - 4))
        else:
            try:
                value = read(raw[first:last], raw[first - 3])
            except (struct.error, IndexError, ValueError):
                text = f"user item {item:02X}H of {last - first} bytes cannot be read"
                faults.append(("item-length", text, first - 4))
        yield RawItem(item, raw[first:last]) if value is None else value


def _maximum(data: bytes, _: int) -> UserItem:
    (length,) = struct.unpack(">I", data)
    return MaximumLength(length)


def _window(data: bytes, _: int) -> UserItem:
    return AsyncOperationsWindow(*struct.unpack(">HH", data))


def _counted(data: bytes, position: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from(">H", data, position)
    after = position + 2 + length
    if after > len(data):
        raise ValueError("a counted field ends beyond its item")
    return data[position + 2 : after], after


def _role(data: bytes, _: int) -> UserItem:
    uid, after = _counted(data, 0)
    scu, scp = struct.unpack(">BB", data[after:])
    return RoleSelection(_text(uid), scu, scp)


def _extended(data: bytes, _: int) -> UserItem:
    uid, after = _counted(data, 0)
    return ExtendedNegotiation(_text(uid), data[after:])


def _common(data: bytes, version: int) -> UserItem:
    sop_class, after = _counted(data, 0)
    service, after = _counted(data, after)
    related, rest = _counted(data, after)
    classes: list[str] = []
    position = 0
    while position < len(related):
        uid, position = _counted(related, position)
        classes.append(_text(uid))
    return CommonExtendedNegotiation(_text(sop_class), _text(service), tuple(classes), version, data[rest:])


def _identity_rq(data: bytes, _: int) -> UserItem:
    primary, after = _counted(data, 2)
    secondary, after = _counted(data, after)
    if after != len(data):
        raise ValueError("bytes behind the secondary field")
    return UserIdentityRQ(data[0], data[1], primary, secondary)


def _identity_ac(data: bytes, _: int) -> UserItem:
    response, after = _counted(data, 0)
    if after != len(data):
        raise ValueError("bytes behind the response")
    return UserIdentityAC(response)


_USER: Final[dict[int, Callable[[bytes, int], UserItem]]] = {
    0x51: _maximum,
    0x52: lambda data, _: ImplementationClassUID(_text(data)),
    0x53: _window,
    0x54: _role,
    0x55: lambda data, _: ImplementationVersionName(_text(data)),
    0x56: _extended,
    0x57: _common,
    0x58: _identity_rq,
    0x59: _identity_ac,
}
