"""Conditions of attributes (types 1C and 2C) as named predicates, found by the words of the statement.

Rules of this file:

* A predicate answers True, False or None: None means that nobody can tell from the data, and then the absence of the
  attribute is no fault.
* A statement's condition is matched by its words, in order; words that no pattern knows mean None.  So a third
  statement is judged without code as far as its words are among these.
* A variant (``only_for``) is what the configuration says; an animal is also one whose data set names its species.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final, TypeAlias

from bench.checks.attributes.where import MPPS, Occasion, Owner, tag_number
from bench.checks.case import Case
from bench.statements.model import AttributeRule, Clause
from bench.witness import vr
from bench.witness.dataset import DataSet


@dataclass(frozen=True, slots=True)
class Row:
    """One row looked for at one place: a clause, the data set on the wire, and the item that should hold it."""

    case: Case
    clause: Clause
    rule: AttributeRule
    occasion: Occasion
    root: DataSet
    owner: Owner

    @property
    def item(self) -> DataSet:
        """The data set or item that should hold the element."""
        return self.owner.dataset

    @property
    def tag(self) -> int:
        """The element's tag."""
        return tag_number(self.rule.tag)

    @property
    def name(self) -> str:
        """The element with its path, such as ``ReferencedSOPSequence[2].ReferencedSOPInstanceUID``."""
        return self.owner.names + self.rule.keyword

    @property
    def place(self) -> str:
        """The tags of the path: ``(0008,1199)[2]/(0008,1155)``."""
        return f"{self.owner.tags}/{self.rule.tag}" if self.owner.tags else self.rule.tag


Predicate: TypeAlias = "Callable[[Row, re.Match[str]], bool | None]"

