"""Mutants of negotiation, order and policy: what a person would do wrong with the messages themselves.

Rules of this file: each move is one defect in a recording of the reference modality, with what it turns declared; rows
whose text says the same turn together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from simulators.wire import (
    Abort,
    AssociateRequest,
    AsyncOperationsWindow,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextRQ,
    UserIdentityRQ,
    UserInformation,
    encode,
)
from simulators.wire.dimse import Command
from tests.lab.conversation import Lab, Outgoing
from tests.lab.elements import DataSet
from tests.lab.replay import Change, Said
from tests.mutants.model import Base, Mutant

ELE = "1.2.840.10008.1.2.1"
CONTEXT_ROW = {
    # service of an association -> the row of its presentation context
    "echo": "VX-PC-001",
    "worklist": "VX-PC-002",
    "create": "VX-PC-003",
    "commit": "VX-PC-004",
    "print": "VX-PC-005",
    "store": "VX-PC-006",
    "dose": "VX-PC-008",
}
RELEASES = {
    # which release: the association's number in the recording of an exam -> the clause
    "worklist": "VX-MWL-005",
    "create": "VX-MPPS-004",
    "store": "VX-STO-005",
    "set": "VX-MPPS-008",
    "print": "VX-PRN-009",
    "commit": "VX-SC-004",
    "dose": "VX-SR-004",
    "echo": "VX-VER-004",
}


def mutants(base: Base, services: tuple[str, ...]) -> Iterator[Mutant]:
    """Every move on a recording; *services* are those of its associations, in order."""
    yield from _negotiation(base, services)
    yield from _titles(base, services)
    yield from _moved(base, services)
    yield from _contexts(base, services)
    yield from _releases(base, services)
    yield from _messages(base, services)


def _users(change: Callable[[list[Any]], list[Any]], only: int | None = None) -> Callable[[Lab], None]:
    """An edit of the user information of every request, or of the one with a number from 1."""
    seen = [0]

    def edit(request: AssociateRequest) -> AssociateRequest:
        seen[0] += 1
        if only is not None and seen[0] != only:
            return request
        items = [
            UserInformation(tuple(change(list(item.items)))) if isinstance(item, UserInformation) else item
            for item in request.items
        ]
        return replace(request, items=tuple(items))

    return lambda lab: lab.edit_request(edit)


def _swap(kind: type, new: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda items: [new if isinstance(item, kind) else item for item in items]


def _titles(base: Base, services: tuple[str, ...]) -> Iterator[Mutant]:
    """Another calling title; a called title of nobody on each association."""
    first = next((number for number, service in enumerate(services, 1) if service), 0)
    if base.config.get("ae_title") and first:
        turns = frozenset({"VX-ASC-011", "VX-ASC-012", "VX-CFG-001", *_default(base, "VX-D-07")})
        edit = _request(first, lambda request: replace(request, calling="SOMEBODY"))
        yield Mutant("VX-ASC-012 another calling title", base, "VX-ASC-012", turns, edit)
    for number, service in enumerate(services, 1):
        rows = CALLED.get(service)
        if rows is not None and service not in services[: number - 1]:
            edit = _request(number, lambda request: replace(request, called="NOBODY"))
            # what was stored at nobody was not stored at the archive that commitment is asked of
            asked = {"STD-X-050", "VX-SC-009"} if service == "store" and "commit" in services else set()
            yield Mutant(f"{rows[0]} called {service}", base, rows[0], frozenset(rows) | asked, edit)


def _moved(base: Base, services: tuple[str, ...]) -> Iterator[Mutant]:
    """A peer's address, a peer's port: not the configured ones."""
    for number, service in enumerate(services):
        for what, rows in PLACES.get(service, {}).items():
            if service in services[:number]:
                continue
            talk = base.tape[number]
            server = ("10.99.0.9", talk.server[1]) if what == "address" else (talk.server[0], 10104)
            tape = (*base.tape[:number], replace(talk, server=server), *base.tape[number + 1 :])
            other = Base.of_tape(base.name, base.statement, tape, base.who, base.config, services)
            other = replace(other, reference=base.reference)
            yield Mutant(f"{rows[0]} other {what} for {service}", other, rows[0], frozenset(rows))


PLACES = {
    "worklist": {"address": ("VX-CFG-003", "VX-MWL-003", "VX-SEC-003"), "port": ("VX-CFG-004", "VX-MWL-003")},
    "create": {"address": ("VX-CFG-006", "VX-MPPS-003", "VX-SEC-003"), "port": ("VX-CFG-007", "VX-MPPS-003")},
    "commit": {"address": ("VX-CFG-009", "VX-SEC-003"), "port": ("VX-CFG-010",)},
    "print": {"address": ("VX-CFG-012", "VX-SEC-003"), "port": ("VX-CFG-013",)},
}
CALLED = {
    "worklist": ("VX-CFG-002", "VX-MWL-003"),
    "create": ("VX-CFG-005", "VX-MPPS-003"),
    "set": ("VX-CFG-005", "VX-MPPS-007"),
    "commit": ("VX-CFG-008",),
    "print": ("VX-CFG-011",),
    "store": ("VX-CFG-020",),
}


def _default(base: Base, *ids: str) -> tuple[str, ...]:
    """Defaults are binding for the reference product only (ruling A3)."""
    return ids if base.reference else ()


def _request(number: int, change: Callable[[AssociateRequest], AssociateRequest]) -> Callable[[Lab], None]:
    seen = [0]

    def edit(request: AssociateRequest) -> AssociateRequest:
        seen[0] += 1
        return change(request) if seen[0] == number else request

    return lambda lab: lab.edit_request(edit)


def _negotiation(base: Base, services: tuple[str, ...]) -> Iterator[Mutant]:
    made: list[tuple[str, str, set[str], Callable[[Lab], None]]] = [
        (
            "maximum length 32768",
            "VX-ASC-001",
            {"VX-ASC-001"},
            _users(_swap(MaximumLength, MaximumLength(32768))),
        ),
        (
            "asynchronous operations 4/4",
            "VX-ASC-005",
            {"VX-ASC-005"},
            _users(lambda items: [*items, AsyncOperationsWindow(4, 4)]),
        ),
        (
            "another implementation class",
            "VX-ASC-007",
            {"VX-ASC-007"},
            _users(_swap(ImplementationClassUID, ImplementationClassUID("1.2.276.0.7230010.3"))),
        ),
        (
            "an implementation version name",
            "VX-ASC-008",
            {"VX-ASC-008"},
            _users(lambda items: [*items, ImplementationVersionName("VXVUE_3_8")]),
        ),
        (
            "user identity",
            "VX-SEC-001",
            {"VX-SEC-001", *_default(base, "VX-D-40")},
            _users(lambda items: [*items, UserIdentityRQ(1, 0, b"nurse", b"")]),
        ),
    ]
    if len(services) > 1:
        made.append(
            (
                "a second implementation class",
                "VX-ASC-009",
                {"VX-ASC-007", "VX-ASC-009"},
                _users(_swap(ImplementationClassUID, ImplementationClassUID("1.2.276.0.7230010.3")), only=2),
            )
        )
    for name, aims, turns, edit in made:
        yield Mutant(f"{aims} {name}", base, aims, frozenset(turns), edit)


def _more(context: PresentationContextRQ, number: int) -> Callable[[Lab], None]:
    """One more context in a request; the peer's recorded answer does not know it."""

    def edit(request: AssociateRequest) -> AssociateRequest:
        at = next(i for i, item in enumerate(request.items) if isinstance(item, PresentationContextRQ))
        items = list(request.items)
        items.insert(at + 1, context)
        return replace(request, items=tuple(items))

    return _request(number, edit)


