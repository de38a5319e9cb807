"""What is known so far of an association, and of a message, that is being read.

Rules of this file: it is kept here, and judged nowhere here; what was captured first is kept where two things
contradict each other.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.witness.model import Command, Context, End, Message, Pdu, Problem, Side
from simulators.wire.pdu import AssociateAccept, AssociateRequest

if TYPE_CHECKING:
    from bench.witness.dataset import Reader


class Incoming:
    """A message that is being received."""

    __slots__ = (
        "broken",
        "command",
        "command_frame",
        "command_length",
        "command_time",
        "context",
        "context_id",
        "first_frame",
        "first_pdu",
        "first_time",
        "largest",
        "largest_fragment",
        "last_pdu",
        "length",
        "number",
        "offsets",
        "parts",
        "pdus",
        "positions",
        "problems",
        "reader",
        "syntax",
    )

    def __init__(self, context_id: int, frame: int, time: float) -> None:
        self.context_id = context_id
        self.context: Context | None = None
        self.parts: list[bytes] = []
        self.command: Command | None = None
        self.command_length = 0
        self.command_frame = 0
        self.command_time = 0.0
        self.first_frame = frame
        self.first_time = time
        self.first_pdu = -1
        self.last_pdu = -1
        self.pdus = 0
        self.largest = 0
        self.largest_fragment = 0
        self.number = 0
        self.reader: Reader | None = None
        self.syntax: str | None = None
        self.length = 0
        self.offsets = array("Q")
        self.positions = array("Q")
        self.problems: list[Problem] = []
        self.broken = False


class Building:
    """An association that is being read; index 0 and 1 are the numbers of the streams."""

    def __init__(self, requestor: int) -> None:
        self.requestor = requestor
        self.sides: tuple[Side, Side] = (
            ("requestor", "acceptor") if requestor == 0 else ("acceptor", "requestor")
        )
        self.request: Pdu | None = None
        self.answer: Pdu | None = None
        self.pdus: list[Pdu] = []
        self.left_out = 0
        self.contexts: dict[int, Context] = {}
        self.messages: dict[int, Message] = {}
        self.problems: list[Problem] = []
        self.counts: Counter[str] = Counter()
        self.count = 0
        self.numbers = 0
        self.data_pdus = [0, 0]
        self.limits = [0, 0]
        """What each stream's P-DATA-TF may have at most: announced by the other side; 0: anything."""
        self.state = "idle"
        self.titles = b""
        self.unsure = False
        """Request or answer were captured in part: there may be contexts that nobody saw."""
        self.end: End | None = None
        self.ended_by: Side | None = None
        self.release_by: Side | None = None
        self.first: tuple[int, float] | None = None
        self.last: tuple[int, float] = (0, 0.0)
        self.last_message: list[tuple[str, bool] | None] = [None, None]
        """Name of each stream's last message, and whether it had a data set."""

    def propose(self, request: AssociateRequest) -> None:
        """Keep the presentation contexts that a request proposes (PS3.8 9.3.2.2)."""
        contexts = self.contexts
        roles = {uid.rstrip("\0 "): role for uid, role in request.roles.items()}
        for item in request.contexts:
            abstract = item.abstract_syntax.rstrip("\0 ")
            if item.context_id in contexts:
                continue
            proposed = tuple(uid.rstrip("\0 ") for uid in item.transfer_syntaxes)
            contexts[item.context_id] = Context(
                item.context_id, abstract, proposed, None, None, proposed_role=roles.get(abstract)
            )

    def accept(self, accept: AssociateAccept) -> None:
        """Keep the answers to them (PS3.8 9.3.3.2)."""
        contexts = self.contexts
        roles = {uid.rstrip("\0 "): role for uid, role in accept.roles.items()}
        for item in accept.contexts:
            known = contexts.get(item.context_id) or Context(item.context_id, "", (), None, None)
            if known.answers:
                contexts[item.context_id] = replace(known, answers=known.answers + 1)
                continue
            syntax = item.transfer_syntax.rstrip("\0 ") if item.transfer_syntax and item.result == 0 else None
            contexts[item.context_id] = replace(
                known,
                result=item.result,
                transfer_syntax=syntax or None,
                accepted_role=roles.get(known.abstract),
                answers=1,
            )

    def touch(self, first: int, time: float, last: int, last_time: float) -> None:
        """Something of it stands in frames *first* to *last*."""
        if self.first is None:
            self.first = first, time
        if last > self.last[0]:
            self.last = last, last_time

    def knew(self, side: Side) -> bool:
        """Whether ``side`` must have known that the association is over when it sent a PDU.

        After a release both know; after an abort or a reject who sent it does, and the other one's PDUs may have been
        on their way.
        """
        return self.end == "released" or self.ended_by == side