#: Transfer syntaxes whose pixels have lost something (PS3.5 annex A): JPEG baseline and extended.
LOSSY: Final = frozenset(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"))
#: Codes for a human being: SNOMED CT and SNOMED-RT (PS3.16 CID 7454).
HUMAN: Final = frozenset(("337915000", "L-85B00"))
_TAG: Final = r"(\([0-9A-Fa-f]{4},[0-9A-Fa-f]{4}\))"


def condition(row: Row) -> bool | None:
    """Tell whether the condition of a row's attribute holds."""
    words = row.rule.condition
    if row.rule.keyword == "SpecificCharacterSet":
        return extended_text(row.root)
    if not words and row.clause.only_for:
        return applies(row)  # conditional, with no other condition than the variant of the product
    return holds(row, words)


def holds(row: Row, words: str) -> bool | None:
    """Tell whether a condition in a statement's words holds; None when it cannot be known."""
    for pattern, predicate in PREDICATES:
        found = pattern.search(words)
        if found is not None:
            return predicate(row, found)
    return None


def applies(row: Row) -> bool | None:
    """Tell whether the product's variant that a clause is limited to is the one at hand."""
    variant = row.clause.only_for
    if not variant:
        return True
    if variant.startswith("veterinar"):
        return animal(row.case, row.root)
    known = row.case.config.get("variants")
    if isinstance(known, str):
        known = [known]
    return None if known is None else variant in known


def animal(case: Case, dataset: DataSet) -> bool | None:
    """Tell whether the patient is an animal: by the configuration, else by a species that the data set names."""
    species = case.config.get("species")
    if isinstance(species, str) and species:
        return not species.lower().startswith("human")
    codes = {code for item in dataset.items("PatientSpeciesCodeSequence") for code in item.texts("CodeValue")}
    named = dataset.text("PatientSpeciesDescription") or ""
    if codes & HUMAN or re.search(r"\b(human|homo sapiens)\b", named, re.IGNORECASE):
        return False
    return True if codes or named else None


def integer(dataset: DataSet, keyword: str) -> int | None:
    """Return a value as a whole number; None when it is absent, or no such number."""
    number = dataset.number(keyword)
    return int(number) if number is not None and isfinite(number) and number == int(number) else None


def extended_text(dataset: DataSet) -> bool:
    """Tell whether a text of a data set leaves the default repertoire: a byte above 7EH, or an escape."""
    for _, _, element in dataset.walk():
        value = element.value
        if element.vr in vr.CHARSET and value and (0x1B in value or not value.isascii()):
            return True
    return False


def discontinued_without_images(row: Row) -> bool | None:
    """Whether a final N-SET may leave out its series (ruling D6): discontinued, and no image of it was sent."""
    if not final_state(row):
        return True
    if row.root.text("PerformedProcedureStepStatus") != "DISCONTINUED":
        return False
    case, instance = row.case, row.occasion.message.sop_instance
    studies = case.once(_studies_by_step).get(instance or "", set())
    stored = case.once(_steps_and_studies_stored)
    return not (instance in stored or studies & stored)


def final_state(row: Row) -> bool:
    """Whether an N-SET of a performed procedure step sets its final state."""
    return row.root.text("PerformedProcedureStepStatus") in ("COMPLETED", "DISCONTINUED")


def steps_created(case: Case) -> Mapping[str, DataSet]:
    """Return the N-CREATE data set of every performed procedure step that the SUT created, by instance UID."""
    found: dict[str, DataSet] = {}
    for message in case.requests("N-CREATE-RQ", MPPS):
        final = case.exchange(message).final
        uid = message.sop_instance or (final.sop_instance if final is not None else None)
        if uid and message.dataset is not None:
            found[uid] = message.dataset
    return found


def steps_by_study(case: Case) -> Mapping[str, set[str]]:
    """Return the instance UIDs of the steps that the SUT created, by Study Instance UID."""
    found: dict[str, set[str]] = {}
    for uid, dataset in case.once(steps_created).items():
        for study in studies_of(dataset):
            found.setdefault(study, set()).add(uid)
    return found


def studies_of(dataset: DataSet) -> set[str]:
    """Return the Study Instance UIDs of a performed procedure step."""
    items = dataset.items("ScheduledStepAttributesSequence")
    return {uid for item in items if (uid := item.text("StudyInstanceUID"))}


def _studies_by_step(case: Case) -> Mapping[str, set[str]]:
    return {uid: studies_of(dataset) for uid, dataset in case.once(steps_created).items()}


def _steps_and_studies_stored(case: Case) -> set[str]:
    """UIDs of steps that a stored object names, and of studies of objects that name no step."""
    found: set[str] = set()
    for stored in case.objects:
        if stored.dataset is None:
            continue
        items = stored.dataset.items("ReferencedPerformedProcedureStepSequence")
        steps = {uid for item in items if (uid := item.text("ReferencedSOPInstanceUID"))}
        study = stored.dataset.text("StudyInstanceUID")
        found |= steps or ({study} if study else set())
    return found


def _has_value(row: Row, found: re.Match[str]) -> bool | None:
    return row.item.state(tag_number(found[1])) == "value"


def _is_absent(row: Row, found: re.Match[str]) -> bool | None:
    return row.item.state(tag_number(found[1])) == "absent"


def _animal_without(row: Row, found: re.Match[str]) -> bool | None:
    patient = animal(row.case, row.root)
    return _is_absent(row, found) if patient else patient


def _equals(row: Row, found: re.Match[str]) -> bool | None:
    """Whether another element has a value, or the transfer syntax makes it certain that it must."""
    tag, wanted = tag_number(found[1]), found[2].strip()
    if tag == 0x00282110 and wanted == "01" and row.occasion.message.transfer_syntax in LOSSY:
        return True
    return wanted in row.item.texts(tag)


def _no_breed_code(row: Row, found: re.Match[str]) -> bool | None:
    patient = animal(row.case, row.root)
    return row.item.state("PatientBreedCodeSequence") != "value" if patient else patient


def _configured(row: Row, found: re.Match[str]) -> bool | None:
    value = row.case.config.get(row.rule.keyword.lower())
    if isinstance(value, str):
        return value.lower() in ("on", "yes", "true")
    return None if value is None else bool(value)


def _spacing_given(row: Row, found: re.Match[str]) -> bool | None:
    """Pixel Aspect Ratio (PS3.3 C.7.6.3.1.7): never needed beside a physical spacing; else nobody can tell."""
    given = any(row.item.has(k) for k in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"))
    return False if given else None


def _step_made(row: Row, found: re.Match[str]) -> bool | None:
    return True if row.root.text("StudyInstanceUID") in row.case.once(steps_by_study) else None


#: In order: the first pattern found in the words decides.
PREDICATES: Final[tuple[tuple[re.Pattern[str], Predicate], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), predicate)
    for pattern, predicate in (
        (rf"\banimal when {_TAG} is absent", _animal_without),
        (r"\bBreed Code Sequence is (empty|absent)", _no_breed_code),
        (r"\banimal\b", lambda row, found: animal(row.case, row.root)),
        (r"in each item of", lambda row, found: True),
        (rf"{_TAG} (has a value|is given|is present)", _has_value),
        (rf"{_TAG} is absent", _is_absent),
        (rf"{_TAG} (?:=|is) ([A-Z0-9_ ]+)$", _equals),
        (r"non-default repertoire|extended character set", lambda row, found: extended_text(row.root)),
        (r"configuration option is on", _configured),
        (r"no physical spacing", _spacing_given),
        (r"discontinued without images", lambda row, found: discontinued_without_images(row)),
        (r"state is not final", lambda row, found: not final_state(row)),
        (r"\bMPPS was (used|involved)|performed procedure step was (used|created)", _step_made),
    )
)