def _contexts(base: Base, services: tuple[str, ...]) -> Iterator[Mutant]:
    if "store" not in services:
        return
    store = services.index("store") + 1
    cr = PresentationContextRQ(201, "1.2.840.10008.5.1.4.1.1.1", (ELE,))
    yield Mutant("VX-GEN-009 CR storage", base, "VX-GEN-009", frozenset({"VX-GEN-009"}), _more(cr, store))
    move = PresentationContextRQ(201, "1.2.840.10008.5.1.4.1.2.2.2", (ELE,))
    turns = frozenset({"VX-GEN-011", "VX-GEN-009"})
    yield Mutant("VX-GEN-011 C-MOVE", base, "VX-GEN-011", turns, _more(move, store))
    for number, service in enumerate(services, 1):
        row = CONTEXT_ROW.get(service)
        if row is None or service in services[: number - 1]:
            continue
        extra = ("1.2.840.10008.1.2",)
        yield Mutant(f"{row} Implicit VR too", base, row, frozenset({row}), _syntax(number, extra))
        if service == "worklist":
            private = ("1.2.276.0.7230010.9.9",)
            turns = frozenset({"VX-GEN-010", row})
            yield Mutant("VX-GEN-010 private syntax", base, "VX-GEN-010", turns, _syntax(number, private))


def _syntax(number: int, extra: tuple[str, ...]) -> Callable[[Lab], None]:
    """More transfer syntaxes in the contexts of one request."""
    seen = [0]

    def edit(request: AssociateRequest) -> AssociateRequest:
        seen[0] += 1
        if seen[0] != number:
            return request
        items = [
            replace(item, transfer_syntaxes=(*item.transfer_syntaxes, *extra))
            if isinstance(item, PresentationContextRQ)
            else item
            for item in request.items
        ]
        return replace(request, items=tuple(items))

    return lambda lab: lab.edit_request(edit)


