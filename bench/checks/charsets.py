"""Character sets of every data set that the SUT sends: rules STD-CS-001 to STD-CS-009, and the statement's own list.

Rules of this file:

* Bytes are judged, by the sets in force at the place of each element (ruling D9: wherever there is text).
* Under terms that are unknown or cannot go together only the terms are judged.
* A set of the statement's list is exercised by a text that needs it: text of the default repertoire alone says
  nothing about ISO_IR 192.  The SUT has read a worklist rightly when it sends the same text on (ruling E11 lets it
  keep the set as well).
* A set outside the list fails the section (ruling F7), in the row nearest to it: the rows that share a term, else the
  row of the default repertoire or the one without a term.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.checks.case import Case
from bench.checks.datasets import MOST, sent_datasets, sound_until
from bench.checks.finding import Finding, check, failed, passed
from bench.resultmodel import Evidence
from bench.statements.model import Clause, Statement
from bench.witness import charset
from bench.witness.charset import ESC
from bench.witness.dataset import DataSet, Element
from bench.witness.model import Message
from bench.witness.values import person_name
from bench.witness.vr import CHARACTER_SET, CHARSET, PLAIN

WORKLIST: Final = "1.2.840.10008.5.1.4.31"
_RULES: Final[Mapping[str, str]] = {
    "default": "STD-CS-003",
    "repertoire": "STD-CS-004",
    "undeclared": "STD-CS-005",
    "escape": "STD-CS-006",
    "return": "STD-CS-007",
    "malformed": "STD-CS-008",
}
_NAME: Final = 0x00100010
_STUDY: Final = 0x0020000D

Terms = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Fault:
    rule: str
    text: str
    element: Element | None
    terms: Terms


@dataclass(slots=True)
class Sent:
    """What the SUT sent under one value of Specific Character Set."""

    plain: int = 0  # texts of the default repertoire
    other: int = 0  # texts that need the set
    right: Evidence | None = None
    plain_right: Evidence | None = None
    high: bool = False  # bytes of 80 to FF among them
    escaped: bool = False  # escape sequences among them
    low: bool = False  # printable bytes of 20 to 7E among them
    wrong: list[tuple[str, tuple[Evidence, ...]]] = field(default_factory=list)


@dataclass(slots=True)
class _Seen:
    """All texts of a capture, by the terms in force; findings of the rules."""

    sets: dict[Terms, Sent] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, Evidence] = field(default_factory=dict)
    faults: dict[str, list[tuple[str, tuple[Evidence, ...]]]] = field(default_factory=dict)

    def saw(self, rule: str, evidence: Evidence) -> None:
        self.counts[rule] = self.counts.get(rule, 0) + 1
        self.first.setdefault(rule, evidence)


def seen(case: Case) -> _Seen:
    """Look at every text that the SUT sent, once."""
    found = _Seen()
    for message, dataset in sent_datasets(case):
        faults: dict[str, list[_Fault]] = {}
        for fault in _dataset(case, message, dataset, found):
            faults.setdefault(fault.rule, []).append(fault)
        for rule, group in faults.items():
            more = f" (and {len(group) - 1} more in this data set)" if len(group) > 1 else ""
            evidence = tuple(case.at(message, each.element) for each in group[:5])
            text = f"{message.name}: {group[0].text}{more}"
            kept = found.faults.setdefault(rule, [])
            if len(kept) < MOST:
                kept.append((text, evidence))
            for terms in dict.fromkeys(each.terms for each in group):
                wrong = found.sets.setdefault(terms, Sent()).wrong
                if rule != "STD-CS-009" and len(wrong) < MOST:
                    wrong.append((text, evidence))
    return found


def _dataset(case: Case, message: Message, dataset: DataSet, found: _Seen) -> Iterator[_Fault]:
    end = sound_until(dataset)
    judged: dict[Terms, bool] = {(): True}
    where = case.at(message)
    for _, _, element in dataset.walk():
        if element.offset >= end or element.truncated:
            continue
        value, vr = element.value, element.vr
        if element.tag == CHARACTER_SET:
            terms = charset.terms_of(value or b"")
            if terms:
                found.saw("STD-CS-001", where)
                found.saw("STD-CS-002", where)
            problems = charset.examine_terms(terms)
            judged[terms] = not problems
            for problem in problems:
                rule = "STD-CS-001" if problem.code == "unknown" else "STD-CS-002"
                yield _Fault(rule, f"Specific Character Set: {problem.text}", element, terms)
            continue
        if not value or (vr not in CHARSET and vr not in PLAIN):
            continue
        plain = value.isascii() and ESC not in value
        if vr in PLAIN:
            if not plain:
                yield _Fault("STD-CS-009", f"{_named(element)} ({vr}) has bytes outside the default repertoire",
                             element, element.charset)  # fmt: skip
            continue
        terms = element.charset
        if terms not in judged:
            judged[terms] = not charset.examine_terms(terms)
        sent = found.sets.get(terms)
        if sent is None:
            sent = found.sets[terms] = Sent()
        if plain:
            sent.plain += 1
            if sent.plain_right is None and not element.empty:
                sent.plain_right = case.at(message, element)
            continue
        if not judged[terms]:
            continue
        wrong = charset.examine(terms, value, vr)
        if wrong:  # what follows in the value may be its consequence
            first = min(wrong, key=lambda each: each.offset)
            text = f"{_named(element)}: {first.text}{_under(terms)}"
            yield _Fault(_RULES[first.code], text, element, terms)
        for rule in _occasions(terms, value):
            found.saw(rule, where)
        if not wrong:
            sent.other += 1
            sent.high = sent.high or not value.isascii()
            sent.escaped = sent.escaped or ESC in value
            sent.low = sent.low or any(32 < b < 127 for b in value)
            if sent.right is None:
                sent.right = case.at(message, element)


def _named(element: Element) -> str:
    return f"{element.tag_text} {element.name}" if element.keyword else element.tag_text


def _under(terms: Terms) -> str:
    return (
        f' (Specific Character Set "{_shown(terms)}")'
        if terms
        else ", and there is no Specific Character Set"
    )


def _shown(terms: Sequence[str]) -> str:
    return "\\".join(terms)


def _occasions(terms: Terms, value: bytes) -> Iterator[str]:
    """Rules that a text outside ASCII is an occasion of."""
    yield "STD-CS-003"
    if terms and terms[0] in charset.WHOLE_CODES:
        yield "STD-CS-008"
        return
    if ESC in value:
        yield from ("STD-CS-005", "STD-CS-006", "STD-CS-007")
    if any(term in charset.MULTIBYTE for term in terms):
        yield "STD-CS-008"
    if not value.isascii():
        yield "STD-CS-004"


@check("STD-CS-*")
def rules(case: Case) -> Iterator[Finding]:
    """The rules of the standard."""
    found = case.once(seen)
    for id, faults in found.faults.items():
        for text, evidence in faults:
            yield failed(id, text, *evidence)
    for id, count in found.counts.items():
        if id not in found.faults:
            yield passed(id, f"kept on {count} occasions", found.first[id])


# The statement's list


@dataclass(frozen=True)
class Listed:
    """The character sets of a statement: its rows by their terms, and the row for everything else."""

    rows: Mapping[Terms, tuple[Clause, ...]]
    general: Clause | None

    def rows_for(self, terms: Terms) -> tuple[Clause, ...]:
        """Return the rows that a value of Specific Character Set stands in; () when the list does not have it.

        First the value itself, with the default repertoire written out or left out and the further sets in any order,
        then (ruling E11) each term alone, where the statement lists sets one by one.
        """
        wanted = _canonical(terms)
        for listed, rows_found in self.rows.items():
            if _canonical(listed) == wanted:
                return rows_found
        if len(terms) < 2 or any(t in charset.ALONE or t in charset.WHOLE_CODES for t in terms):
            return ()
        rows: list[Clause] = []
        for index, term in enumerate(terms):
            if not index and term in ("", "ISO 2022 IR 6"):
                continue
            alone = self.rows.get((term,)) or self.rows.get(("", term))
            if not alone:
                return ()
            rows += alone
        return tuple(rows)

    def nearest(self, terms: Terms) -> tuple[Clause, ...]:
        """Return the rows that a value outside the list offends: those of a term that cannot stand as it does."""
        if len(terms) > 1:
            terms = tuple(t for t in terms if t in charset.ALONE or t in charset.WHOLE_CODES)
        for key in (_letters, _number):
            wanted = {key(term) for term in terms} - {""}
            near = tuple(
                row
                for listed, rows in self.rows.items()
                for row in rows
                if sum(map(bool, listed)) == 1 and key(listed[-1]) in wanted
            )
            if near:
                return near
        return (self.general,) if self.general is not None else ()


def _letters(term: str) -> str:
    return "".join(c for c in term.upper() if c.isalnum())


def _number(term: str) -> str:
    return term.rpartition(" ")[2] if term[-1:].isdigit() else ""


def _canonical(terms: Terms) -> Terms:
    """The same value with the default repertoire left out of its first place; the order of the rest says nothing."""
    if len(terms) < 2:
        return terms
    return ("" if terms[0] == "ISO 2022 IR 6" else terms[0], *sorted(terms[1:]))


def listed(statement: Statement) -> Listed:
    """Collect the character sets that a statement lists."""
    rows: dict[Terms, list[Clause]] = {}
    general: Clause | None = None
    for clause in statement.clauses:
        if clause.kind != "charset":
            continue
        if clause.charset is None:
            general = general or clause
        else:
            rows.setdefault(clause.charset.terms if any(clause.charset.terms) else (), []).append(clause)
    if general is None:
        general = next(iter(rows.get((), ())), None) or next((r[0] for r in rows.values()), None)
    return Listed({terms: tuple(found) for terms, found in rows.items()}, general)


def _matching(rows: Sequence[Clause], sent: Sent) -> Iterator[Clause]:
    """Rows of Katakana and Romaji share their term (VX-E-56): each is exercised by its own half."""
    for row in rows:
        words = row.charset.repertoire if row.charset else ""
        if "Romaji" in words and not sent.low:
            continue
        if "Katakana" in words and not sent.high:
            continue
        if row.charset and row.charset.terms[-1] in charset.MULTIBYTE and not sent.escaped:
            continue
        yield row


@check("VX-CS-*", "MX-CHR-*")
def sets(case: Case) -> Iterator[Finding]:
    """The character sets of the statement's list."""
    table = listed(case.statement)
    if table.general is None:
        return
    found = case.once(seen)
    for terms, sent in found.sets.items():
        rows = table.rows_for(terms) if terms or () in table.rows else ()
        default = all(t in ("", "ISO 2022 IR 6", "ISO_IR 6") for t in terms)
        if terms and not rows and not default:
            yield from _outside(table, terms, sent)
            continue
        targets = rows or (table.general,)
        for text, evidence in sent.wrong:
            for row in targets:
                yield failed(row.id, text, *evidence)
        if sent.right is not None:
            reason = f'{sent.other} texts in "{_shown(terms)}" are right'
            for row in _matching(rows, sent):
                yield passed(row.id, reason, sent.right)
            if table.general.charset is None:
                yield passed(table.general.id, reason, sent.right)
        if sent.plain_right is not None:
            for row in rows:
                if not default and not (row.charset and "Romaji" in row.charset.repertoire):
                    continue
                yield passed(row.id, f"{sent.plain} texts of the default repertoire", sent.plain_right)
    yield from _received(case, table)


