"""What a check may look at: the statement, the capture, who the SUT is, its configuration, the journal's events.

Rules of this file:

* Everything here is read-only and derived from the inputs; nothing is live.
* The SUT's part in a conversation is decided here once (:meth:`Case.side`), so that no check blames a peer.
* Views are in the order of the wire and are made once; each costs time linear in the number of messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from bench.journal import Event
from bench.resultmodel import Evidence
from bench.statements.model import Statement
from bench.witness.dataset import DataSet, Element
from bench.witness.medium import Medium
from bench.witness.model import Association, Capture, Message, Pdu, Problem, Side

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sut:
    """Who the system under test is in the capture, and why this is thought so (ruling B1).

    Addresses (IP or MAC, lower case) decide; AE titles decide where addresses cannot (both ends on one host).
    """

    addresses: frozenset[str] = frozenset()
    ae_titles: frozenset[str] = frozenset()
    why: str = ""


@dataclass(frozen=True, slots=True)
class SutConfig:
    """What the wire does not show (ruling B2); a key that is absent is unknown, never false."""

    values: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a dotted key (``storage``, ``mpps.ae_title``), or *default* where it is not known."""
        value: Any = self.values
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return default
            value = value[part]
        return value


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what was answered; ``final`` is the first response that is not pending."""

    request: Message
    responses: tuple[Message, ...] = ()

    @property
    def final(self) -> Message | None:
        """The response that ended the operation, None while there is none."""
        return next((r for r in self.responses if not pending(r.command.status)), None)

    @property
    def status(self) -> int | None:
        """The final status, None without a final response."""
        return None if self.final is None else self.final.command.status

    @property
    def succeeded(self) -> bool:
        """Whether the final status is success or a warning (PS3.7 annex C)."""
        return accomplished(self.status)


@dataclass(frozen=True, slots=True)
class Stored:
    """A composite object that the SUT sent by C-STORE; ``dataset`` is None when nothing of it was seen."""

    message: Message
    exchange: Exchange

    @property
    def dataset(self) -> DataSet | None:
        """The object's data set."""
        return self.message.dataset

    @property
    def sop_class(self) -> str:
        """Affected SOP Class UID, empty if the command has none."""
        return self.message.command.sop_class or ""

    @property
    def sop_instance(self) -> str:
        """Affected SOP Instance UID, empty if the command has none."""
        return self.message.command.sop_instance or ""

    @property
    def accepted(self) -> bool:
        """Whether the peer took it (success or warning)."""
        return self.exchange.succeeded


