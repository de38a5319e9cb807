"""The linter: where a statement contradicts the standard or itself, with severity and the reading that the bench uses.

Rules of this file:

* A rule compares the clauses with the dictionary, the standard's tables (:mod:`bench.statements.facts`) and each
  other; it never looks at the errata.  What a rule finds is then joined with the errata of its clauses: their reading
  is the one that is used.
* A finding without an erratum is open: nobody has decided how it is read, and a check of it would be a guess.
* Errata that no rule found are listed as noted by a person; a linter cannot find lost lines.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bench.scenario.problems import did_you_mean
from bench.statements import dictionary
from bench.statements.facts import (
    EXPLICIT_BE,
    IMPLICIT_LE,
    MANDATORY,
    MULTI_BYTE,
    ONLY,
    PROFILES,
    RETIRED_SCHEMES,
    TERMS,
    TOGETHER,
)
from bench.statements.model import SEVERITIES, AttributeRule, Clause, Section, Statement
from bench.statements.rules import FORMS

_TYPE: Final = re.compile(r"\b([123]C?)\b")
_STRICT: Final = {"3": 0, "2C": 1, "2": 2, "1C": 3, "1": 4}
_SEPARATORS: Final = re.compile(r"[₩￦¥￥]|(?<=\d)/(?=\d)|(?<=[A-Z])/(?=[A-Z])")
_UID: Final = re.compile(r"\b\d+(?:\.\d+){4,}\b")
_PROFILE: Final = re.compile(r"\bSTD-[A-Z0-9]+(?:-[A-Z0-9]+)+\b")


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One contradiction, typo or ambiguity.

    ``rule`` names the comparison that found it, or is ``noted`` for an erratum that only a person could find;
    ``errata`` are those that say how it is read, ``reading`` their words.
    """

    severity: str
    rule: str
    clauses: tuple[str, ...]
    says: str
    standard: str
    errata: tuple[str, ...] = ()
    reading: str = ""
    line: int = 0

    @property
    def open(self) -> bool:
        """Whether nobody has decided how it is read."""
        return not self.errata


@dataclass(frozen=True, slots=True)
class _Raw:
    severity: str
    clauses: tuple[Clause, ...]
    says: str
    standard: str
    line: int = 0
    about: str = ""  # keyword, where no clause stands for it


Found = Iterator[_Raw]


def lint(statement: Statement) -> tuple[LintFinding, ...]:
    """Return every finding: contradictions first, in the order of the statement; errata that no rule found last."""
    found: list[LintFinding] = []
    seen: set[str] = set()
    for name, rule in RULES.items():
        for raw in rule(statement):
            errata = _errata(statement, raw)
            seen.update(errata)
            reading = " · ".join(_reading(statement, one) for one in errata)
            line = raw.line or (raw.clauses[0].line if raw.clauses else 0)
            ids = tuple(clause.id for clause in raw.clauses)
            found.append(LintFinding(raw.severity, name, ids, raw.says, raw.standard, errata, reading, line))
    order = list(SEVERITIES)
    found.sort(key=lambda one: (order.index(one.severity), one.line))
    for id, erratum in statement.errata.items():
        if id not in seen:
            ids = tuple(clause.id for clause in statement.clauses if id in clause.errata)
            words = (erratum.statement, erratum.standard, (id,), erratum.reading, erratum.line)
            found.append(LintFinding(erratum.severity, "noted", ids, *words))
    return tuple(found)


def _errata(statement: Statement, raw: _Raw) -> tuple[str, ...]:
    """Errata that decide a finding: those of its clauses, else those that name the element, else defaults that do."""
    named = dict.fromkeys(name for clause in raw.clauses for name in clause.errata)
    if not named and raw.about:
        entry = dictionary.by_keyword()[raw.about]
        texts = {id: f"{one.statement} {one.standard} {one.reading}" for id, one in statement.errata.items()}
        texts |= {id: f"{one.fact} {one.value}" for id, one in statement.defaults.items()}
        named = dict.fromkeys(id for id, text in texts.items() if entry.tag in text or entry.name in text)
    return tuple(named)


