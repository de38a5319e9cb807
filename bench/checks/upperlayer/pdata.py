"""Rules about P-DATA-TF PDUs, presentation data values and fragments that the SUT sends (PS3.8 9.3.5, D.1, E).

Rules of this file:

* The witness reads and names what does not fit (:mod:`bench.witness.problems`); here it becomes a rule of the
  standard, when the SUT sent it.
* One fault of the bytes turns one rule: what only follows from it (a data set without a command because the command
  said that there is none) is left to the rule that names the cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from bench.checks.case import Case
from bench.checks.finding import Finding, check, failed, passed
from bench.checks.merge import merged
from bench.checks.upperlayer.deal import Deal, deals
from bench.witness.model import Message, Problem

RULES: Final = {
    "pdv-length": "STD-UL-041",
    "pdv-empty": "STD-UL-041",
    "pdv-control": "STD-UL-042",
    "pdv-odd": "STD-UL-044",
    "pdu-mixed": "STD-UL-046",
    "context-changed": "STD-UL-045",
    "command-in-dataset": "STD-UL-045",
    "dataset-without-command": "STD-UL-045",
    "dataset-unannounced": "STD-UL-045",
}
"""Code of the witness -> rule, for what stands in presentation data."""
SILENCE: Final = 1.0
"""Seconds of waiting that tell a message without an end from one that is still being sent."""
WORDS: Final = {
    "STD-UL-041": "presentation data values fill their PDUs",
    "STD-UL-042": "message control headers are legal",
    "STD-UL-044": "fragments have an even length",
    "STD-UL-045": "fragments follow one another in order",
    "STD-UL-046": "each PDU holds data of one message",
}


@check("STD-UL-040")
@merged
def within_the_maximum(case: Case) -> Iterator[Finding]:
    """No P-DATA-TF is longer than the peer announced; 0 is no limit."""
    for deal in deals(case).values():
        limit = deal.limit
        if not limit:
            continue
        told = set()
        for message in _sent(deal):
            if message.largest_pdu > limit:
                told.add(message.first_pdu)
                reason = f"a P-DATA-TF of {message.largest_pdu} bytes; the peer takes at most {limit}"
                yield failed("STD-UL-040", reason, case.at(message))
            else:
                reason = f"P-DATA-TF of at most {message.largest_pdu} bytes; the peer takes {limit}"
                yield passed("STD-UL-040", reason, case.at(message))
        for problem in _problems(deal, "pdu-too-long"):
            if not told:
                at = case.at(problem, association=deal.association)
                yield failed("STD-UL-040", f"{problem.text}; the peer takes at most {limit}", at)


@check(*sorted(set(RULES.values())))
@merged
def fragments(case: Case) -> Iterator[Finding]:
    """Presentation data values and fragments are as PS3.8 9.3.5 and E have them."""
    for deal in deals(case).values():
        broken = set()
        for problem in _problems(deal, *RULES):
            rule = RULES[problem.code]
            if _belongs_elsewhere(deal, problem):
                continue
            broken.add(rule)
            yield failed(rule, problem.text, case.at(problem, association=deal.association))
        sent = sorted(_sent(deal), key=lambda m: m.first_pdu)
        for before, message in pairwise(sent):
            if message.first_pdu <= before.last_pdu and "STD-UL-046" not in broken:
                broken.add("STD-UL-046")
                reason = f"a P-DATA-TF holds the end of a {before.name} and the begin of a {message.name}"
                yield failed("STD-UL-046", reason, case.at(message))
        first = next(iter(sent), None)
        if first is None:
            continue
        for rule, words in WORDS.items():
            if rule not in broken:
                yield passed(rule, words, case.at(first))


def _belongs_elsewhere(deal: Deal, problem: Problem) -> bool:
    """Whether another rule names the cause of a problem of order."""
    if problem.code == "pdv-odd":
        return _odd_itself(deal, problem)
    if problem.code == "command-in-dataset":
        return _announced_only(deal)
    if problem.code in ("dataset-without-command", "dataset-unannounced"):
        return said_none(deal, problem) is not None or _after_cut_command(deal, problem)
    return False


def said_none(deal: Deal, problem: Problem) -> Message | None:
    """The message whose Command Data Set Type says 'none' although a data set follows (STD-DIMSE-020)."""
    if problem.pdu is None:
        return None
    before = [m for m in _sent(deal) if m.first_pdu <= problem.pdu]
    last = max(before, key=lambda m: m.first_pdu, default=None)
    if last is None or last.command.has_dataset or last.dataset_length:
        return None
    between = [
        p for p in deal.association.pdus if last.last_pdu < p.index < problem.pdu and p.side == deal.side
    ]
    return None if between else last


def _odd_itself(deal: Deal, problem: Problem) -> bool:
    """Whether the command or data set as a whole is odd, so that its last fragment must be (STD-DS, STD-DIMSE)."""
    pdu = problem.pdu or 0
    message = next((m for m in _sent(deal) if m.first_pdu <= pdu <= m.last_pdu), None)
    if message is None:
        return False
    natural = message.dataset_length % 2 + len(message.command.raw) % 2
    odd = [p for p in _problems(deal, "pdv-odd") if message.first_pdu <= (p.pdu or 0) <= message.last_pdu]
    return len(odd) <= natural


def _announced_only(deal: Deal) -> bool:
    """Whether a data set was announced and never begun (STD-DIMSE-020)."""
    return any(m.command.has_dataset and not m.dataset_length and not m.complete for m in _sent(deal))


def _after_cut_command(deal: Deal, problem: Problem) -> bool:
    """Whether the command before could not be read, so that nobody knows whether it announced a data set."""
    codes = ("command-undecodable", "command-long", "command-field", "command-dataset-type")
    return any(p.side == deal.side and p.code in codes for p in deal.association.problems)


@check("STD-UL-043")
@merged
def accepted_contexts(case: Case) -> Iterator[Finding]:
    """Data go into accepted contexts only."""
    for deal in deals(case).values():
        if not deal.known or (deal.accept is not None and not deal.association.whole):
            continue
        seen = set()
        for message in _sent(deal):
            id = message.context_id
            if id in deal.agreed:
                yield passed("STD-UL-043", f"context {id} was accepted", case.at(message))
            else:
                seen.add(id)
                yield failed("STD-UL-043", _why(deal, id), case.at(message))
        for problem in _problems(deal, "context-unknown", "context-refused"):
            other = problem.context_id
            if other is not None and other not in deal.agreed and other not in seen:
                seen.add(other)
                at = case.at(problem, association=deal.association)
                yield failed("STD-UL-043", _why(deal, other), at)


def _why(deal: Deal, id: int) -> str:
    if id not in deal.proposals():
        return f"data in presentation context {id}, which was never proposed"
    results = [c.result for c in deal.accept.contexts if c.id == id] if deal.accept else []
    return f"data in presentation context {id}, which was " + (
        f"refused (result {results[0]})" if results else "not answered"
    )


@check("STD-UL-047")
@merged
def whole_messages(case: Case) -> Iterator[Finding]:
    """A message is sent to its end before the association is released."""
    for deal in deals(case).values():
        association = deal.association
        released = [p for p in association.pdus if p.side == deal.side and p.kind.startswith("A-RELEASE")]
        for message in _sent(deal):
            if message.complete:
                yield passed("STD-UL-047", "the message was sent whole", case.at(message))
            elif message.command.has_dataset and not message.dataset_length:
                continue  # a data set that never begins: STD-DIMSE-020
            elif association.whole and any(p.index > message.last_pdu for p in released):
                reason = (
                    f"the {message.name} ends without its last fragment, then the association is released"
                )
                yield failed("STD-UL-047", reason, case.at(message))
            elif association.whole and _all_but_the_last_flag(deal, message):
                reason = f"the {message.name} has all of its data set, and no fragment is marked as the last"
                yield failed("STD-UL-047", reason, case.at(message))
        for problem in _problems(deal, "command-cut"):
            if association.whole and released:
                at = case.at(problem, association=association)
                yield failed("STD-UL-047", f"{problem.text}, then the association is released", at)


def _all_but_the_last_flag(deal: Deal, message: Message) -> bool:
    """Whether the SUT waits behind a data set that is whole, without having marked its last fragment."""
    association, dataset = deal.association, message.dataset
    if dataset is None or dataset.broken_at is not None or not dataset.elements:
        return False
    later = [m for m in _sent(deal) if m.first_pdu > message.last_pdu]
    return not later and association.last_time - _last_byte(message) >= SILENCE


def _last_byte(message: Message) -> float:
    """When the last byte of a data set was on the wire."""
    places = message.places
    if places is None or not places.offsets or not places.trail.times:
        return message.last_time
    position = places.positions[-1] + max(message.dataset_length - places.offsets[-1] - 1, 0)
    return places.trail.times[places.trail.index_at(position)]


def _sent(deal: Deal) -> Iterator[Message]:
    return (m for m in deal.association.messages if m.sender == deal.side)


def _problems(deal: Deal, *codes: str) -> Iterator[Problem]:
    return (p for p in deal.association.problems if p.side == deal.side and p.code in codes)
