"""Enumerated values, defined terms, Modality and Presentation Intent Type.

Rules of this file:

* An enumerated value that the statement's own row lists is the statement's deviation (ruling A2).
* A defined term may be extended; one that differs from a defined term by a letter or two is misspelt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, deviates, failed, passed
from bench.checks.iod.borrowed import borrowed
from bench.checks.iod.predicates import ANIMAL
from bench.checks.iod.subjects import Subject, subjects
from bench.checks.iod.tables import defined, enumerated, label

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.witness.dataset import DataSet

ENUMERATED: Final = "STD-IOD-006"
DEFINED: Final = "STD-IOD-009"
MODALITY: Final = "STD-IOD-040"
INTENT: Final = "STD-IOD-041"
PATIENT: Final = "STD-IOD-043"

MODALITIES: Final[Mapping[str, tuple[str, ...]]] = {
    "1.2.840.10008.5.1.4.1.1.1.1": ("DX",),
    "1.2.840.10008.5.1.4.1.1.1.1.1": ("DX",),
    "1.2.840.10008.5.1.4.1.1.1": ("CR",),
    "1.2.840.10008.5.1.4.1.1.6.1": ("US", "IVUS"),
    "1.2.840.10008.5.1.4.1.1.3.1": ("US", "IVUS"),
    "1.2.840.10008.5.1.4.1.1.88.67": ("SR",),
}
INTENTS: Final[Mapping[str, str]] = {
    "1.2.840.10008.5.1.4.1.1.1.1": "FOR PRESENTATION",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "FOR PROCESSING",
}


@check(ENUMERATED, DEFINED, PATIENT)
def terms(case: Case) -> Iterator[Finding]:
    """Values of coded strings and numbers in every object."""
    for subject in subjects(case):
        wrong = set()
        for path, owner, keyword, values in _listed(subject):
            allowed = enumerated(subject.sop_class)[".".join(path)]
            for value in values:
                if _plain(value) in allowed or borrowed(case).has(keyword, value):
                    continue
                wrong.add(ENUMERATED)
                reason = f"{label(*path)} is {value!r}; the standard has only {', '.join(allowed)}"
                declared = subject.declared.lists(value, *path)
                where = subject.at(keyword, owner=owner)
                if declared:
                    yield deviates(ENUMERATED, f"{reason}; declared by {declared}", *where)
                else:
                    yield failed(ENUMERATED, reason, *where)
        for keyword, known in defined().items():
            for value in subject.dataset.texts(keyword):
                if not value or value in known:
                    continue
                close = misspelt(value, known)
                where = subject.at(keyword)
                if close and subject.declared.lists(value, keyword) is None:
                    wrong.add(DEFINED)
                    yield failed(DEFINED, f"{label(keyword)} is {value!r}; the term is {close}", *where)
                elif close:
                    wrong.add(DEFINED)
                    yield deviates(
                        DEFINED,
                        f"{label(keyword)} is {value!r}, as the statement prints it; the term is {close}",
                        *where,
                    )
        yield from _animals(subject)
        for id in (ENUMERATED, DEFINED):
            if id not in wrong:
                yield passed(id, "terms are those of the standard", *subject.at())


def _animals(subject: Subject) -> Iterator[Finding]:
    species = str(subject.case.config.get("species") or "").lower()
    if not species:
        return
    for keyword in ANIMAL:
        if species == "human" and subject.dataset.state(keyword) == "value":
            yield failed(PATIENT, f"{label(keyword)} is given for a human patient", *subject.at(keyword))
            return
    yield passed(PATIENT, "attributes of animals only for animals", *subject.at())


def _listed(subject: Subject) -> Iterator[tuple[tuple[str, ...], DataSet, str, tuple[str, ...]]]:
    for dotted in enumerated(subject.sop_class):
        *sequences, keyword = dotted.split(".")
        owners = [subject.dataset]
        for sequence in sequences:
            owners = [item for owner in owners for item in owner.items(sequence)]
        for owner in owners:
            if owner.state(keyword) == "value":
                yield (*sequences, keyword), owner, keyword, owner.texts(keyword)


def _plain(value: str) -> str:
    """Numbers as in the table: ``+1`` and ``0.0`` are what they are worth; codes such as ``00`` stay."""
    text = value.strip()
    if text.startswith("+") or "." in text:
        try:
            return str(int(float(text)))
        except ValueError:
            return text
    return text


def misspelt(value: str, terms: tuple[str, ...]) -> str | None:
    """Return the term that *value* is a misspelling of: the same letters but for case, blanks or one or two changes."""
    folded = value.upper().replace(" ", "_")
    for term in terms:
        if folded == term.replace(" ", "_") and value != term:
            return term
    for term in terms:
        far = 1 if len(term) < 8 else 2
        if len(term) >= 6 and abs(len(term) - len(folded)) <= far and _distance(folded, term) <= far:
            return term
    return None


def _distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


@check(MODALITY, INTENT)
def modality_and_intent(case: Case) -> Iterator[Finding]:
    """Modality and Presentation Intent Type fit the SOP class."""
    for subject in subjects(case):
        dataset = subject.dataset
        value = dataset.text("Modality")
        allowed = MODALITIES.get(subject.sop_class)
        if value and allowed:
            where = subject.at("Modality")
            if value in allowed:
                yield passed(MODALITY, f"Modality {value}", *where)
            else:
                reason = f"{label('Modality')} is {value!r}; the IOD enumerates {' or '.join(allowed)}"
                yield failed(MODALITY, reason, *where)
        wanted = INTENTS.get(subject.sop_class)
        intent = dataset.text("PresentationIntentType")
        if intent and wanted:
            where = subject.at("PresentationIntentType")
            if intent == wanted:
                yield passed(INTENT, intent, *where)
            else:
                reason = f"{label('PresentationIntentType')} is {intent!r} in an object of the class that is {wanted}"
                yield failed(INTENT, reason, *where)


__all__ = ["misspelt", "modality_and_intent", "terms"]
