"""One row of a statement against one data set: is the element there as promised, and is its value a right one?

Rules of this file:

* Everything comes from the clause: path, type, usage, VR, VM, values, condition, words.  No clause id stands here.
* A row promises its VR with the syntax of that VR where it has one (dates, numbers, codes, names, UIDs).  Lengths of
  free text, order, padding and repertoires are rules of the standard (STD-DS, STD-CS) and no row's affair.
* One finding for each row and place; several faults of one element are one finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bench.checks.attributes import values, words
from bench.checks.attributes.conditions import Row, applies, condition, holds, integer
from bench.checks.attributes.readings import Reading, readings
from bench.checks.attributes.where import WORKLIST, Occasion, owners, tag_number
from bench.checks.case import Case
from bench.checks.finding import Finding, failed, inconclusive, not_applicable, passed
from bench.resultmodel import Evidence
from bench.scenario.dictionary import uid_names
from bench.statements.model import Clause
from bench.verdict import Verdict, combine
from bench.witness import values as syntax
from bench.witness import vr
from bench.witness.dataset import DataSet, Element

#: What print usage (PS3.4 H) asks of the SCU, as a type.
USAGE: Final = {"M": "1", "MC": "1C", "U": "3"}
#: VRs whose values have a form of their own (PS3.5 6.2).
SYNTAX: Final = frozenset(("AS", "CS", "DA", "DS", "DT", "IS", "PN", "TM", "UI"))
#: Keys of the configuration for values that a product's owner chooses.
CONFIGURED: Final = {"Manufacturer": ("oem_manufacturer", "manufacturer")}
_GOOD: Final = {
    Verdict.PASS: "",
    Verdict.PASS_ERRATUM: ", by the corrected reading",
    Verdict.DEV_FROM_STD: ", as the statement says and the standard does not",
}


def judge(case: Case, clause: Clause, occasion: Occasion) -> Iterator[Finding]:
    """Judge a row at every place of a data set where its element should stand."""
    rule = clause.attribute
    if rule is None:
        return
    if occasion.dataset is None and occasion.gap:
        yield inconclusive(clause.id, occasion.gap, case.at(occasion.message))
        return
    root = occasion.dataset if occasion.dataset is not None else DataSet()
    for owner in owners(root, rule.path, rule.path_keywords):
        row = Row(case, clause, rule, occasion, root, owner)
        yield missing(row) if owner.missing else from_place(row)


def missing(row: Row) -> Finding:
    """There is no item for the element: not applicable, or unknown when the capture has a gap."""
    owner, at = row.owner, evidence(row)
    if row.occasion.gap and owner.element is None:
        return inconclusive(row.clause.id, f"{owner.missing} was not seen: {row.occasion.gap}", at)
    state = "absent" if owner.element is None else "empty"
    return not_applicable(
        row.clause.id, f"{owner.missing} is {state}: there is no item for {row.rule.keyword}", at
    )


def from_place(row: Row) -> Finding:
    """Judge an element where it should stand; a finding without a say (NOT-EXERCISED) when it may be absent."""
    element = row.item.get(row.tag)
    if in_doubt(row, element):
        return inconclusive(row.clause.id, f"{row.name}: {row.occasion.gap}", evidence(row, element))
    of_variant = applies(row)
    if of_variant is False or (of_variant is None and element is None):
        why = "is not" if of_variant is False else "is not known to be"
        reason = f"for {row.clause.only_for} use only, which this {why}"
        return not_applicable(row.clause.id, reason, evidence(row, element))
    if element is None:
        return _absent(row)
    return _empty(row, element) if element.empty else _present(row, element)


def evidence(row: Row, element: Element | None = None) -> Evidence:
    """Where the element is, or should be, with the tags of its path."""
    offset = None if element is None else element.offset
    return row.case.at(row.occasion.message, row.place, offset=offset)


def in_doubt(row: Row, element: Element | None) -> bool:
    """Tell whether the element, or its absence, lies where the data set could not be read."""
    if not row.occasion.gap:
        return False
    broken = row.root.broken_at
    if element is not None:
        return element.truncated or (broken is not None and element.offset >= broken)
    behind = (e for e in row.item.elements if e.tag > row.tag and not e.truncated)
    return not any(broken is None or e.offset < broken for e in behind)


def held_to(row: Row) -> str:
    """Return the type that the data set is held to."""
    if row.rule.usage is not None:
        return USAGE.get(row.rule.usage[0], "3")
    promised = row.rule.types.promised
    return "3" if promised in (None, "-") else str(promised)


def _absent(row: Row) -> Finding:
    id, kind, at = row.clause.id, held_to(row), evidence(row)
    why = words.required(row)
    if why is not None:
        return failed(id, f"{row.name} is absent; {why}", at)
    misplaced = _misplaced(row)
    decided = readings(row.case.statement, row.clause)
    for reading in decided:
        if reading.instead and row.item.has(tag_number(reading.instead)):
            return Finding(
                id,
                Verdict.PASS_ERRATUM,
                f"{reading.instead} stands in place of {row.name}: {reading.why}",
                (at,),
            )
    if kind in ("1", "2"):
        wanted = "it must be sent" if row.rule.usage else f"type {kind} wants {_wants(kind)}"
        return failed(id, f"{row.name} is absent; {wanted}{misplaced}", at)
    if kind in ("1C", "2C"):
        needed = condition(row)
        if needed:
            return failed(id, f"{row.name} is absent; type {kind}, {_because(row)}{misplaced}", at)
        weaker = _weaker(row, decided, None)
        if weaker is not None:
            return weaker
        why = f"is not the case: {_because(row)}" if needed is False else "cannot be seen in the data"
        return not_applicable(id, f"{row.name} is absent; whether it is needed {why}", at)
    weaker = _weaker(row, decided, None)
    if weaker is not None:
        return weaker
    if misplaced:
        return failed(id, f"{row.name} is absent{misplaced}", at)
    if row.rule.condition and not row.rule.usage and condition(row):
        return passed(id, f"{row.name} is absent, which type {kind} allows ({row.rule.condition})", at)
    return Finding(id, Verdict.NOT_EXERCISED, f"{row.name} is absent, which is allowed", (at,))


def _empty(row: Row, element: Element) -> Finding:
    id, kind, at = row.clause.id, held_to(row), evidence(row, element)
    why = words.required(row)
    if why is not None:
        return failed(id, f"{row.name} is empty; {why}", at)
    if row.rule.keyword == "SpecificCharacterSet" and kind in ("1C", "2C", "3") and not condition(row):
        return passed(id, f"{row.name} is empty, and all text is in the default repertoire", at)
    if kind in ("1", "1C"):
        wanted = "it must have a value" if row.rule.usage else f"type {kind} wants a value"
        return failed(id, f"{row.name} is empty; {wanted}", at)
    if row.rule.usage:
        return Finding(id, Verdict.NOT_EXERCISED, f"{row.name} is sent without a value", (at,))
    decided = readings(row.case.statement, row.clause)
    weaker = _weaker(row, decided, element)
    if weaker is not None:
        return weaker
    wrong = wrong_vr(row, element)
    if wrong:
        return failed(id, wrong, at)
    return right(row, element, decided, f"{row.name} is empty, which type {kind} allows")


def _present(row: Row, element: Element) -> Finding:
    id = row.clause.id
    decided = readings(row.case.statement, row.clause)
    texts = row.item.texts_of(element)
    faults = [fault for fault in (wrong_vr(row, element), wrong_vm(row, element, texts)) if fault]
    doubt = None
    if not faults:
        fit = _fit(row, element, texts, decided)
        malformed = _malformed(row, element, texts)
        if malformed:
            faults.append(malformed)
        elif fit.ok is False:
            faults.append(f"{row.name} is {shown(row, element)}, which {fit.why}")
        elif fit.ok is None:
            doubt = f"{row.name} is {shown(row, element)}, which {fit.why}"
        faults += words.faults(row, element)
    if "only when the configuration option is on" in row.rule.condition:
        on = condition(row)
        if on is False:
            faults.append(f"{row.name} is sent, and it is not configured")
        elif on is None and doubt is None:
            key = row.rule.keyword.lower()
            doubt = f"{row.name} is {shown(row, element)}; whether it is switched on tells {key!r} of the configuration"
    if faults and _handed_on(row, element):
        text = f"{row.name} is {shown(row, element)}, as the worklist gave it"
        return not_applicable(id, text, evidence(row, element))
    if faults:
        return failed(id, "; ".join(dict.fromkeys(faults)), evidence(row, element))
    if doubt is not None:
        return inconclusive(id, doubt, evidence(row, element))
    text = "" if row.occasion.brief else f"{row.name} is {shown(row, element)}"
    return right(row, element, decided, text)


def right(row: Row, element: Element, decided: tuple[Reading, ...], text: str) -> Finding:
    """The row is kept; say so by the paper's words, by the corrected reading, or as a deviation that it declares."""
    verdict, why = Verdict.PASS, ""
    if decided:
        texts = row.item.texts_of(element)
        found = [verdict]
        for reading in decided:
            one = next((v for value, v in reading.values.items() if value in texts), reading.present)
            if one is None and reading.corrected and not _as_printed(row, texts):
                one = Verdict.PASS_ERRATUM
            if one is not None:
                found.append(one)
                why = why or f": {reading.why}"
        verdict = combine(found)
    if row.occasion.brief:
        return Finding(row.clause.id, verdict, f"{row.rule.keyword} is right{_GOOD[verdict]}{why}")
    return Finding(row.clause.id, verdict, f"{text}{_GOOD[verdict]}{why}", (evidence(row, element),))