@dataclass(frozen=True)
class Case:
    """One capture (or one cell of a run) to be judged by one statement.

    ``events`` are the journal's events of a run, empty for a bare capture; ``reference`` tells that the SUT is one of
    the reference products, whose defaults are binding (ruling A3).  ``media`` are removable media that were read.
    """

    statement: Statement
    capture: Capture
    sut: Sut
    config: SutConfig = SutConfig()
    events: tuple[Event, ...] = ()
    reference: bool = False
    media: tuple[Medium, ...] = ()
    _memo: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, function: Callable[[Case], T]) -> T:
        """Return ``function(case)``, computed once for this case: for views that several checks share."""
        if function not in self._memo:
            self._memo[function] = function(self)
        return self._memo[function]  # type: ignore[no-any-return]

    # Who is who

    def side(self, association: Association) -> Side | None:
        """Return the SUT's side of an association; None when it takes no part, or cannot be told."""
        requests = self._is_sut(association.requestor.address, association.requestor_mac)
        accepts = self._is_sut(association.acceptor.address, association.acceptor_mac)
        if requests is not accepts:
            return "requestor" if requests else "acceptor"
        if self.sut.addresses and not requests:
            return None
        if association.calling in self.sut.ae_titles:
            return "requestor"
        return "acceptor" if association.called in self.sut.ae_titles else None

    def _is_sut(self, address: str, mac: str | None) -> bool:
        return address.lower() in self.sut.addresses or (
            mac is not None and mac.lower() in self.sut.addresses
        )

    @cached_property
    def associations(self) -> tuple[Association, ...]:
        """Associations in which the SUT takes part, in order of time."""
        return tuple(a for a in self.capture.associations if self.side(a) is not None)

    @cached_property
    def outgoing(self) -> tuple[Association, ...]:
        """Associations that the SUT requested."""
        return tuple(a for a in self.associations if self.side(a) == "requestor")

    @cached_property
    def incoming(self) -> tuple[Association, ...]:
        """Associations that others requested of the SUT."""
        return tuple(a for a in self.associations if self.side(a) == "acceptor")

    @cached_property
    def _by_number(self) -> Mapping[int, Association]:
        return {a.number: a for a in self.capture.associations}

    def association(self, message: Message) -> Association:
        """Return the association of a message."""
        return self._by_number[message.association]

    def sends(self, thing: Message | Pdu, association: Association | None = None) -> bool:
        """Tell whether the SUT sent a message (or a PDU of *association*)."""
        if isinstance(thing, Message):
            return thing.sender == self.side(self.association(thing))
        return association is not None and thing.side == self.side(association)

    # Messages

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """Every message of the SUT's associations, by the time of its first frame."""
        found = [m for a in self.associations for m in a.messages]
        return tuple(sorted(found, key=lambda m: (m.first_time, m.first_frame, m.number)))

    def requests(self, name: str | None = None, sop_class: str | None = None) -> Iterator[Message]:
        """Requests that the SUT sent: all, those of one name (``C-STORE-RQ``), those of one SOP class."""
        for message in self.messages:
            if message.command.is_request and self.sends(message) and _is(message, name, sop_class):
                yield message

    def received(self, name: str | None = None, sop_class: str | None = None) -> Iterator[Message]:
        """Requests that the SUT got."""
        for message in self.messages:
            if message.command.is_request and not self.sends(message) and _is(message, name, sop_class):
                yield message

    def sent(self) -> Iterator[Message]:
        """Everything that the SUT sent, requests and responses."""
        return (message for message in self.messages if self.sends(message))

    @cached_property
    def _exchanges(self) -> Mapping[tuple[int, int], Exchange]:
        found: dict[tuple[int, int], Exchange] = {}
        for association in self.associations:
            open_: dict[tuple[Side, int], Message] = {}
            answers: dict[int, list[Message]] = {}
            for message in association.messages:
                command = message.command
                if command.is_request:
                    if command.message_id is not None:
                        open_[message.sender, command.message_id] = message
                    answers[message.number] = []
                elif command.responded_to is not None:
                    asker: Side = "acceptor" if message.sender == "requestor" else "requestor"
                    request = open_.get((asker, command.responded_to))
                    if request is not None:
                        answers[request.number].append(message)
            for message in association.messages:
                if message.number in answers:
                    exchange = Exchange(message, tuple(answers[message.number]))
                    found[association.number, message.number] = exchange
        return found

    def exchange(self, request: Message) -> Exchange:
        """Return a request with its responses."""
        return self._exchanges.get((request.association, request.number), Exchange(request))

    @cached_property
    def objects(self) -> tuple[Stored, ...]:
        """Every composite object that the SUT sent by C-STORE, also those that were refused."""
        return tuple(Stored(m, self.exchange(m)) for m in self.requests("C-STORE-RQ"))

    def objects_of(self, *sop_classes: str) -> Iterator[Stored]:
        """Objects of some SOP classes."""
        return (stored for stored in self.objects if stored.sop_class in sop_classes)

    def happened(self, *kinds: str) -> Iterator[Event]:
        """Journal events of some kinds, in order; none for a bare capture."""
        return (event for event in self.events if event.kind in kinds)

    # Evidence

    def at(
        self,
        thing: Association | Message | Pdu | Problem,
        element: Element | str | None = None,
        *,
        offset: int | None = None,
        association: Association | None = None,
        note: str | None = None,
    ) -> Evidence:
        """Return where something can be seen: frame, PDU, tag, association, message, and byte in the data set.

        *element* is the element meant, or the tag or path of one that is absent.  *association* names the one that a
        PDU or problem belongs to.
        """
        tag = element.tag_text if isinstance(element, Element) else element
        if isinstance(thing, Message):
            at = element.offset if isinstance(element, Element) else offset
            return Evidence(
                frame=thing.first_frame if at is None else thing.frame_at(at),
                pdu=thing.first_pdu,
                tag=tag,
                association=thing.association,
                message=thing.number,
                offset=at,
                note=note,
            )
        number = association.number if association is not None else None
        if isinstance(thing, Association):
            return Evidence(frame=thing.first_frame, tag=tag, association=thing.number, note=note)
        if isinstance(thing, Pdu):
            return Evidence(frame=thing.frame, pdu=thing.index, tag=tag, association=number, note=note)
        return Evidence(
            frame=thing.frame, pdu=thing.pdu, tag=tag, association=number, offset=thing.offset, note=note
        )


def pending(status: int | None) -> bool:
    """Tell whether a status is pending (PS3.7 C.1): FF00H or FF01H."""
    return status in (0xFF00, 0xFF01)


def accomplished(status: int | None) -> bool:
    """Tell whether a status is success or warning (PS3.7 annex C)."""
    if status is None:
        return False
    return status in (0x0000, 0x0001, 0x0107, 0x0116) or status >> 12 == 0xB


def _is(message: Message, name: str | None, sop_class: str | None) -> bool:
    return name in (None, message.name) and sop_class in (None, message.sop_class)


__all__ = ["Case", "Exchange", "Stored", "Sut", "SutConfig", "accomplished", "pending"]
