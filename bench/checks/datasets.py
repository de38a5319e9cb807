"""The encoding of every data set that the SUT sends: rules STD-DS-001 to STD-DS-042 (PS3.5).

Rules of this file:

* Only what the SUT sent is judged, and only what came whole: a message that the capture or a lost connection cut off
  says nothing about the encoding of its end.
* One fault, one rule: where the structure breaks, that is said once, and nothing behind the break is judged.  A value
  with an odd length is not judged by its padding as well.
* A deviation that a clause of the statement declares exactly (its VR, VM, or the value itself) is DEV-FROM-STD
  (ruling A2).
* Rules that were kept are told once for the capture, with how many values were seen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from bench.checks.case import Case
from bench.checks.finding import Finding, check, deviates, failed, inconclusive, passed, remark
from bench.checks.upperlayer.deal import lists_match
from bench.resultmodel import Evidence
from bench.statements.model import Statement
from bench.witness.charset import decode
from bench.witness.dataset import DataSet, DataSetProblem, Element
from bench.witness.model import Message
from bench.witness.values import fault, multiplicity
from bench.witness.vr import (
    ALL,
    CHARACTER_SET,
    CHARSET,
    PIXEL_DATA,
    PLAIN,
    TEXT,
    UNIT,
    WHOLE,
    WORD,
    lookup,
    text_of,
)

#: Data sets that hold keys to match: ranges, wildcards and lists are right in them.
QUERIES: Final = frozenset(("C-FIND-RQ", "C-MOVE-RQ", "C-GET-RQ"))
#: What one rule says about one capture at most.
MOST: Final = 50

_STRUCTURE: Final[Mapping[str, str]] = {
    "wrong-syntax": "STD-DS-001",
    "deflate": "STD-DS-001",
    "explicit-in-implicit": "STD-DS-001",
    "implicit-in-explicit": "STD-DS-001",
    "beyond": "STD-DS-002",
    "unreadable": "STD-DS-002",
    "swallows": "STD-DS-002",
    "truncated": "STD-DS-003",
    "leftover": "STD-DS-003",
    "not-an-item": "STD-DS-004",
    "missing-delimiter": "STD-DS-004",
    "stray-delimiter": "STD-DS-004",
    "delimiter-length": "STD-DS-004",
    "odd-length": "STD-DS-005",
    "order": "STD-DS-006",
    "duplicate": "STD-DS-007",
    "unknown-vr": "STD-DS-009",
    "reserved": "STD-DS-009",
    "file-meta": "STD-DS-013",
    "undefined-length": "STD-DS-015",
}
_SYNTAX: Final[Mapping[str, str]] = {
    "AE": "STD-DS-020",
    "AS": "STD-DS-021",
    "CS": "STD-DS-022",
    "DA": "STD-DS-023",
    "DS": "STD-DS-024",
    "DT": "STD-DS-025",
    "IS": "STD-DS-026",
    "LO": "STD-DS-027",
    "SH": "STD-DS-028",
    "LT": "STD-DS-029",
    "ST": "STD-DS-029",
    "UT": "STD-DS-029",
    "PN": "STD-DS-030",
    "TM": "STD-DS-031",
    "UI": "STD-DS-032",
    "UC": "STD-DS-033",
    "UR": "STD-DS-033",
}
#: Rules that every data set is an occasion of.
_ALWAYS: Final = tuple(f"STD-DS-{number:03}" for number in (1, 2, 3, 4, 5, 6, 7, 13))
_FOREIGN: Final = frozenset((0x0000, 0x0001, 0x0002, 0x0003, 0x0004, 0x0005, 0x0007, 0xFFFF))
#: Attributes that were UT became UR or UC in later editions.
_RENAMED: Final = frozenset(("UC", "UR", "UT"))
#: Nobody knows for certain which transfer syntax was negotiated.
_GUESSED: Final = frozenset(("transfer-syntax-guessed", "context-unseen"))
_BITS_ALLOCATED: Final = 0x00280100


@dataclass(slots=True)
class _Judged:
    """What can be said of an element by itself: rules that it is an occasion of, and those it breaks."""

    rules: tuple[str, ...]
    faults: tuple[tuple[str, str], ...]
    count: int = 0


@dataclass(slots=True)
class _Book:
    """What was seen of each rule: occasions, and messages with faults.

    Most elements come again and again; each is judged once (``known``).
    """

    occasions: dict[str, int] = field(default_factory=dict)
    first: dict[str, Evidence] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    known: dict[tuple[object, ...], _Judged] = field(default_factory=dict)

    def saw(self, rule: str, count: int = 1) -> None:
        """Count occasions on which a rule could be broken."""
        self.occasions[rule] = self.occasions.get(rule, 0) + count

    def judge(self, element: Element, query: bool, lists: bool) -> _Judged:
        """Judge an element by itself; ``lists``: a key may hold several values."""
        value = element.value
        key = (
            element.tag,
            element.vr,
            element.explicit,
            element.length,
            value,
            element.charset,
            query,
            lists,
        )
        found = self.known.get(key)
        if found is None:
            rules: list[str] = []
            faults = tuple(_alone(element, query, lists, rules))
            found = _Judged(tuple(rules), faults)
            if (value is None or len(value) <= 256) and len(self.known) < 50_000:
                self.known[key] = found
            else:
                for rule in rules:
                    self.saw(rule)
        found.count += 1
        return found

    def total(self) -> dict[str, int]:
        """Return all occasions."""
        for judged in self.known.values():
            for rule in judged.rules:
                self.saw(rule, judged.count)
        self.known.clear()
        return self.occasions


@dataclass(frozen=True, slots=True)
class _Fault:
    rule: str
    text: str
    element: Element | None = None
    offset: int | None = None
    tag: int | None = None
    path: tuple[str | int, ...] = ()
    declared: bool = False


def sent_datasets(case: Case) -> Iterator[tuple[Message, DataSet]]:
    """Every data set that the SUT sent, with its message, in order of time."""
    for message in case.sent():
        if message.dataset is not None:
            yield message, message.dataset


def is_query(message: Message) -> bool:
    """Tell whether a message's data set holds keys to match."""
    return message.name in QUERIES