def _reading(statement: Statement, id: str) -> str:
    return statement.errata[id].reading if id in statement.errata else statement.defaults[id].value


def _place(section: Section, attribute: AttributeRule) -> tuple[object, ...]:
    """Return the data set and the element: what two tables may both speak of."""
    return section.dataset, attribute.sop_classes or section.sop_classes, attribute.path, attribute.tag


def _attributes(statement: Statement) -> Iterator[tuple[Section, Clause, AttributeRule]]:
    for section in statement.sections:
        for clause in section.clauses:
            if clause.attribute is not None:
                yield section, clause, clause.attribute


def _tags(statement: Statement) -> Found:
    """The printed tag is another element's, or nobody's."""
    for _, clause, attribute in _attributes(statement):
        printed = clause.printed.tag
        if printed and printed != attribute.tag:
            other = dictionary.by_tag().get(printed)
            what = f"is {other.name}" if other else "does not exist"
            name = clause.printed.name or dictionary.by_keyword()[attribute.keyword].name
            yield _Raw("typo", (clause,), f"{name} {printed}", f"{printed} {what}; {name} is {attribute.tag}")


def _names(statement: Statement) -> Found:
    """The printed name is not the dictionary's."""
    for _, clause, attribute in _attributes(statement):
        entry = dictionary.by_keyword().get(attribute.keyword)
        if clause.printed.name and entry and clause.printed.name != entry.name:
            yield _Raw(
                "typo", (clause,), f'{attribute.tag} is called "{clause.printed.name}"', f'"{entry.name}"'
            )


def _values(statement: Statement) -> Found:
    """A printed value that its VR cannot hold, whose separator is lost, or that is none of the standard's terms."""
    for section, clause, attribute in _attributes(statement):
        printed = clause.printed.value
        lost = any("\\" in value and value.replace("\\", "") == printed for value in attribute.values)
        if printed and (lost or _SEPARATORS.search(printed)):
            yield _Raw(
                "typo", (clause,), f'value "{printed}"', "multiple values are separated by a backslash (5CH)"
            )
            continue
        words = [w.strip() for w in re.split(r"[,\n…]", printed.split(" (")[0])] if printed else []
        form = FORMS.get(attribute.vrs[0])
        terms = TERMS.get(attribute.keyword)
        for word in filter(None, words):
            if attribute.vrs == ("CS",) and form and word.isupper() and not form.fullmatch(word):
                yield _Raw(
                    "typo", (clause,), f'value "{word}"', "CS allows A-Z, 0-9, space and underscore only"
                )
            elif terms and word not in terms and word.isupper():
                hint = did_you_mean(word, terms)
                yield _Raw("typo", (clause,), f'value "{word}"', f"no term of {attribute.keyword} ({hint})")
        for value in attribute.values:
            if terms and value not in terms and value not in words:
                yield _Raw(
                    "contradiction",
                    (clause,),
                    f'value "{value}"',
                    f"terms of {attribute.keyword}: {', '.join(sorted(terms))}",
                )
        kinds = (section.dataset, *(attribute.sop_classes or section.sop_classes))
        for kind in kinds:
            allowed = ONLY.get((kind, attribute.keyword))
            for value in attribute.values if allowed else ():
                if allowed and value not in allowed[0]:
                    yield _Raw("contradiction", (clause,), f"{attribute.keyword} {value}", allowed[1])


def _excluding(statement: Statement) -> Found:
    """Two values that cannot stand together."""
    for sop_class, first, second, cite in TOGETHER:
        holders: dict[str, list[Clause]] = defaultdict(list)
        only: set[str] = set()
        for section, clause, attribute in _attributes(statement):
            if sop_class in (attribute.sop_classes or section.sop_classes):
                for keyword, value in (first, second):
                    if attribute.keyword == keyword and value in attribute.values:
                        holders[keyword].append(clause)
                        if attribute.values == (value,):
                            only.add(keyword)
        if first[0] in only and holders[second[0]]:
            clauses = (*holders[second[0]], *holders[first[0]])
            yield _Raw(
                "contradiction",
                clauses,
                f"{first[0]} is always {first[1]}, {second[0]} may be {second[1]}",
                cite,
            )