def _releases(base: Base, services: tuple[str, ...]) -> Iterator[Mutant]:
    for number, service in enumerate(services, 1):
        clause = RELEASES.get(service)
        if clause is not None and service not in services[: number - 1]:
            yield Mutant(f"{clause} aborted", base, clause, frozenset({clause}), change=_aborted(number))


def _aborted(number: int) -> Change:
    """A-ABORT instead of A-RELEASE-RQ on the association with a number from 1; its answer is gone."""

    def change(at: int, said: Said) -> Said | None:
        if at == number - 1 and said.data[:1] == b"\5":
            return replace(said, data=encode(Abort(0, 0)))
        return None if at == number - 1 and said.data[:1] == b"\6" else said

    return change


def _on(name: str, change: Callable[[Outgoing], None], nth: int = 1) -> Callable[[Lab], None]:
    seen = [0]

    def edit(out: Outgoing) -> None:
        if out.name == name:
            seen[0] += 1
            if seen[0] == nth:
                change(out)

    return lambda lab: lab.edit(edit)


def _command(**values: Any) -> Callable[[Outgoing], None]:
    def change(out: Outgoing) -> None:
        if isinstance(out.command, Command):
            old = {key: value for key, value in _elements(out.command).items() if key not in values}
            out.command = Command.new(out.name, dataset=out.dataset is not None, **old, **values)

    return change


def _elements(command: Command) -> dict[str, Any]:
    names = (
        "AffectedSOPClassUID",
        "RequestedSOPClassUID",
        "AffectedSOPInstanceUID",
        "RequestedSOPInstanceUID",
        "MessageID",
        "Priority",
    )
    return {name: command.get(name) for name in names if command.get(name) is not None}


def _messages(base: Base, services: tuple[str, ...]) -> Iterator[Mutant]:
    if "worklist" in services:

        def level(out: Outgoing) -> None:
            if isinstance(out.dataset, DataSet):
                out.dataset.put("PatientName", "Müller* ".encode("latin-1")[:8])

        yield Mutant(
            "VX-CS-001 text beyond the default repertoire",
            base,
            "VX-CS-001",
            frozenset({"VX-CS-001", "STD-CS-003", *_default(base, "VX-D-15")}),
            _on("C-FIND-RQ", level),
        )
    yield from _silent(base, services)
    if "commit" in services:
        refused = _status(0x0110)
        turns = frozenset({"VX-SC-010", "VX-SC-003", "STD-SVC-409"})
        yield Mutant("VX-SC-010 report refused", base, "VX-SC-010", turns, _on("N-EVENT-REPORT-RSP", refused))
    if "set" in services:
        other = _command(RequestedSOPInstanceUID="1.2.3.4.5")
        turns = frozenset({"VX-MPPS-006", "STD-SVC-102", "STD-X-034"})
        yield Mutant("VX-MPPS-006 another step", base, "VX-MPPS-006", turns, _on("N-SET-RQ", other))


def _status(value: int) -> Callable[[Outgoing], None]:
    def change(out: Outgoing) -> None:
        if isinstance(out.command, Command):
            out.command = Command({**out.command.elements, 0x0900: value})

    return change


SILENT = {
    # service: messages that are not sent, SOP class, what turns
    "worklist": ("C-FIND", "", ("VX-MWL-002",)),
    "store": ("C-STORE", "1.2.840.10008.5.1.4.1.1.1.1", ("VX-STO-002",)),
    "dose": ("C-STORE", "1.2.840.10008.5.1.4.1.1.88.67", ("VX-SR-002", "VX-SC-009", "STD-X-050")),
    "film": ("N-ACTION", "1.2.840.10008.5.1.1.2", ("VX-PRN-006",)),
    "session": ("N-CREATE", "1.2.840.10008.5.1.1.1", ("VX-PRN-003", "VX-PRN-004", "STD-SVC-503")),
}


def _silent(base: Base, services: tuple[str, ...]) -> Iterator[Mutant]:
    """An association on which what it is for does not happen."""
    for service, (name, sop_class, turns) in SILENT.items():
        there = "print" in services if service in ("film", "session") else service in services
        if not there or (service == "store" and "commit" in services):
            continue

        def skip(out: Outgoing, name: str = name, sop_class: str = sop_class) -> None:
            about = out.command.sop_class if isinstance(out.command, Command) else ""
            if out.name.startswith(f"{name}-R") and sop_class in ("", about):
                out.skip = True

        edit = _every(skip)
        yield Mutant(f"{turns[0]} silent", base, turns[0], frozenset(turns), edit)


def _every(change: Callable[[Outgoing], None]) -> Callable[[Lab], None]:
    return lambda lab: lab.edit(change)
