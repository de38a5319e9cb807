"""The bytes of an A-ASSOCIATE-RQ or -AC, item by item, as far as they can be read (PS3.8 9.3, PS3.7 Annex D).

Rules of this file:

* Nothing is refused: what is wrong is a :class:`Fault` with the offset in the PDU, and the walk goes on if it can.
* Nothing is decided: whether a value is legal is the business of the checks.
* The walk is linear in the length of the PDU and looks at its bytes only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEADER: Final = 74
"""Bytes before the first item: 6 of the PDU header, 68 fixed ones."""

KNOWN: Final = {"RQ": frozenset({0x10, 0x20, 0x50}), "AC": frozenset({0x10, 0x21, 0x50})}
NAMES: Final = {
    0x10: "application context",
    0x20: "proposed presentation context",
    0x21: "answered presentation context",
    0x30: "abstract syntax",
    0x40: "transfer syntax",
    0x50: "user information",
    0x51: "maximum length",
    0x52: "implementation class UID",
    0x53: "asynchronous operations window",
    0x54: "role selection",
    0x55: "implementation version name",
    0x56: "SOP class extended negotiation",
    0x57: "SOP class common extended negotiation",
    0x58: "user identity",
    0x59: "user identity answer",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Bytes that do not fit together; ``offset`` counts from the begin of the PDU."""

    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Item:
    """One item: its type, where it begins in the PDU, its reserved byte, and its bytes without the header."""

    type: int
    offset: int
    reserved: int
    data: bytes

    @property
    def name(self) -> str:
        """What kind of item it is, in words."""
        return NAMES.get(self.type, f"item {self.type:02X}H")

    @property
    def text(self) -> str:
        """The bytes as text: bytes that are no ASCII are shown as escapes."""
        return self.data.decode("ascii", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A presentation context item, proposed (20H) or answered (21H)."""

    id: int
    offset: int
    result: int  # reserved in a proposal
    reserved: tuple[int, ...]
    abstract: tuple[Item, ...]
    transfer: tuple[Item, ...]
    others: tuple[Item, ...]

    @property
    def abstract_syntax(self) -> str:
        """The (first) abstract syntax without padding."""
        return uid_of(self.abstract[0].data) if self.abstract else ""

    @property
    def transfer_syntaxes(self) -> tuple[str, ...]:
        """The transfer syntaxes without padding, in order."""
        return tuple(uid_of(item.data) for item in self.transfer)


@dataclass(frozen=True, slots=True)
class Role:
    """A role selection sub-item (54H); None where it is too short for a role."""

    sop_class: bytes
    scu: int | None
    scp: int | None
    offset: int


@dataclass(frozen=True, slots=True)
class Negotiation:
    """An A-ASSOCIATE-RQ or -AC; ``faults`` not empty means that its items may be incomplete."""

    kind: str  # "RQ", "AC"
    protocol_version: int
    called: bytes
    calling: bytes
    reserved: bytes
    items: tuple[Item, ...]
    contexts: tuple[Proposal, ...]
    user: tuple[Item, ...]
    faults: tuple[Fault, ...]

    def of(self, type: int) -> tuple[Item, ...]:
        """Return the items and user sub-items of a type, in order."""
        return tuple(item for item in (*self.items, *self.user) if item.type == type)

    @property
    def max_length(self) -> int | None:
        """The maximum length announced (PS3.8 D.1): 0 is no limit; None when it cannot be read."""
        for item in self.of(0x51):
            return int.from_bytes(item.data) if len(item.data) == 4 else None
        return None

    @property
    def window(self) -> tuple[int, int] | None:
        """Operations invoked and performed (PS3.7 D.3.3.3), 0 = no limit; None without the sub-item."""
        for item in self.of(0x53):
            if len(item.data) == 4:
                return int.from_bytes(item.data[:2]), int.from_bytes(item.data[2:])
        return None

    @property
    def roles(self) -> tuple[Role, ...]:
        """The role selections, in order."""
        return tuple(_role(item) for item in self.of(0x54))


def uid_of(data: bytes) -> str:
    """Return a UID without its padding; bytes that are no ASCII are shown as escapes."""
    return data.rstrip(b"\0 ").decode("ascii", "backslashreplace")


def read(raw: bytes) -> Negotiation:
    """Walk a PDU with its header; what is missing at the end of a short one is a fault."""
    kind = "AC" if raw[:1] == b"\x02" else "RQ"
    faults: list[Fault] = []
    if len(raw) < HEADER:
        faults.append(Fault(f"the PDU ends after {len(raw)} bytes, before its first item", len(raw)))
    items = tuple(_items(raw, HEADER, len(raw), faults, "the PDU"))
    contexts = tuple(_proposal(item, faults) for item in items if item.type in (0x20, 0x21))
    user: list[Item] = []
    for item in items:
        if item.type == 0x50:
            start = item.offset + 4
            user += _items(raw, start, start + len(item.data), faults, "the user information")
    return Negotiation(
        kind,
        int.from_bytes(raw[6:8]),
        raw[10:26],
        raw[26:42],
        raw[1:2] + raw[8:10] + (raw[42:74] if kind == "RQ" else b""),  # an accept echoes the last 32
        items,
        contexts,
        tuple(user),
        tuple(faults),
    )


def _items(raw: bytes, start: int, end: int, faults: list[Fault], inside: str) -> Iterator[Item]:
    at = start
    while at < end:
        if end - at < 4:
            faults.append(Fault(f"{end - at} bytes behind the last item of {inside}", at))
            return
        length = int.from_bytes(raw[at + 2 : at + 4])
        name = NAMES.get(raw[at], f"item {raw[at]:02X}H")
        if at + 4 + length > end:
            text = f"the {name} says {length} bytes, {end - at - 4} are left in {inside}"
            faults.append(Fault(text, at))
            return
        yield Item(raw[at], at, raw[at + 1], raw[at + 4 : at + 4 + length])
        at += 4 + length


def _proposal(item: Item, faults: list[Fault]) -> Proposal:
    head, data = item.data[:4], item.data
    if len(head) < 4:
        faults.append(Fault(f"the {item.name} has {len(head)} bytes, at least 4 are needed", item.offset))
        head = head.ljust(4, b"\0")
    start = item.offset + 4  # sub-items are told by their offset in the PDU
    local: list[Fault] = []
    inner = [
        Item(i.type, i.offset + start, i.reserved, i.data)
        for i in _items(data, 4, len(data), local, f"presentation context {head[0]}")
    ]
    faults += (Fault(f.text, f.offset + start) for f in local)
    reserved = (item.reserved, head[1], head[3], *((head[2],) if item.type == 0x20 else ()))
    return Proposal(
        head[0],
        item.offset,
        head[2],
        reserved,
        tuple(i for i in inner if i.type == 0x30),
        tuple(i for i in inner if i.type == 0x40),
        tuple(i for i in inner if i.type not in (0x30, 0x40)),
    )


def _role(item: Item) -> Role:
    length = int.from_bytes(item.data[:2])
    sop_class, tail = item.data[2 : 2 + length], item.data[2 + length :]
    return Role(
        sop_class,
        tail[0] if len(tail) > 0 else None,
        tail[1] if len(tail) > 1 else None,
        item.offset,
    )
