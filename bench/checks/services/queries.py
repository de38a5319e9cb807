"""PS3.4 Annexes C and K, queries: levels, unique keys, sequences and wild cards (STD-SVC-201 … -304).

The keys that belong to a level are those of PS3.4 C.6 that every archive knows; a key that is not in this list is
optional and judged by nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case
from bench.checks.finding import Finding, check, deviates, failed, inconclusive, not_applicable, passed
from bench.checks.services.common import (
    PATIENT_ROOT_FIND,
    STUDY_ROOT_FIND,
    WORKLIST,
    cut_by_peer,
    declares,
    readable,
    tag,
    whole,
)
from bench.witness.dataset import DataSet, Element
from bench.witness.model import Message

LEVELS: Final = {
    STUDY_ROOT_FIND: ("STUDY", "SERIES", "IMAGE"),
    PATIENT_ROOT_FIND: ("PATIENT", "STUDY", "SERIES", "IMAGE"),
}
UNIQUE: Final = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
BELONGS: Final = {
    "SERIES": (
        "Modality",
        "SeriesNumber",
        "SeriesInstanceUID",
        "SeriesDescription",
        "SeriesDate",
        "SeriesTime",
        "NumberOfSeriesRelatedInstances",
    ),
    "IMAGE": ("InstanceNumber", "SOPInstanceUID", "SOPClassUID"),
}
NO_WILDCARD: Final = frozenset(
    {"DA", "TM", "DT", "UI", "IS", "DS", "AS", "US", "SS", "UL", "SL", "FL", "FD", "AT"}
)
CUT: Final = "the peer ended the association while the request was on its way"
DECLARED_LEVEL: Final = {"VX-E-45": "Modality"}


def finds(case: Case, *classes: str) -> Iterator[Message]:
    """Return the C-FIND requests of some information models."""
    for message in case.requests("C-FIND-RQ"):
        if message.sop_class in classes:
            yield message


@check("STD-SVC-205")
def identifier(case: Case) -> Iterator[Finding]:
    """A C-FIND carries an identifier."""
    for message in case.requests("C-FIND-RQ"):
        data = message.dataset
        keys = [e for e in data.elements if e.tag not in (0x00080005, 0x00080052, 0x00080201)] if data else []
        if keys:
            yield passed("STD-SVC-205", f"an identifier with {len(keys)} keys", case.at(message))
        elif cut_by_peer(case, message):
            yield not_applicable("STD-SVC-205", CUT, case.at(message))
        elif data is None and message.command.has_dataset:
            yield inconclusive("STD-SVC-205", "the identifier is not in the capture", case.at(message))
        elif data is not None and not readable(message):
            yield inconclusive("STD-SVC-205", "the identifier is not whole", case.at(message))
        elif whole(case.association(message)):
            yield failed("STD-SVC-205", "the C-FIND-RQ has no identifier with keys", case.at(message))


@check("STD-SVC-201", "STD-SVC-202")
def worklist(case: Case) -> Iterator[Finding]:
    """A worklist query: no level, one scheduled procedure step."""
    for message in finds(case, WORKLIST):
        data = message.dataset
        if data is None:
            continue
        level = data.get("QueryRetrieveLevel")
        if level is not None:
            text = f"Query/Retrieve Level '{data.text('QueryRetrieveLevel')}' in a worklist query"
            yield failed("STD-SVC-201", text, case.at(message, level))
        else:
            yield passed("STD-SVC-201", "no Query/Retrieve Level", case.at(message))
        step = data.get("ScheduledProcedureStepSequence")
        if step is None:
            continue  # whether it is asked for is the statement's row
        if len(step.items) > 1:
            text = f"{len(step.items)} items in Scheduled Procedure Step Sequence; one is wanted"
            yield failed("STD-SVC-202", text, case.at(message, step))
        else:
            yield passed(
                "STD-SVC-202",
                f"{len(step.items)} item in Scheduled Procedure Step Sequence",
                case.at(message, step),
            )


@check("STD-SVC-203", "STD-SVC-204")
def keys(case: Case) -> Iterator[Finding]:
    """One item in a sequence key; no wild card where the VR has none."""
    for message in finds(case, WORKLIST, *LEVELS):
        if message.dataset is None:
            continue
        sequences, wild = [], []
        for _, owner, element in message.dataset.walk():
            if len(element.items) > 1 and element.keyword != "ScheduledProcedureStepSequence":
                sequences.append(element)
            elif element.vr in NO_WILDCARD and _wildcard(owner, element):
                wild.append(element)
        for element in sequences:
            text = f"{element.keyword} has {len(element.items)} items as key; one is wanted"
            yield failed("STD-SVC-203", text, case.at(message, element))
        for element in wild:
            text = f"{element.keyword} {element.tag_text} is {element.vr} and cannot hold a wild card"
            yield failed("STD-SVC-204", text, case.at(message, element))
        if not sequences:
            yield passed("STD-SVC-203", "no sequence key with several items", case.at(message))
        if not wild:
            yield passed("STD-SVC-204", "wild cards only where the VR allows them", case.at(message))


def _wildcard(owner: DataSet, element: Element) -> bool:
    return (
        element.value is not None and any(c in element.value for c in b"*?") and bool(owner.text_of(element))
    )


@check("STD-SVC-301", "STD-SVC-302", "STD-SVC-303", "STD-SVC-304")
def hierarchy(case: Case) -> Iterator[Finding]:
    """A query/retrieve query keeps to the hierarchy (no extended negotiation of relational queries assumed)."""
    for message in finds(case, *LEVELS):
        data = message.dataset
        if data is None:
            continue
        level = data.text("QueryRetrieveLevel")
        at = case.at(message, tag("QueryRetrieveLevel"))
        if not level:
            if readable(message):
                state = data.state("QueryRetrieveLevel")
                yield failed("STD-SVC-301", f"Query/Retrieve Level is {state}", at)
            continue
        yield passed("STD-SVC-301", f"Query/Retrieve Level is {level}", at)
        known = LEVELS[message.sop_class or ""]
        if level not in known:
            yield failed(
                "STD-SVC-302", f"Query/Retrieve Level '{level}'; one of {', '.join(known)} is wanted", at
            )
            continue
        yield passed("STD-SVC-302", f"Query/Retrieve Level {level} of the model", at)
        yield from _unique_keys(case, message, data, known[: known.index(level)])
        yield from _foreign_keys(case, message, data, known[known.index(level) + 1 :])


def _unique_keys(case: Case, message: Message, data: DataSet, above: tuple[str, ...]) -> Iterator[Finding]:
    for level in above:
        keyword = UNIQUE[level]
        value = data.text(keyword) or ""
        at = case.at(message, data.get(keyword) or tag(keyword))
        if value and not any(c in value for c in "\\*?"):
            yield passed("STD-SVC-303", f"{keyword} has a single value", at)
        elif value:
            yield failed("STD-SVC-303", f"{keyword} is '{value}'; a single value is wanted", at)
        elif readable(message):
            yield failed("STD-SVC-303", f"{keyword} has no value; the level above needs one", at)


def _foreign_keys(case: Case, message: Message, data: DataSet, below: tuple[str, ...]) -> Iterator[Finding]:
    found = [(level, k) for level in below for k in BELONGS.get(level, ()) if data.has(k)]
    for level, keyword in found:
        at = case.at(message, data.get(keyword))
        text = f"{keyword} {tag(keyword)} is a key of level {level}"
        if any(declares(case, erratum) and keyword == key for erratum, key in DECLARED_LEVEL.items()):
            yield deviates("STD-SVC-304", f"{text}, as the statement prints it (ruling E8)", at)
        else:
            yield failed("STD-SVC-304", text, at)
    if not found:
        yield passed("STD-SVC-304", "no keys of a level below", case.at(message))