def sound_until(dataset: DataSet) -> int:
    """Return the byte up to which the elements of a data set can be judged."""
    end = dataset.broken_at
    return dataset.length + 1 if end is None else end


@check("STD-DS-*")
def encoding(case: Case) -> Iterator[Finding]:
    """Judge every data set that the SUT sent."""
    declared = case.once(_declared)
    book = _Book()
    for message, dataset in sent_datasets(case):
        grouped: dict[tuple[str, bool], list[_Fault]] = {}
        lists = is_query(message) and lists_match(case, message)
        for found in _faults(message, dataset, declared, book, lists):
            grouped.setdefault((found.rule, found.declared), []).append(found)
        for id in _ALWAYS:
            book.saw(id)
            if id not in book.first:
                book.first[id] = case.at(message)
        for (id, excused), group in grouped.items():
            if id == "STD-DS-010" and not excused:
                # An attribute may be younger than the product; what its statement names it knows.
                unknown = [f for f in group if f.element is not None and f.element.tag not in declared.vrs]
                if unknown:
                    yield remark(
                        id, f"{message.name}: {unknown[0].text}", _evidence(case, message, unknown[0])
                    )
                group = [f for f in group if f not in unknown]
                if not group:
                    continue
            told = book.faults.get(id, 0)
            book.faults[id] = told + 1
            if told >= MOST:
                continue
            more = f" (and {len(group) - 1} more in this data set)" if len(group) > 1 else ""
            evidence = [_evidence(case, message, each) for each in group[:5]]
            say = deviates if excused else failed
            yield say(id, f"{message.name}: {group[0].text}{more}", *evidence)
        if any(p.code in ("too-deep", "too-many") for p in dataset.problems):
            problem = next(p for p in dataset.problems if p.code in ("too-deep", "too-many"))
            yield inconclusive("STD-DS-004", problem.text, case.at(message, offset=problem.offset))
    for id, count in sorted(book.total().items()):
        if not book.faults.get(id):
            what = "data sets" if id in _ALWAYS else "elements"
            evidence = [book.first[id]] if id in book.first else []
            yield passed(id, f"kept in {count} {what} that were sent", *evidence)