def wrong_vr(row: Row, element: Element) -> str:
    """Say what is wrong with the VR; UN is legal for what an encoder does not know, and Implicit VR has none."""
    if not element.explicit or element.vr == "UN" or element.vr in row.rule.vrs:
        return ""
    return f"{row.name} has VR {element.vr}; it is {' or '.join(row.rule.vrs)}"


def wrong_vm(row: Row, element: Element, texts: tuple[str, ...]) -> str:
    """Say what is wrong with the number of values, as far as they can be told apart."""
    if not values.countable(element.vr) or element.value is None:
        return ""
    if element.vr in vr.CHARSET and (0x1B in element.value or not element.value.isascii()):
        return ""  # a backslash may be half of a character where the character set is broken
    count = len(texts)
    if count == 0 or values.multiplicity(count, row.rule.vm):
        return ""
    return f"{row.name} has {count} value(s), {shown(row, element)}; its value multiplicity is {row.rule.vm}"


def _fit(row: Row, element: Element, texts: tuple[str, ...], decided: tuple[Reading, ...]) -> values.Fit:
    rule, item = row.rule, row.item
    if element.vr == "SQ" or element.value is None:
        return values.FITS
    listed, match = rule.values, rule.match
    if not listed:
        listed = next((reading.allowed for reading in decided if reading.allowed), ())
        match = "leading" if listed else match
    if (listed or rule.range) and not texts:
        return values.Fit(None, "cannot be read")
    if rule.range is not None:
        return values.within(item.numbers_of(element), *rule.range)
    if not listed:
        return values.FITS
    if match == "prefix":
        return values.prefix(texts, listed)
    if match == "leading":
        return values.leading(texts, listed)
    if match == "bounds":
        return _bounds(row, element, listed)
    if match == "configured":
        keys = CONFIGURED.get(rule.keyword) or (re.sub(r"(?<!^)(?=[A-Z])", "_", rule.keyword).lower(),)
        known = next((str(one) for key in keys if (one := row.case.config.get(key)) is not None), None)
        return values.configured(texts, listed, known, keys[0])
    if match == "form":
        text = item.text_of(element)
        fit = values.form(text, listed, element.vr)
        return values.FITS if fit.ok is False and text in row.case.once(_given) else fit
    return values.whole(texts, listed, bool(set(rule.vrs) & values.NUMERIC))