def _types(statement: Statement) -> Found:
    """The printed type is not the standard's."""
    places = Counter(_place(section, attribute) for section, _, attribute in _attributes(statement))
    for section, clause, attribute in _attributes(statement):
        printed, standard = attribute.types.printed, attribute.types.standard
        note = f" ({attribute.types.standard_note})" if attribute.types.standard_note else ""
        if printed not in _STRICT:
            continue
        # a note tells the type in another module; where that module has a row of its own, it speaks for itself
        alone = places[_place(section, attribute)] == 1
        known = [
            t
            for t in (standard, *(_TYPE.findall(attribute.types.standard_note) if alone else ()))
            if t in _STRICT
        ]
        if not known:
            if standard is None and attribute.module:
                yield _Raw(
                    "contradiction",
                    (clause,),
                    f"{attribute.keyword} in this module",
                    "no such attribute there",
                )
            continue
        strictest = max(known, key=_STRICT.__getitem__)
        if _STRICT[printed] < _STRICT[strictest]:
            says = f"{attribute.dotted} is type {printed}"
            yield _Raw("contradiction", (clause,), says, f"type {standard}{note}")
        elif printed[0] < strictest[0]:
            says = f"{attribute.dotted} is printed as the standard's type {printed}"
            meant = f"type {standard}{note}; stricter is allowed, and is promised here"
            yield _Raw("ambiguous", (clause,), says, meant)


def _retired(statement: Statement) -> Found:
    """Retired elements."""
    for _, clause, attribute in _attributes(statement):
        if attribute.keyword in dictionary.retired():
            yield _Raw("contradiction", (clause,), f"{attribute.keyword} {attribute.tag}", "retired (PS3.6)")


def _twice(statement: Statement) -> Found:
    """The same element of the same data set with different words in two tables."""
    places: dict[tuple[object, ...], list[tuple[Clause, AttributeRule]]] = defaultdict(list)
    for section, clause, attribute in _attributes(statement):
        places[_place(section, attribute)].append((clause, attribute))
    for rows in places.values():
        told = {(a.types.printed, a.values) for _, a in rows if a.values or a.types.printed}
        if len(rows) > 1 and len(told) > 1:
            words = "; ".join(
                ", ".join((f"{clause.id}: type {a.types.printed or 'not printed'}", *a.values))
                for clause, a in rows
            )
            clauses = tuple(clause for clause, _ in rows)
            yield _Raw(
                "contradiction", clauses, f"{rows[0][1].dotted} twice: {words}", "one data set, one element"
            )


def _keys(statement: Statement) -> Found:
    """Matching and return key types that are not those of PS3.4, and keys that the level does not have."""
    for _, clause, attribute in _attributes(statement):
        key = attribute.key
        if key is None or not key.standard:
            continue
        if key.standard.startswith("not "):
            yield _Raw("contradiction", (clause,), f"query key {attribute.keyword}", key.standard)
            continue
        if clause.printed.matching and clause.printed.matching != key.matching:
            yield _Raw("typo", (clause,), f'matching key type "{clause.printed.matching}"', key.standard)
        matching, _, returned = key.standard.partition("/")
        returned = returned.split(" ")[0]
        for printed, standard in ((key.matching, matching), (key.returned, returned)):
            if (
                printed
                and standard
                and printed not in (standard, "-")
                and not key.standard.endswith(f"({printed} today)")
            ):
                says = f"{attribute.dotted} is {key.matching or '-'}/{key.returned or '-'}"
                yield _Raw("contradiction", (clause,), says, f"{key.standard} (PS3.4)")
                break


