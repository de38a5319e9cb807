"""Mutants of an MX1's negotiation, order and policies: one defect in one association of a recording.

Rules of this file:

* The statement says the same of each of its three services: each has its own mutant, in an association of its own.
* What turns is declared from the words of the rows; rows of one SOP class turn together (ruling C10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from bench.resultmodel import ClauseResult
from simulators.wire import (
    ApplicationContext,
    AssociateRequest,
    AsyncOperationsWindow,
    ExtendedNegotiation,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextRQ,
    RoleSelection,
)
from tests.lab.conversation import Lab, Outgoing
from tests.lab.elements import IMPLICIT_LE, JPEG_LOSSLESS, DataSet, Element
from tests.lab.products.mx1 import CLIP
from tests.lab.replay import Tape
from tests.mutants import tapes
from tests.mutants.model import GREEN, Base, Edit, Mutant, binding, statement_of

SHORT: Final = {"echo": "VER", "store": "STO", "worklist": "MWL"}
IDENTITY: Final = {"echo": (7, 8), "store": (8, 9), "worklist": (7, 8)}
"""Rows of the implementation class and of the version name."""
SETTINGS: Final = {"echo": 1, "store": 5, "worklist": 9}
"""The first of the four rows of settings: address, port, calling and called AE title."""
FIRST: Final = {
    # a request before the association is accepted: rows that say "when the association is established"
    "echo": ("MX-GEN-001",),
    "store": ("MX-GEN-002", "MX-STO-010"),
    "worklist": ("MX-GEN-003", "MX-MWL-009"),
}
BROKEN: Final = {
    # a character set -> bytes that it does not have, and the rule that they break
    ("", "ISO 2022 IR 87"): (b"\x1b$)C\xb1\xe8  ", "STD-CS-005"),
    ("ISO 2022 IR 13", "ISO 2022 IR 87"): (b"\x1b$)C\xb1\xe8  ", "STD-CS-005"),
    ("", "ISO 2022 IR 87", "ISO 2022 IR 13"): (b"\x1b$)C\xb1\xe8  ", "STD-CS-005"),
    ("ISO_IR 100",): (b"\x85\x86", "STD-CS-004"),
    ("ISO_IR 192",): (b"\xc3\x28", "STD-CS-008"),
    ("GB18030",): (b"\x81\x20", "STD-CS-008"),
}
CYRILLIC: Final = "Брюхо ".encode("iso8859-5")


@dataclass
class Makers:
    """What moves share: the base, the rows it keeps, and which have a mutant already."""

    base: Base
    found: dict[str, ClauseResult]
    done: set[str]

    def number(self, service: str) -> int | None:
        """The first talk of a service."""
        return next((n for n, each in enumerate(self.base.services) if each == service), None)

    def wanted(self, id: str) -> bool:
        """Tell whether a row is kept here and has no mutant yet; from now on it has one."""
        if id in self.done or self.found[id].verdict not in GREEN:
            return False
        self.done.add(id)
        return True

    def tape(
        self,
        what: str,
        id: str,
        turns: set[str],
        make: Callable[[], Tape],
        *,
        whole: bool = False,
    ) -> Iterator[Mutant]:
        """A mutant that is cut into the tape; *whole*: its pixels stay as they were recorded.

        What cannot be cut here is left to another recording; a row that none of them serves is told in the table.
        """
        if id in self.done or self.found[id].verdict not in GREEN:
            return
        try:
            cut = make()
        except ValueError:
            return
        if self.wanted(id):
            base = self.base.with_tape(cut, whole=whole)
            yield Mutant(f"{id} {what}", base, id, binding(self.base, turns | {id}))

    def edit(self, what: str, id: str, turns: set[str], edit: Edit) -> Iterator[Mutant]:
        """A mutant that is made on the way."""
        if self.wanted(id):
            yield Mutant(f"{id} {what}", self.base, id, binding(self.base, turns | {id}), edit)


def mutants(base: Base, found: dict[str, ClauseResult], done: set[str]) -> Iterator[Mutant]:
    """Every move on a recording (``done`` grows)."""
    make = Makers(base, found, done)
    for service, short in SHORT.items():
        number = make.number(service)
        if number is not None:
            yield from _proposal(make, number, service, short)
            yield from _order(make, number, service)
            yield from _settings(make, number, service)
    yield from _contexts(make)
    yield from _together(make)
    yield from _sizes(make)
    yield from _texts(make)
    yield from _ip(make)


def _proposal(make: Makers, number: int, service: str, short: str) -> Iterator[Mutant]:
    tape, (uid, name) = make.base.tape, IDENTITY[service]

    def users(change: tapes.Users) -> Callable[[], Tape]:
        return lambda: tapes.asking(tape, number, tapes.users(change))

    def swap(kind: type, new: Any) -> Callable[[], Tape]:
        return users(lambda items: [new if isinstance(item, kind) else item for item in items])

    def context(request: AssociateRequest) -> AssociateRequest:
        named = ApplicationContext("1.2.840.10008.3.1.1.2")
        items = tuple(named if isinstance(i, ApplicationContext) else i for i in request.items)
        return replace(request, items=items)

    yield from make.tape(
        "another application context",
        f"MX-{short}-001",
        {"STD-UL-001"},
        lambda: tapes.asking(tape, number, context),
    )
    yield from make.tape(
        "maximum length 32768",
        f"MX-{short}-002",
        {"MX-D-03"},
        swap(MaximumLength, MaximumLength(32768)),
    )
    yield from make.tape(
        "asynchronous operations 4/4",
        f"MX-{short}-006",
        set(),
        users(lambda items: [*items, AsyncOperationsWindow(4, 4)]),
    )
    media = ImplementationClassUID("1.2.392.200036.9107.700.1")
    yield from make.tape(
        "the class of the media stack", f"MX-{short}-{uid:03}", set(), swap(ImplementationClassUID, media)
    )
    version = ImplementationVersionName("MG_DICOM V1.00")
    yield from make.tape(
        "the name of the media stack",
        f"MX-{short}-{name:03}",
        set(),
        swap(ImplementationVersionName, version),
    )


def _order(make: Makers, number: int, service: str) -> Iterator[Mutant]:
    tape = make.base.tape
    rows = {*FIRST[service], "STD-UL-052"}
    yield from make.tape("before the answer", FIRST[service][0], rows, lambda: tapes.too_early(tape, number))
    if service == "store":
        yield from make.tape(
            "two at a time", "MX-STO-007", {"STD-DIMSE-041"}, lambda: tapes.not_awaited(tape, number)
        )
        yield from make.tape("sent twice", "MX-STO-010", set(), lambda: tapes.twice(tape, number))
    if service == "worklist":
        yield from make.edit("silent", "MX-MWL-009", set(), _silent("C-FIND"))


def _silent(name: str) -> Edit:
    def edit(out: Outgoing) -> None:
        out.skip = out.skip or out.name.startswith(f"{name}-R")

    def install(lab: Lab) -> None:
        lab.edit(edit)

    return install


def _settings(make: Makers, number: int, service: str) -> Iterator[Mutant]:
    tape, first = make.base.tape, SETTINGS[service]
    ids = [f"MX-CFG-{n:03}" for n in range(first, first + 4)]
    yield from make.tape(
        "another address", ids[0], set(), lambda: tapes.elsewhere(tape, number, address="10.99.0.9")
    )
    yield from make.tape("another port", ids[1], set(), lambda: tapes.elsewhere(tape, number, port=10104))
    yield from make.tape(
        "another calling title",
        ids[2],
        set(),
        lambda: tapes.asking(tape, number, lambda request: replace(request, calling="SOMEBODY")),
    )
    yield from make.tape(
        "another called title",
        ids[3],
        set(),
        lambda: tapes.asking(tape, number, lambda request: replace(request, called="NOBODY")),
    )


def _contexts(make: Makers) -> Iterator[Mutant]:
    """Each row of the presentation contexts: its transfer syntax is not proposed."""
    for clause in statement_of(make.base.statement).clauses:
        if clause.kind != "context" or clause.sop is None or make.found[clause.id].verdict not in GREEN:
            continue
        for number in range(len(make.base.tape)):
            turns = {"STD-UL-009"} if clause.sop.transfer_syntaxes[0] == IMPLICIT_LE else set()
            yield from make.tape(
                "not proposed",
                clause.id,
                turns,
                lambda number=number, sop=clause.sop: tapes.without_syntax(  # type: ignore[misc]
                    make.base.tape, number, sop.uid, sop.transfer_syntaxes[0]
                ),
            )
    worklist = make.number("worklist")
    if worklist is not None:
        yield from make.tape(
            "Explicit VR Little Endian instead",
            "MX-MWL-PC-001",
            {"STD-UL-009"},
            lambda: tapes.in_explicit(make.base.tape, worklist),
        )
    store = make.number("store")
    if store is None:
        return
    if "MX-GEN-006" not in make.done:
        yield from _beyond(make.base, store)
    step = PresentationContextRQ(201, "1.2.840.10008.3.1.2.3.3", ("1.2.840.10008.1.2",))
    yield from make.tape("MPPS proposed", "MX-GEN-006", set(), lambda: _more(make.base.tape, store, step))


def _beyond(base: Base, store: int) -> Iterator[Mutant]:
    """A transfer syntax, a role and a negotiation that no table has (ruling C10)."""
    clips = frozenset(f"MX-STO-PC-{number:03}" for number in range(1, 5))
    lossless = _more(base.tape, store, PresentationContextRQ(201, CLIP, (JPEG_LOSSLESS,)))
    name = "MX-STO-PC-004 clips in JPEG Lossless"
    yield Mutant(name, base.with_tape(lossless), "MX-STO-PC-004", clips)
    for what, item, turns in (
        ("the role of an SCP", RoleSelection(CLIP, 1, 1), {"MX-GEN-006", *clips}),
        ("extended negotiation", ExtendedNegotiation(CLIP, b"\2\0\3\0\0\0"), {"MX-GEN-006"}),
    ):
        more = tapes.users(lambda items, item=item: [*items, item])  # type: ignore[misc]
        tape = tapes.asking(base.tape, store, more)
        yield Mutant(f"MX-GEN-006 {what}", base.with_tape(tape), "MX-GEN-006", frozenset(turns))


def _more(tape: Tape, number: int, context: PresentationContextRQ) -> Tape:
    def edit(request: AssociateRequest) -> AssociateRequest:
        at = next(i for i, item in enumerate(request.items) if isinstance(item, PresentationContextRQ))
        return replace(request, items=(*request.items[: at + 1], context, *request.items[at + 1 :]))

    return tapes.asking(tape, number, edit)


def _together(make: Makers) -> Iterator[Mutant]:
    """Two associations to one AE at the same time."""
    talks = make.base.tape
    for service, short in SHORT.items():
        for second, each in enumerate(make.base.services):
            before = [
                n for n in range(second) if talks[n].server == talks[second].server and make.base.services[n]
            ]
            if each != service or not before:
                continue
            first = before[-1]
            yield from make.tape(
                "two to one AE",
                f"MX-{short}-005",
                {"MX-D-06"},
                lambda first=first, second=second: tapes.overlapping(talks, first, second),  # type: ignore[misc]
            )


def _sizes(make: Makers) -> Iterator[Mutant]:
    """P-DATA-TF longer than is promised, to peers that take any length."""
    old = make.base.name == "mx1-version-1-10"
    if not old and make.base.name != "mx1-pdu-unlimited":
        return
    size = 40960 if old else 262144
    row = 4 if old else 3
    store, worklist, echo = make.number("store"), make.number("worklist"), make.number("echo")
    if echo is not None:
        yield from make.tape(
            f"PDU of {size}",
            f"MX-VER-{row:03}",
            {"MX-D-03"},
            lambda: tapes.stuffed(make.base.tape, echo, size),
        )
    if store is not None:
        yield from make.tape(
            f"PDU of {size}",
            f"MX-STO-{row:03}",
            {"MX-D-03"},
            lambda: tapes.long(make.base.tape, store, size),
            whole=True,
        )
    if worklist is not None:
        yield from make.edit(f"PDU of {size}", f"MX-MWL-{row:03}", {"MX-D-03"}, _long_query(size))


def _long_query(size: int) -> Edit:
    """A query with a long private element, in one PDU."""

    def edit(out: Outgoing) -> None:
        if out.name == "C-FIND-RQ" and isinstance(out.dataset, DataSet):
            out.dataset.append(
                Element(0x7FE10010, "LO", b"MUTANT"), Element(0x7FE11001, "OB", bytes(size * 3 // 4))
            )
            out.how = replace(out.how, longest=size)

    def install(lab: Lab) -> None:
        lab.edit(edit)

    return install


def _texts(make: Makers) -> Iterator[Mutant]:
    """Image Comments in bytes that the character set of the image does not have."""
    for clause in statement_of(make.base.statement).clauses:
        if clause.kind != "charset":
            continue
        if clause.charset is None:
            if make.base.name == "mx1-one-study" and clause.id not in make.done:
                make.done.add(clause.id)
                edit = _comment((), CYRILLIC, "ISO_IR 144")
                turns = frozenset({clause.id})
                yield Mutant(f"{clause.id} a set that is not listed", make.base, clause.id, turns, edit)
        elif clause.charset.terms in BROKEN:
            data, rule = BROKEN[clause.charset.terms]
            yield from make.edit("broken text", clause.id, {rule}, _comment(clause.charset.terms, data))


def _comment(terms: tuple[str, ...], data: bytes, named: str = "") -> Edit:
    """Image Comments of the first image with a character set; *named*: another set, of an image without names."""

    def install(lab: Lab) -> None:
        done = False

        def edit(out: Outgoing) -> None:
            nonlocal done
            made: Any = out.dataset
            if out.name != "C-STORE-RQ" or not isinstance(made, DataSet) or done:
                return
            value = made.get("SpecificCharacterSet")
            mine = tuple(t.strip() for t in value.decode("ascii").split("\\")) if value else ()
            if mine != terms and not named:
                return
            done = True
            made.put("ImageComments", data)
            if named:
                made.put("SpecificCharacterSet", named)

        lab.edit(edit)

    return install


def _ip(make: Makers) -> Iterator[Mutant]:
    """Everything over IPv6."""
    id = "MX-COM-006"
    if make.wanted(id):
        base = make.base
        config = dict(base.config)
        write = {**base.write, "link": "ipv6"}
        made = replace(base, who=_mapped(base.who), write=write, config=_hosts(config))
        yield Mutant(f"{id} over IPv6", made, id, binding(base, {id, "MX-D-29"}))


def _mapped(address: str) -> str:
    parts = [int(part) for part in address.split(".")]
    return f"fd00::{parts[0] << 8 | parts[1]:x}:{parts[2] << 8 | parts[3]:x}"


def _hosts(value: Any) -> Any:
    """The same configuration, its hosts with the addresses of version 6."""
    if isinstance(value, dict):
        return {
            key: _mapped(each)
            if key in ("host", "address") and isinstance(each, str) and each[:3] == "10."
            else _hosts(each)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(
            _mapped(v) if isinstance(v, str) and v == "10.77.0.10" else _hosts(v) for v in value
        )
    return value