def _bounds(row: Row, element: Element, listed: tuple[str, ...]) -> values.Fit:
    numbers = row.item.numbers_of(element)
    if not numbers:
        return values.Fit(None, "cannot be read")
    which = "smallest" if row.rule.keyword.startswith("Smallest") else "largest"
    pixels, bits = row.item.pixels, integer(row.item, "BitsStored")
    extreme = None if pixels is None else pixels.smallest if which == "smallest" else pixels.largest
    padded = row.item.has("PixelPaddingValue") or not words.pixels_known(row)
    return values.bounds(numbers[0], listed, bits, extreme, padded, which)


def _malformed(row: Row, element: Element, texts: tuple[str, ...]) -> str:
    """Say what is wrong with the syntax of a value; what the worklist gave so is handed on, and not the SUT's fault."""
    if element.vr not in SYNTAX:
        return ""
    for text in texts:
        wrong = syntax.fault(element.vr, text)
        if wrong is not None and text not in row.case.once(_given):
            return f"{row.name} is {shown(row, element)}: a value of {element.vr} that {wrong}"
    return ""


def _handed_on(row: Row, element: Element) -> bool:
    """Whether a value of the patient or the order is what the worklist gave for the same attribute: its fault."""
    if row.rule.tag[1:5] not in ("0010", "0032", "0038") and row.rule.tag != "(0040,1003)":
        return False
    return element.value is not None and (row.tag, row.item.text_of(element)) in row.case.once(
        _given_attributes
    )


