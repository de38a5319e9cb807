"""Cutting tapes: what was said is joined, moved, or said too early, so that the order of a conversation is the defect.

Rules of this file: a tape comes in, a tape goes out, nothing else changes; what cannot be cut as asked is a
``ValueError``, so that a mutant never misses its aim in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from simulators.wire import (
    AssociateAccept,
    AssociateRequest,
    PresentationContextAC,
    PresentationContextRQ,
    UserInformation,
    decode,
    encode,
)
from tests.lab.conversation import Cut, pdus
from tests.lab.elements import EXPLICIT_LE, IMPLICIT_LE
from tests.lab.replay import Said, Talk, Tape, read

ACCEPT, RELEASE = 2, 5
STEP = 0.001
"""Seconds between two things that were moved."""


def kind_of(said: Said) -> int:
    """The type of a PDU; 4 for a message, 0 for the end of a connection."""
    return 4 if said.command else said.data[0] if said.data else 0


def place_of(talk: Talk, kind: int) -> int:
    """Where in a talk the first PDU of a type stands."""
    for number, said in enumerate(talk.said):
        if kind_of(said) == kind:
            return number
    raise ValueError(f"a talk without a PDU of type {kind}")


def joined(tape: Tape, first: int, second: int) -> Tape:
    """Two talks with one peer become one association: the messages of the second before the first is released."""
    one, other = tape[first], tape[second]
    messages = [said for said in other.said if said.command]
    if not messages or one.server != other.server:
        raise ValueError("two talks with one peer, and messages in the second, are wanted")
    cut = place_of(one, RELEASE)
    last = max(said.time for said in messages)
    later = max(0.0, last + STEP - one.said[cut].time)
    end = [replace(said, time=said.time + later) for said in one.said[cut:]]
    talk = Talk(one.client, one.server, one.begin, [*one.said[:cut], *messages, *end])
    return tuple(talk if n == first else t for n, t in enumerate(tape) if n != second)


def overlapping(tape: Tape, first: int, second: int) -> Tape:
    """The second talk begins while the first is not yet released."""
    one, other = tape[first], tape[second]
    if one.server != other.server:
        raise ValueError("two talks with one peer are wanted")
    release = one.said[place_of(one, RELEASE)].time
    begin = one.said[place_of(one, ACCEPT)].time + STEP / 10
    if begin >= release:
        raise ValueError("the first talk is too short")
    later = max(0.0, other.said[0].time - other.begin + begin + STEP - release)
    place = place_of(one, RELEASE)
    held = [replace(said, time=said.time + later) for said in one.said[place:]]
    back = other.begin - begin
    moved = Talk(
        other.client, other.server, begin, [replace(said, time=said.time - back) for said in other.said]
    )
    talks = [
        Talk(one.client, one.server, one.begin, [*one.said[:place], *held])
        if n == first
        else moved
        if n == second
        else talk
        for n, talk in enumerate(tape)
    ]
    return tuple(sorted(talks, key=lambda talk: talk.begin))


def too_early(tape: Tape, number: int) -> Tape:
    """The first request of a talk is sent before the association is accepted."""
    talk = tape[number]
    accept = place_of(talk, ACCEPT)
    request = place_of(talk, 4)
    said = talk.said[request]
    data = b"".join(pdus(said.context_id, said.command, said.dataset, 16384, Cut()))
    early = Said(talk.said[accept].time - STEP / 100, said.side, data)
    rest = [one for n, one in enumerate(talk.said) if n != request]
    rest.insert(accept, early)
    return _with(tape, number, rest)


def not_awaited(tape: Tape, number: int) -> Tape:
    """The second request of a talk is sent before the first is answered."""
    said = list(tape[number].said)
    places = [n for n, one in enumerate(said) if one.command]
    if len(places) < 3 or [said[n].side for n in places[:3]] != ["requestor", "acceptor", "requestor"]:
        raise ValueError("two requests, the first with one answer, are wanted")
    _, answer, second = places[:3]
    late = replace(said[answer], time=said[second].time + STEP / 100)
    said.insert(second + 1, late)
    del said[answer]
    return _with(tape, number, said)


def twice(tape: Tape, number: int) -> Tape:
    """The first request of a talk and its answer are said again, with another message id."""
    said = list(tape[number].said)
    places = [n for n, one in enumerate(said) if one.command][:2]
    if len(places) < 2:
        raise ValueError("a request with its answer is wanted")
    again = [
        replace(
            said[n], time=said[places[1]].time + STEP * (k + 1) / 10, command=_renumbered(said[n].command)
        )
        for k, n in enumerate(places)
    ]
    said[places[1] + 1 : places[1] + 1] = again
    return _with(tape, number, said)


def _renumbered(command: bytes) -> bytes:
    """The same command with Message ID, or Message ID Being Responded To, 30001."""
    made = bytearray(command)
    at = 0
    while at + 8 <= len(made):
        element = int.from_bytes(made[at + 2 : at + 4], "little")
        length = int.from_bytes(made[at + 4 : at + 8], "little")
        if element in (0x0110, 0x0120):
            made[at + 8 : at + 10] = (30001).to_bytes(2, "little")
        at += 8 + length
    return bytes(made)


def long(tape: Tape, number: int, size: int) -> Tape:
    """The largest message of the requestor is cut into P-DATA-TF PDUs of so many bytes."""
    said = list(tape[number].said)
    mine = [n for n, one in enumerate(said) if one.side == "requestor" and one.dataset]
    if not mine:
        raise ValueError("a message with a data set is wanted")
    at = max(mine, key=lambda n: len(said[n].dataset or b""))
    one = said[at]
    data = b"".join(pdus(one.context_id, one.command, one.dataset, size, Cut()))
    said[at] = Said(one.time, one.side, data)
    return _with(tape, number, said)


def stuffed(tape: Tape, number: int, size: int) -> Tape:
    """The first request of a talk is one P-DATA-TF of so many bytes, most of them fragments without a byte."""
    said = list(tape[number].said)
    at = place_of(tape[number], 4)
    one = said[at]
    head = bytes((one.context_id,))
    empty = b"\0\0\0\2" + head + b"\1"
    last = (len(one.command) + 2).to_bytes(4, "big") + head + b"\3" + one.command
    body = empty * ((size - len(last)) // len(empty)) + last
    said[at] = Said(one.time, one.side, b"\4\0" + len(body).to_bytes(4, "big") + body)
    return _with(tape, number, said)


def elsewhere(tape: Tape, number: int, address: str | None = None, port: int | None = None) -> Tape:
    """A talk goes to another address, or to another port."""
    talk = tape[number]
    server = (address or talk.server[0], port or talk.server[1])
    moved = Talk(talk.client, server, talk.begin, talk.said)
    return tuple(moved if n == number else t for n, t in enumerate(tape))


def _with(tape: Tape, number: int, said: list[Said]) -> Tape:
    talk = tape[number]
    changed = Talk(talk.client, talk.server, talk.begin, said)
    return tuple(changed if n == number else t for n, t in enumerate(tape))


Items = list[Any]
Users = Callable[[Items], Items]


def asking(tape: Tape, number: int, change: Callable[[AssociateRequest], AssociateRequest]) -> Tape:
    """The A-ASSOCIATE-RQ of a talk is another one; its peer answers as it was recorded."""
    said = list(tape[number].said)
    request = decode(said[0].data)
    if not isinstance(request, AssociateRequest):
        raise ValueError("a talk that does not begin with A-ASSOCIATE-RQ")
    changed = change(request)
    if changed == request:
        raise ValueError("the request stays as it was")
    said[0] = replace(said[0], data=encode(changed))
    return _with(tape, number, said)


def users(change: Users) -> Callable[[AssociateRequest], AssociateRequest]:
    """A change of the user information of a request."""

    def edit(request: AssociateRequest) -> AssociateRequest:
        return replace(
            request,
            items=tuple(
                UserInformation(tuple(change(list(item.items))))
                if isinstance(item, UserInformation)
                else item
                for item in request.items
            ),
        )

    return edit


def without_syntax(tape: Tape, number: int, abstract: str, syntax: str) -> Tape:
    """A transfer syntax is not proposed for an abstract syntax; a context that has no other goes, with its answer."""
    gone: set[int] = set()

    def edit(request: AssociateRequest) -> AssociateRequest:
        items: Items = []
        for item in request.items:
            if isinstance(item, PresentationContextRQ) and item.abstract_syntax == abstract:
                kept = tuple(ts for ts in item.transfer_syntaxes if ts != syntax)
                if not kept:
                    gone.add(item.context_id)
                    continue
                item = replace(item, transfer_syntaxes=kept)
            items.append(item)
        return replace(request, items=tuple(items))

    cut = asking(tape, number, edit)
    said = list(cut[number].said)
    place = place_of(cut[number], ACCEPT)
    answer = decode(said[place].data)
    if not isinstance(answer, AssociateAccept):
        raise ValueError("a talk that was not accepted")
    if any(one.context_id in gone for one in said if one.command):
        raise ValueError(f"{syntax} is used on this talk")
    mine = {
        c.context_id: c.transfer_syntaxes for c in _proposed(cut[number]) if c.abstract_syntax == abstract
    }
    items = []
    for item in answer.items:
        if isinstance(item, PresentationContextAC):
            if item.context_id in gone:
                continue
            if item.context_id in mine and not item.result and item.transfer_syntax == syntax:
                if any(one.dataset for one in said if one.context_id == item.context_id):
                    raise ValueError(f"{syntax} is used on this talk")
                item = replace(item, transfer_syntax=mine[item.context_id][0])
        items.append(item)
    said[place] = replace(said[place], data=encode(replace(answer, items=tuple(items))))
    return _with(cut, number, said)


def _proposed(talk: Talk) -> tuple[PresentationContextRQ, ...]:
    request = decode(talk.said[0].data)
    return tuple(request.contexts) if isinstance(request, AssociateRequest) else ()


def in_explicit(tape: Tape, number: int) -> Tape:
    """Everything of a talk in Implicit VR Little Endian is proposed, accepted and said in Explicit VR instead."""

    def edit(request: AssociateRequest) -> AssociateRequest:
        items = tuple(
            replace(item, transfer_syntaxes=(EXPLICIT_LE,))
            if isinstance(item, PresentationContextRQ)
            else item
            for item in request.items
        )
        return replace(request, items=items)

    cut = asking(tape, number, edit)
    said = []
    for one in cut[number].said:
        if kind_of(one) == ACCEPT:
            answer = decode(one.data)
            assert isinstance(answer, AssociateAccept)
            items = tuple(
                replace(item, transfer_syntax=EXPLICIT_LE)
                if isinstance(item, PresentationContextAC)
                else item
                for item in answer.items
            )
            one = replace(one, data=encode(replace(answer, items=items)))
        elif one.dataset is not None:
            one = replace(one, dataset=read(one.dataset, IMPLICIT_LE).encode(EXPLICIT_LE))
        said.append(one)
    return _with(cut, number, said)