def _evidence(case: Case, message: Message, found: _Fault) -> Evidence:
    path = "".join(f"{part}[" if isinstance(part, str) else f"{part}]." for part in found.path)
    if found.element is not None:
        return case.at(message, found.element, note=f"in {path.rstrip('.')}" if path else None)
    tag = text_of(found.tag) if found.tag is not None else None
    return case.at(message, tag, offset=found.offset, note=f"in {path.rstrip('.')}" if path else None)


def _faults(
    message: Message, dataset: DataSet, declared: _Known, book: _Book, lists: bool
) -> Iterator[_Fault]:
    guessed = any(p.code in _GUESSED for p in message.problems)
    yield from _structure(dataset, message.complete, guessed)
    yield from _values(dataset, is_query(message), declared, book, lists)


def faults_of(dataset: DataSet, *, query: bool = False) -> tuple[_Fault, ...]:
    """Return what is wrong with a data set that was read whole, such as that of a file, by rules STD-DS."""
    values = _values(dataset, query, _Known({}, {}, {}), _Book())
    return (*_structure(dataset, True, False), *values)


def _values(
    dataset: DataSet, query: bool, declared: _Known, book: _Book, lists: bool = False
) -> Iterator[_Fault]:
    end = sound_until(dataset)
    waiting = [dataset]
    while waiting:
        owner = waiting.pop()
        for element in owner.elements:
            if element.offset >= end or element.truncated:
                continue
            if element.items:
                waiting += element.items
            tag = element.tag
            judged = book.judge(element, query, lists)
            if judged.faults:
                path = _path(dataset, element)
                for rule, text in judged.faults:
                    yield _Fault(
                        rule, text, element, path=path, declared=declared.excuses(rule, element, owner)
                    )
            if tag == PIXEL_DATA:
                yield from _pixel_data(owner, element, book)
            if tag & 0x00010000 and tag >> 16 not in _FOREIGN and tag & 0xFFFF:
                book.saw("STD-DS-012")
                for text in _private(owner, element):
                    yield _Fault("STD-DS-012", text, element, path=_path(dataset, element))
            elif not tag & 0xFFFF and tag >> 16 not in _FOREIGN:
                book.saw("STD-DS-011")
                for text in group_length(owner, element):
                    yield _Fault("STD-DS-011", text, element, path=_path(dataset, element))


def _path(dataset: DataSet, element: Element) -> tuple[str | int, ...]:
    return next((path for path, _, each in dataset.walk() if each is element), ())


def _structure(dataset: DataSet, complete: bool, guessed: bool) -> Iterator[_Fault]:
    end = sound_until(dataset)
    broken = False
    for problem in dataset.problems:
        rule = _STRUCTURE.get(problem.code)
        if rule is None or (guessed and rule == "STD-DS-001"):
            continue
        if problem.structural:
            # one break is said; what follows it may be its consequence
            if broken or (not complete and _at_end(problem)):
                continue
            broken = True
        elif problem.offset >= end:
            continue
        where = f" at byte {problem.offset}"
        yield _Fault(rule, problem.text + where, None, problem.offset, problem.tag, problem.path)


def _at_end(problem: DataSetProblem) -> bool:
    return problem.code in ("truncated", "leftover", "missing-delimiter", "deflate")


def _alone(element: Element, query: bool, lists: bool, rules: list[str]) -> Iterator[tuple[str, str]]:
    """Judge an element by itself; *rules* gets the rules that it is an occasion of."""
    tag, vr = element.tag, element.vr
    group, number = tag >> 16, tag & 0xFFFF
    entry = lookup(tag)
    name = f"{element.tag_text} {entry.name}" if entry is not None and entry.name else element.tag_text
    if group in _FOREIGN:
        yield "STD-DS-013", f"{name}: group {group:04X} does not belong into a data set"
        return
    if element.explicit:
        wanted = entry.vrs if entry is not None else ("UL",) if number == 0 else _creator(group, number)
        if wanted and wanted != ("NONE",):
            rules.append("STD-DS-008")
            if vr not in wanted:
                if vr == "UN":
                    if element.length < 0xFFFF and entry is not None and not entry.retired:
                        yield "STD-DS-010", f"{name} has the VR UN instead of {' or '.join(wanted)}"
                elif vr in ALL and (vr not in _RENAMED or wanted[0] not in _RENAMED):
                    yield "STD-DS-008", f"{name} has the VR {vr} instead of {' or '.join(wanted)}"
                return
    value = element.value
    if not value or vr == "SQ" or element.empty:
        return
    if vr in TEXT:
        yield from _text(element, name, query, rules)
    else:
        unit = UNIT.get(vr) or WORD.get(vr)
        if unit is not None and unit > 1:
            rules.append("STD-DS-034")
            if element.length % unit and not element.length & 1:
                yield "STD-DS-034", f"{name} ({vr}) has {element.length} bytes, no multiple of {unit}"
                return
    listed = lists or (query and vr == "UI")  # PS3.4 C.2.2.2.2
    if entry is not None and entry.vm and not listed and vr not in WHOLE and vr not in WORD:
        rules.append("STD-DS-014")
        count = element.vm
        if not multiplicity(entry.vm)(count):
            yield "STD-DS-014", f"{name} has {count} value{'s' * (count != 1)} instead of {entry.vm}"


