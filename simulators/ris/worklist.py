"""The worklist: items from what a scenario states, and answers to queries (PS3.4 K).

Rules of this file:

* An item is one scheduled procedure step; an item stated with several steps becomes several items.
* A scenario states what it cares about; the rest is filled in from a seed, the same for the same seed and place.
  Attributes of the scheduled step may be stated flat; they are put where they belong.  ``raw: true`` in an item
  turns both off, for items that no RIS should send.
* An item without Scheduled Station AE Title belongs to whoever asks: the title is the caller's.
* Every item is checked when it is set: a text that its character set cannot carry is an error of the scenario.
* An answer holds the keys that were asked for, and Specific Character Set when the item has one.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from simulators.dicom import charset
from simulators.dicom.elements import (
    EXPLICIT_LE,
    SPECIFIC_CHARACTER_SET,
    DataSet,
    Element,
    encode,
    implicit_vr,
    keyword_entry,
)
from simulators.dicom.keywords import from_mapping
from simulators.ris import matching

SPS_SEQUENCE: Final = 0x00400100
STATION_AE: Final = 0x00400001

SPS_KEYWORDS: Final = (
    "Modality",
    "AnatomicalOrientationType",
    "RequestedContrastAgent",
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "ScheduledProcedureStepEndDate",
    "ScheduledProcedureStepEndTime",
    "ScheduledPerformingPhysicianName",
    "ScheduledPerformingPhysicianIdentificationSequence",
    "ScheduledProcedureStepDescription",
    "ScheduledProtocolCodeSequence",
    "ScheduledProcedureStepID",
    "ScheduledStationName",
    "ScheduledProcedureStepLocation",
    "PreMedication",
    "ScheduledProcedureStepStatus",
    "CommentsOnTheScheduledProcedureStep",
)
"""Attributes that live in an item of Scheduled Procedure Step Sequence (PS3.4 Table K.6-1)."""

TOP_KEYWORDS: Final = (
    "SpecificCharacterSet",
    "AccessionNumber",
    "ReferringPhysicianName",
    "InstitutionName",
    "ReferencedStudySequence",
    "ReferencedPatientSequence",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "OtherPatientIDs",
    "PatientBirthDate",
    "PatientSex",
    "PatientSize",
    "PatientWeight",
    "PatientAge",
    "EthnicGroup",
    "PatientComments",
    "PregnancyStatus",
    "MedicalAlerts",
    "Allergies",
    "SpecialNeeds",
    "PatientState",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "RequestingPhysician",
    "RequestingService",
    "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence",
    "RequestedProcedureID",
    "RequestedProcedurePriority",
    "RequestedProcedureComments",
    "ReasonForTheRequestedProcedure",
    "PatientTransportArrangements",
    "AdmissionID",
    "CurrentPatientLocation",
    "ConfidentialityConstraintOnPatientDataDescription",
    "NamesOfIntendedRecipientsOfResults",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "OrderPlacerIdentifierSequence",
    "ImagingServiceRequestComments",
    "TimezoneOffsetFromUTC",
)
"""Top-level attributes that this RIS knows as return keys, in an item or not (Table K.6-1 and its neighbours)."""

SUPPORTED: Final = frozenset(
    keyword_entry(k)[0] for k in (*SPS_KEYWORDS, *TOP_KEYWORDS, "ScheduledProcedureStepSequence")
)
_SPS_TAGS: Final = frozenset(keyword_entry(k)[0] for k in SPS_KEYWORDS)
_CONTROLS: Final = frozenset({"charset", "raw"})


@dataclass(frozen=True, slots=True)
class Item:
    """One scheduled procedure step; ``terms``: its Specific Character Set; ``open_station``: for whoever asks."""

    dataset: DataSet
    terms: tuple[str, ...]
    open_station: bool = False

    def seen_by(self, calling: str) -> DataSet:
        """The item's data set as the peer with this AE title sees it."""
        if not self.open_station:
            return self.dataset
        step = dict(self.dataset[SPS_SEQUENCE].value[0])
        step[STATION_AE] = Element("AE", (calling,))
        return {**self.dataset, SPS_SEQUENCE: Element("SQ", (step,))}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What fills an item: the seed of what is made up, a default character set, and stated keywords."""

    seed: int = 0
    charset: str = ""
    keywords: Mapping[str, Any] | None = None


def build_items(stated: Iterable[Mapping[str, Any]], defaults: Defaults, first: int = 0) -> list[Item]:
    """Build worklist items; ``first`` is the number of the first one, which the made-up values depend on.

    Raises:
        ValueError: an unknown keyword, a bad value, or text outside the character set; says which item.
    """
    items: list[Item] = []
    for index, mapping in enumerate(stated, start=first):
        try:
            items += _build(mapping, defaults, index)
        except (ValueError, TypeError) as error:
            raise ValueError(f"worklist item {index + 1}: {error}") from None
    return items


def _build(stated: Mapping[str, Any], defaults: Defaults, index: int) -> list[Item]:
    if not isinstance(stated, Mapping):
        raise ValueError("wants a mapping of DICOM keywords")
    raw = str(stated.get("raw", "")).lower() in ("true", "1", "yes")
    mapping: dict[str, Any] = {k: v for k, v in stated.items() if k not in _CONTROLS}
    if defaults.keywords and not raw:
        mapping = {**defaults.keywords, **mapping}
    dataset = from_mapping(mapping)
    terms = _terms(stated.get("charset", defaults.charset), dataset)
    if terms:
        dataset[SPECIFIC_CHARACTER_SET] = Element("CS", terms)
    if raw:
        _check_text(dataset, terms)
        return [Item(dataset, terms)]
    flat = {tag: dataset.pop(tag) for tag in list(dataset) if tag in _SPS_TAGS}
    given = dataset.get(SPS_SEQUENCE)
    steps = [{**flat, **step} for step in given.value] if given and given.value else [flat]
    for keyword, value in _made_up(defaults.seed, index).items():
        tag, vr = keyword_entry(keyword)
        dataset.setdefault(tag, Element(vr, value))
    items = []
    for number, step in enumerate(steps):
        filled = dict(step)
        for keyword, value in _made_up_step(index, number).items():
            tag, vr = keyword_entry(keyword)
            filled.setdefault(tag, Element(vr, value))
        open_station = STATION_AE not in filled
        whole = {**dataset, SPS_SEQUENCE: Element("SQ", (filled,))}
        _check_text(whole, terms)
        items.append(Item(whole, terms, open_station))
    return items


def _terms(stated: Any, dataset: DataSet) -> tuple[str, ...]:
    own = dataset.get(SPECIFIC_CHARACTER_SET)
    if own is not None:
        terms = charset.normalise(own.value)
    elif isinstance(stated, str):
        terms = charset.normalise(stated.split("\\"))
    else:
        terms = charset.normalise([str(term) for term in stated or ()])
    charset.check(terms)
    return terms


def _check_text(dataset: DataSet, terms: Sequence[str]) -> None:
    try:
        encode(dataset, EXPLICIT_LE)
    except UnicodeEncodeError as error:
        names = "\\".join(terms) or "the default repertoire"
        raise ValueError(f"{error.object!r} cannot be written in {names}") from None


def _made_up(seed: int, index: int) -> dict[str, tuple[str, ...]]:
    """Attributes of type 1 and 2 of a worklist item that were not stated."""
    digest = hashlib.sha256(f"worklist/{seed}/{index}".encode()).digest()
    number = int.from_bytes(digest[:4], "big")
    # 2.25 with a UUID of version 4, variant 1 (PS3.5 B.2)
    uuid = bytearray(digest[:16])
    uuid[6] = uuid[6] & 0x0F | 0x40
    uuid[8] = uuid[8] & 0x3F | 0x80
    return {
        "AccessionNumber": (f"A{number % 10**8:08d}",),
        "ReferringPhysicianName": (),
        "ReferencedStudySequence": (),
        "ReferencedPatientSequence": (),
        "PatientName": (f"Patient^No{index + 1}",),
        "PatientID": (f"P{number % 10**6:06d}",),
        "PatientBirthDate": (f"19{30 + number % 70}{1 + number % 12:02d}{1 + number % 28:02d}",),
        "PatientSex": ("MFO"[number % 3],),
        "StudyInstanceUID": (f"2.25.{int.from_bytes(uuid, 'big')}",),
        "RequestingPhysician": (),
        "RequestedProcedureDescription": ("X-ray",),
        "RequestedProcedureID": (f"R{number % 10**6:06d}",),
        "RequestedProcedurePriority": ("ROUTINE",),
    }


def _made_up_step(index: int, number: int) -> dict[str, tuple[str, ...]]:
    return {
        "Modality": ("DX",),
        "ScheduledProcedureStepStartDate": (f"{date.today():%Y%m%d}",),
        "ScheduledProcedureStepStartTime": ("080000",),
        "ScheduledPerformingPhysicianName": (),
        "ScheduledProcedureStepDescription": ("X-ray",),
        "ScheduledProcedureStepID": (f"S{index + 1}-{number + 1}",),
        "ScheduledStationName": (),
        "ScheduledProcedureStepLocation": (),
    }


class Worklist:
    """The items of a RIS; may be changed while queries run (a running query sees what it began with)."""

    def __init__(self) -> None:
        self._items: tuple[Item, ...] = ()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def set(self, items: Sequence[Item], *, add: bool = False) -> None:
        """Replace the items, or add to them."""
        with self._lock:
            self._items = (*self._items, *items) if add else tuple(items)

    def find(self, keys: DataSet, calling: str) -> Iterator[tuple[Item, DataSet]]:
        """Yield every matching item with its data set as the caller sees it, one at a time."""
        for item in self._items:
            seen = item.seen_by(calling)
            if matching.matches(keys, seen):
                yield item, seen


def unsupported(keys: DataSet, items: Iterable[DataSet] = ()) -> list[int]:
    """Tags of the keys that this RIS does not support (then matches are FF01, PS3.4 Table K.4-1)."""
    missing = []
    for tag, key in keys.items():
        if tag in matching.CONTROL or tag & 0xFFFF == 0:
            continue
        if tag == SPS_SEQUENCE and key.vr == "SQ":
            missing += [inner for item in key.value for inner in item if inner not in _SPS_TAGS]
        elif tag not in SUPPORTED:
            missing.append(tag)
    return missing


def answer(keys: DataSet, item: Item, seen: DataSet) -> DataSet:
    """The identifier that answers ``keys``: what was asked for, no more, empty where the item has nothing."""
    found = _project(keys, seen)
    if item.terms:
        found[SPECIFIC_CHARACTER_SET] = Element("CS", item.terms)
    return found


def _project(keys: DataSet, seen: DataSet) -> DataSet:
    found: DataSet = {}
    for tag, key in keys.items():
        if tag in matching.CONTROL or tag & 0xFFFF == 0:
            continue
        value = seen.get(tag)
        if value is None:
            if tag in SUPPORTED:
                vr = key.vr if key.vr != "UN" else implicit_vr(tag)
                found[tag] = Element(vr, ())
        elif key.vr == "SQ" and value.vr == "SQ" and key.value and key.value[0]:
            found[tag] = Element("SQ", tuple(_project(key.value[0], inner) for inner in value.value))
        else:
            found[tag] = value
    return found