def _missing(statement: Statement) -> Found:
    """Elements of mandatory modules that no table has."""
    for kind, wanted in MANDATORY.items():
        sections = [s for s in statement.sections if kind in (s.dataset, *s.sop_classes) and s.clauses]
        rows = [c.attribute for s in sections for c in s.clauses if c.attribute is not None]
        if len(rows) < 10:  # no table of this object, or a torn one: nothing to be missing from
            continue
        for keyword, path, type_, cite in wanted:
            if not any(a.keyword == keyword and a.path_keywords == path for a in rows):
                says = f"no row for {'.'.join((*path, keyword))} {dictionary.by_keyword()[keyword].tag}"
                yield _Raw("contradiction", (), says, f"type {type_} ({cite})", sections[0].line, keyword)


def _empty(statement: Statement) -> Found:
    """A sequence that is said to be always empty, with rows inside."""
    for section, clause, attribute in _attributes(statement):
        words = f"{clause.printed.value or ''} {attribute.words}".lower()
        inside = (*attribute.path, attribute.tag)
        if attribute.vrs == ("SQ",) and "always empty" in words:
            rows = [
                other
                for other in section.clauses
                if other.attribute is not None and other.attribute.path[: len(inside)] == inside
            ]
            if rows:
                says = f'{attribute.dotted} "Always Empty", and {len(rows)} rows inside it'
                yield _Raw("contradiction", (clause,), says, "an empty sequence has no items")


def _syntaxes(statement: Statement) -> Found:
    """Abstract syntaxes that are proposed without the default transfer syntax; retired transfer syntaxes."""
    offered: dict[str, list[Clause]] = defaultdict(list)
    for clause in statement.clauses:
        if clause.kind == "context" and clause.sop is not None:
            offered[clause.sop.uid].append(clause)
            if EXPLICIT_BE in clause.sop.transfer_syntaxes:
                yield _Raw(
                    "contradiction",
                    (clause,),
                    f"{clause.sop.name}: Explicit VR Big Endian",
                    "retired (PS3.5 2016b)",
                )
    for clauses in offered.values():
        syntaxes = {uid for c in clauses if c.sop for uid in c.sop.transfer_syntaxes}
        if IMPLICIT_LE not in syntaxes and clauses[0].sop is not None:
            yield _Raw(
                "contradiction",
                tuple(clauses),
                f"{clauses[0].sop.name} is proposed without Implicit VR Little Endian",
                "PS3.5 10.1: a requestor offers it for each abstract syntax",
            )


def _unproposed(statement: Statement) -> Found:
    """Services that no presentation context carries."""
    proposed = {c.sop.uid for c in statement.clauses if c.kind == "context" and c.sop is not None}
    for clause in statement.clauses:
        sop = clause.sop
        if clause.kind == "service" and sop is not None and "SCU" in sop.roles and sop.uid not in proposed:
            yield _Raw(
                "contradiction", (clause,), f"{sop.name} is claimed and proposed nowhere", "PS3.8 7.1.1.13"
            )


def _profiles(statement: Statement) -> Found:
    """Application profiles that do not exist, and transfer syntaxes that they do not have."""
    allowed: set[str] = set()
    media = [c for c in statement.clauses if c.kind in ("media", "media-syntax")]
    for clause in media:
        for name in sorted(set(_PROFILE.findall(f"{clause.title} {clause.text}"))):
            meant = [one for one in PROFILES if one == name or one.startswith(f"{name}-")]
            for one in meant:
                allowed |= PROFILES[one]
            if name not in PROFILES:
                hint = " or ".join(meant) or did_you_mean(name, PROFILES)
                yield _Raw("contradiction", (clause,), f"profile {name}", f"PS3.11 annex J has {hint}")
    for clause in media if allowed else ():
        if clause.kind == "media-syntax" and clause.sop is not None:
            outside = [uid for uid in clause.sop.transfer_syntaxes if uid not in allowed]
            for uid in outside:
                name = dictionary.uid_names().get(uid, uid)
                yield _Raw(
                    "contradiction",
                    (clause,),
                    f"{clause.sop.name} as {name}",
                    "not in the profile (PS3.11 J)",
                )