def _creator(group: int, number: int) -> tuple[str, ...]:
    return ("LO",) if group & 1 and 0x10 <= number <= 0xFF else ()


def _private(owner: DataSet, element: Element) -> Iterator[str]:
    group, number, name = element.tag >> 16, element.tag & 0xFFFF, element.tag_text
    if number < 0x10 or 0x100 <= number < 0x1000:
        yield f"{name} is no number that a private element may have"
    elif number <= 0xFF:
        if element.empty:
            yield f"the private creator {name} is empty"
    else:
        creator = owner.get(group << 16 | number >> 8)
        if creator is None:
            missing = text_of(group << 16 | number >> 8)
            yield f"{name} has no private creator {missing}"


def group_length(owner: DataSet, element: Element) -> Iterator[str]:
    """Say that a group length is not that of its group (PS3.5 7.2)."""
    value = element.value
    if element.vr != "UL" or value is None or len(value) != 4:
        return
    told = int.from_bytes(value, "big" if element.big_endian else "little")
    group = element.tag >> 16
    behind = element.offset + element.header + 4
    end = next((e.offset for e in owner.elements if e.offset >= behind and e.tag >> 16 != group), owner.end)
    if told != end - behind:
        yield f"{element.tag_text} says {told} bytes, and the group has {end - behind}"


def _text(element: Element, name: str, query: bool, rules: list[str]) -> Iterator[tuple[str, str]]:
    vr, value = element.vr, element.value or b""
    rule = _SYNTAX[vr]
    rules.append(rule)
    plain = vr in PLAIN
    if plain and (not value.isascii() or b"\x1b" in value or element.tag == CHARACTER_SET):
        return  # STD-CS-009, STD-CS-001
    padded = _padding(vr, value)
    if not element.length & 1:
        rules.append("STD-DS-016")
        if padded is not None:
            yield "STD-DS-016", f"{name} {padded}"
    if vr in CHARSET and not value.isascii():
        text = decode(element.charset, value, vr)
    else:
        text = value.decode("ascii")
    text = text.rstrip("\0")
    for part in (text,) if vr in WHOLE else text.split("\\"):
        wrong = fault(vr, part.rstrip("\0"), query=query)
        if wrong is not None and not (padded is not None and "\0" in part):
            shown = part if len(part) <= 70 else part[:67] + "..."
            yield rule, f'{name}: the value "{_visible(shown)}" {wrong}'
            return


def _padding(vr: str, value: bytes) -> str | None:
    if vr == "UI":
        for part in value.split(b"\\"):
            if part.endswith((b" ", b" \0")):
                return "is padded with a space instead of NUL"
            if part.endswith(b"\0\0"):
                return "is padded with more than one NUL"
        return None
    if value.endswith(b"\0"):
        return f"({vr}) is padded with NUL instead of a space"
    return None


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else f"<{ord(c):02X}>" for c in text)