def _outside(table: Listed, terms: Terms, sent: Sent) -> Iterator[Finding]:
    if sent.wrong:
        text, evidence = sent.wrong[0]
    else:
        text = ""
        evidence = tuple(e for e in (sent.right or sent.plain_right,) if e is not None)
    about = f'Specific Character Set "{_shown(terms)}" is not in the statement\'s list'
    for row in table.nearest(terms):
        yield failed(row.id, f"{about}; {text}" if text else about, *evidence)


def _received(case: Case, table: Listed) -> Iterator[Finding]:
    """Names of worklist items that came back in what the SUT sent: read rightly or not."""
    items: dict[str, tuple[Message, Element, str]] = {}
    for message in case.messages:
        dataset = message.dataset
        if message.name != "C-FIND-RSP" or dataset is None or case.sends(message):
            continue
        if message.sop_class != WORKLIST:
            continue
        name, study = dataset.get(_NAME), dataset.text(_STUDY)
        if name is None or not name.value or not study or (name.value.isascii() and ESC not in name.value):
            continue
        if charset.examine_terms(name.charset) or charset.examine(name.charset, name.value, "PN"):
            continue  # the peer's fault
        items.setdefault(study, (message, name, dataset.text_of(name)))
    if not items:
        return
    for message, dataset in sent_datasets(case):
        if message.name not in ("C-STORE-RQ", "N-CREATE-RQ"):
            continue
        study = dataset.text(_STUDY) or _step(dataset)
        name = dataset.get(_NAME)
        if not study or study not in items or name is None or name.empty or name.value is None:
            continue
        got, wanted, text = items[study]
        rows = table.rows_for(wanted.charset)
        mine = dataset.text_of(name)
        raw = wanted.value or b""
        evidence = (case.at(got, wanted), case.at(message, name))
        if person_name(mine).same(person_name(text)):
            high, low = not raw.isascii(), any(32 < b < 127 for b in raw)
            for row in _matching(rows, Sent(high=high, low=low, escaped=ESC in raw)):
                yield passed(
                    row.id, f'the name of the worklist item, "{text}", was sent on as it came', *evidence
                )
        elif _lost(mine, text):
            for row in rows:
                yield failed(
                    row.id, f'the name of the worklist item, "{text}", was sent on as "{mine}"', *evidence
                )
        elif name.value.strip() == raw.strip() and name.charset != wanted.charset:
            about = (
                f'the bytes of a name in "{_shown(wanted.charset)}" were sent on as "{_shown(name.charset)}"'
            )
            for row in table.rows_for(name.charset):
                yield failed(row.id, about, *evidence)


def _lost(mine: str, text: str) -> bool:
    """Tell whether a text is another with its foreign characters replaced by question marks."""
    if "?" not in mine and "\ufffd" not in mine:
        return False
    kept = "".join(c for c in text if c.isascii() and c not in "?^= ")
    return "".join(c for c in mine if c.isascii() and c not in "?^= ") == kept


def _step(dataset: DataSet) -> str | None:
    step = dataset.first("ScheduledStepAttributesSequence")
    return step.text(_STUDY) if step is not None else None