def _identity(statement: Statement) -> Found:
    """Implementation class UIDs: several, or the bare arc of an enterprise."""
    where: dict[str, list[Clause]] = defaultdict(list)
    for clause in statement.clauses:
        if "implementation class uid" in f"{clause.title} {clause.text}".lower():
            for uid in _UID.findall(clause.text):
                where[uid.rstrip(".")].append(clause)
    if len(where) > 1:
        says = " and ".join(sorted(where))
        yield _Raw(
            "ambiguous",
            tuple(clause for clauses in where.values() for clause in clauses),
            f"{len(where)} implementation class UIDs: {says}",
            "PS3.7 D.3.3.2: one for each implementation; two are two implementations",
        )
    for uid, clauses in where.items():
        if re.fullmatch(r"1\.3\.6\.1\.4\.1\.\d+", uid):
            says = f"implementation class UID {uid}, the bare arc of an enterprise"
            yield _Raw("ambiguous", tuple(clauses), says, "PS3.7 D.3.3.2: unique to the implementation")


def _charsets(statement: Statement) -> Found:
    """Multi-byte sets as the first value, and one value for several repertoires."""
    terms: dict[tuple[str, ...], list[Clause]] = defaultdict(list)
    for clause in statement.clauses:
        if clause.charset is None:
            continue
        terms[clause.charset.terms].append(clause)
        first = clause.printed.value or clause.charset.terms[0]
        if first in MULTI_BYTE:
            says = f"{first} as the only value"
            yield _Raw("contradiction", (clause,), says, "never the first value (PS3.3 C.12.1.1.2)")
    for values, clauses in terms.items():
        if len({c.charset.repertoire for c in clauses if c.charset}) > 1:
            says = f"{values[-1] or 'no value'} for {len(clauses)} repertoires"
            yield _Raw("ambiguous", tuple(clauses), says, "one term, one set of repertoires")


def _content(statement: Statement) -> Found:
    """Rows of a content tree against the template, and retired coding schemes."""
    schemes: dict[str, list[Clause]] = defaultdict(list)
    for clause in statement.clauses:
        row = clause.content
        if row is None:
            continue
        standard = re.search(r"relationship ([A-Z ]+)", row.standard)
        if standard and standard[1].strip() != row.relationship:
            says = f"{row.concept or row.include}: {row.relationship}"
            yield _Raw("contradiction", (clause,), says, f"{standard[1].strip()} (TID {row.template})")
        unit = re.search(r"\bunit (\([^)]*\)|\S+)|\((\S+), UCUM", row.standard)
        if unit and row.unit is not None and row.unit.value not in unit[0]:
            yield _Raw(
                "contradiction",
                (clause,),
                f"{row.concept}: unit {row.unit}",
                f"{row.standard} (TID {row.template})",
            )
        for code in (row.concept, row.unit, *row.codes):
            if code is not None and code.scheme in RETIRED_SCHEMES:
                schemes[code.scheme].append(clause)
    for scheme, clauses in schemes.items():
        says = f"codes of {scheme} in {len(clauses)} rows"
        yield _Raw(
            "contradiction", tuple(clauses), says, f"{RETIRED_SCHEMES[scheme]} since 2017 (PS3.16 section 8)"
        )


RULES: Final[Mapping[str, Callable[[Statement], Found]]] = {
    "tag": _tags,
    "name": _names,
    "value": _values,
    "excluding-values": _excluding,
    "type": _types,
    "retired": _retired,
    "twice": _twice,
    "key-type": _keys,
    "missing": _missing,
    "always-empty": _empty,
    "transfer-syntax": _syntaxes,
    "not-proposed": _unproposed,
    "profile": _profiles,
    "identity": _identity,
    "character-set": _charsets,
    "content-tree": _content,
}
"""Name -> comparison."""