def _pixel_data(dataset: DataSet, element: Element, book: _Book) -> Iterator[_Fault]:
    book.saw("STD-DS-040")
    bits = dataset.number(_BITS_ALLOCATED)
    if element.undefined:
        if element.explicit and element.vr == "OW":
            yield _Fault("STD-DS-040", "encapsulated Pixel Data has the VR OW instead of OB", element)
        yield from _encapsulated(dataset, element, book)
    elif element.explicit and element.vr == "OB" and bits is not None and bits > 8:
        yield _Fault(
            "STD-DS-040", f"Pixel Data has the VR OB with {bits} Bits Allocated, instead of OW", element
        )
    elif element.explicit and element.vr == "UN":
        yield _Fault("STD-DS-040", "Pixel Data has the VR UN instead of OB or OW", element)
    words = element.big_endian and element.vr == "OW"  # there the last sample comes behind the padding
    last = _last_byte(dataset) if bits == 8 and not element.undefined and not words else None
    if last:
        yield _Fault("STD-DS-016", f"Pixel Data is made even with {last:02X}H instead of 00H", element)


def _last_byte(dataset: DataSet) -> int | None:
    """The byte behind an odd number of samples of 8 bits; None when there is none."""
    numbers = [dataset.number(key) for key in ("Rows", "Columns", "SamplesPerPixel")]
    frames = dataset.number("NumberOfFrames") if dataset.has("NumberOfFrames") else 1
    pixels = dataset.pixels
    if pixels is None or not all(numbers) or not frames:
        return None
    wanted = math.prod(int(number or 0) for number in (*numbers, frames))
    return pixels.last if wanted % 2 and pixels.length == wanted + 1 else None


def _encapsulated(dataset: DataSet, element: Element, book: _Book) -> Iterator[_Fault]:
    book.saw("STD-DS-042")
    pixels = dataset.pixels
    if pixels is None:
        return
    if pixels.offset_table is None:
        yield _Fault("STD-DS-042", "encapsulated Pixel Data has no item for the Basic Offset Table", element)
        return
    if not pixels.fragments:
        yield _Fault("STD-DS-042", "encapsulated Pixel Data has no fragment", element)
        return
    starts, at = set(), 0
    for length in pixels.fragments:
        starts.add(at)
        at += 8 + length
    wrong = next((o for o in pixels.offset_table if o not in starts), None)
    if wrong is not None:
        yield _Fault(
            "STD-DS-042", f"the Basic Offset Table points at byte {wrong}, where no fragment begins", element
        )
    elif any(then <= one for one, then in itertools.pairwise((-1, *pixels.offset_table))):
        yield _Fault("STD-DS-042", "the Basic Offset Table does not go on from frame to frame", element)
    elif pixels.offset_table and pixels.offset_table[0]:
        text = f"the Basic Offset Table begins with byte {pixels.offset_table[0]}, behind the first fragment"
        yield _Fault("STD-DS-042", text, element)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the statement says about an element although the standard says otherwise."""

    vrs: Mapping[int, frozenset[str]]
    vms: Mapping[int, frozenset[str]]
    values: Mapping[int, frozenset[str]]

    def excuses(self, rule: str, element: Element, owner: DataSet) -> bool:
        """Tell whether the statement declares exactly this deviation."""
        tag = element.tag
        if rule == "STD-DS-008":
            return element.vr in self.vrs.get(tag, ())
        if rule == "STD-DS-014":
            return any(multiplicity(vm)(element.vm) for vm in self.vms.get(tag, ()))
        known = self.values.get(tag)
        return known is not None and rule in _SYNTAX.values() and owner.text_of(element) in known


def _declared(case: Case) -> _Known:
    return known(case.statement)


def known(statement: Statement) -> _Known:
    """Collect VRs, VMs and values that a statement's clauses declare, by tag."""
    vrs: dict[int, set[str]] = {}
    vms: dict[int, set[str]] = {}
    values: dict[int, set[str]] = {}
    for clause in statement.clauses:
        rule = clause.attribute
        if rule is None:
            continue
        tag = int(rule.tag[1:5] + rule.tag[6:10], 16)
        vrs.setdefault(tag, set()).update(rule.vrs)
        if rule.vm[:1].isdigit():
            vms.setdefault(tag, set()).add(rule.vm)
        values.setdefault(tag, set()).update(rule.values)
    return _Known(
        {tag: frozenset(found) for tag, found in vrs.items()},
        {tag: frozenset(found) for tag, found in vms.items()},
        {tag: frozenset(found) for tag, found in values.items()},
    )