def _given_attributes(case: Case) -> set[tuple[int, str]]:
    """Return what worklist answers hold at their top level: tag and text."""
    return {
        (element.tag, response.dataset.text_of(element))
        for request in case.requests("C-FIND-RQ", WORKLIST)
        for response in case.exchange(request).responses
        if response.dataset is not None
        for element in response.dataset.elements
        if not element.empty and element.value is not None
    }


def _given(case: Case) -> set[str]:
    """Return the texts that others gave to the SUT: what it hands on as it got it is not its fault."""
    found: set[str] = set()
    for request in case.requests("C-FIND-RQ"):
        for response in case.exchange(request).responses:
            if response.dataset is not None:
                for _, owner, element in response.dataset.walk():
                    if element.vr in SYNTAX:
                        found.update(owner.texts_of(element))
    return found


def _weaker(row: Row, decided: tuple[Reading, ...], element: Element | None) -> Finding | None:
    """The promise is kept; say whether an erratum holds the row to the standard's stricter type."""
    state = "absent" if element is None else "empty"
    for reading in decided:
        short = reading.wants == "1" or (reading.wants == "2" and element is None)
        if short and not (reading.unless and holds(row, reading.unless)):
            at = evidence(row, element)
            return Finding(row.clause.id, reading.otherwise, f"{row.name} is {state}; {reading.why}", (at,))
    return None


def _misplaced(row: Row) -> str:
    """Whether the printed tag is used in place of the right one: an element there with the VR of the right one."""
    printed = row.clause.printed.tag
    if printed is None:
        return ""
    element = row.item.get(tag_number(printed))
    if element is None or not element.explicit or element.vr not in row.rule.vrs:
        return ""
    return f"; {printed}, the tag that the statement misprints, stands there instead"


def _as_printed(row: Row, texts: tuple[str, ...]) -> bool:
    printed = row.clause.printed
    if printed.value is None or printed.tag is not None or not texts:
        return False
    return values.word_in("\\".join(texts), printed.value)


def _because(row: Row) -> str:
    if row.rule.keyword == "SpecificCharacterSet":
        return "required when text is not in the default repertoire"
    return row.rule.condition or row.clause.only_for or "required under its condition"


def _wants(kind: str) -> str:
    return "it with a value" if kind == "1" else "it, if only empty"


def shown(row: Row, element: Element) -> str:
    """Return a value for a sentence: a text in quotes, a UID with its name, the number of items, the length."""
    if element.vr == "SQ" or element.items:
        return f"{len(element.items)} item(s)"
    if element.value is None:
        return f"{element.length} bytes" if not element.undefined else "encapsulated"
    text = row.item.text_of(element)
    if element.vr in values.NUMERIC:
        return text or "unreadable"
    if element.vr == "UI" and text.startswith("1.2.840.10008."):
        return f"{text} ({uid_names().get(text, 'unknown')})"
    return text if element.vr == "UI" else repr(text if len(text) <= 80 else f"{text[:77]}...")
