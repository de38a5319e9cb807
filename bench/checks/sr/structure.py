"""Content items by themselves: complete, rightly related, coded entries whole, flags of the document, references.

Rules of this file:

* What belongs to a template is judged by ``templates``; here only what holds for every structured report (PS3.3
  C.17, C.18).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, deviates, failed, passed, remark
from bench.checks.iod.tables import label
from bench.checks.sr.reports import Report, reports
from bench.checks.sr.templates import meanings
from bench.checks.sr.tree import Concept, Node, concept_of

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.witness.dataset import DataSet

COMPLETE: Final = "STD-SR-010"
CODE: Final = "STD-SR-011"
MEANING: Final = "STD-SR-012"
RELATION: Final = "STD-SR-013"
COMPLETION: Final = "STD-SR-014"
VERIFIED: Final = "STD-SR-015"
EVIDENCE: Final = "STD-SR-016"

VALUES: Final = {
    "TEXT": "TextValue",
    "NUM": "MeasuredValueSequence",
    "CODE": "ConceptCodeSequence",
    "DATETIME": "DateTime",
    "DATE": "Date",
    "TIME": "Time",
    "UIDREF": "UID",
    "PNAME": "PersonName",
    "COMPOSITE": "ReferencedSOPSequence",
    "IMAGE": "ReferencedSOPSequence",
    "WAVEFORM": "ReferencedSOPSequence",
    "SCOORD": "GraphicData",
    "TCOORD": "TemporalRangeType",
    "CONTAINER": "ContinuityOfContent",
}
NAMELESS: Final = frozenset({"COMPOSITE", "IMAGE", "WAVEFORM", "SCOORD", "TCOORD", "CONTAINER"})
"""Value types whose concept name may be missing (PS3.3 C.17.3.2)."""
RELATIONS: Final = frozenset(
    {
        "CONTAINS",
        "HAS OBS CONTEXT",
        "HAS CONCEPT MOD",
        "HAS PROPERTIES",
        "HAS ACQ CONTEXT",
        "INFERRED FROM",
        "SELECTED FROM",
    }
)
_PLAIN: Final = frozenset(
    {"TEXT", "CODE", "NUM", "DATETIME", "DATE", "TIME", "UIDREF", "PNAME", "COMPOSITE", "IMAGE", "WAVEFORM"}
)


@check(COMPLETE, CODE, MEANING, RELATION)
def content_items(case: Case) -> Iterator[Finding]:
    """Every content item of every report."""
    for report in reports(case):
        faults = [fault for node in report.root.walk() for fault in _item(report, node)]
        yield from faults
        wrong = {fault.id for fault in faults}
        for id in (COMPLETE, CODE, MEANING, RELATION):
            if id not in wrong:
                yield passed(id, "the content items of the report are whole", *report.at())


def _item(report: Report, node: Node) -> Iterator[Finding]:
    root = node.parent is None
    kind, dataset = node.value_type, node.dataset
    here = f"content item {node.place} ({node.name})"
    if kind not in VALUES:
        said = f"value type {kind!r}" if kind else "no value type"
        yield failed(COMPLETE, f"{here} has {said}", *report.at(node, "ValueType"))
        return
    if not root and node.relationship not in RELATIONS:
        said = f"relationship {node.relationship!r}" if node.relationship else "no relationship"
        yield failed(COMPLETE, f"{here} has {said}", *report.at(node, "RelationshipType"))
    if node.concept is None and (root or kind not in NAMELESS):
        yield failed(COMPLETE, f"{here} has no concept name", *report.at(node))
    keyword = VALUES[kind]
    state = dataset.state(keyword)
    if state == "absent" or (state == "empty" and kind != "NUM"):
        yield failed(COMPLETE, f"{here} is a {kind} without {label(keyword)}", *report.at(node, keyword))
    elif kind == "NUM" and state == "value":
        measured = dataset.first("MeasuredValueSequence")
        if measured is not None:
            yield from _measured(report, node, measured, here)
    elif kind in ("IMAGE", "COMPOSITE", "WAVEFORM"):
        for klass, uid in node.references:
            if not klass or not uid:
                yield failed(
                    COMPLETE, f"{here} refers to an instance without its UIDs", *report.at(node, keyword)
                )
    elif kind == "CODE":
        yield from _coded(report, node, node.code, here, "ConceptCodeSequence")
    if node.concept is not None:
        yield from _coded(report, node, node.concept, here, "ConceptNameCodeSequence")
    above = node.parent.value_type if node.parent is not None else ""
    if above in VALUES and node.relationship in RELATIONS and not allowed(above, node.relationship, kind):
        reason = f"{here}: a {above} does not {node.relationship} a {kind}"
        yield failed(RELATION, reason, *report.at(node, "RelationshipType"))


def _measured(report: Report, node: Node, measured: DataSet, here: str) -> Iterator[Finding]:
    if measured.number("NumericValue") is None:
        yield failed(COMPLETE, f"{here} has no number", *report.at(node, "MeasuredValueSequence"))
    unit = concept_of(measured.first("MeasurementUnitsCodeSequence"))
    if unit is None:
        yield failed(COMPLETE, f"{here} has no unit", *report.at(node, "MeasuredValueSequence"))
    else:
        yield from _coded(report, node, unit, f"the unit of {here}", "MeasuredValueSequence")


def _coded(report: Report, node: Node, concept: Concept | None, here: str, keyword: str) -> Iterator[Finding]:
    if concept is None:
        return
    where = report.at(node, keyword)
    if not concept.value or not concept.scheme:
        yield failed(CODE, f"{here} has a code without value or scheme", *where)
        return
    if not concept.meaning:
        reason = f"{here} has the code {concept.value} without meaning; type 1"
        declared = _meaning_is_optional(report)
        make = deviates if declared else failed
        yield make(CODE, f"{reason}; declared by {declared}" if declared else reason, *where)
        return
    known = meanings()
    wanted = known.get(concept.value) if concept.scheme == "DCM" else None
    if wanted is None or _same(concept.meaning, wanted):
        return
    other = next(
        (
            code
            for code, meaning in known.items()
            if _same(meaning, concept.meaning) and code != concept.value
        ),
        None,
    )
    if other is not None and not _same(known[other], wanted):
        yield failed(MEANING, f"{here}: {concept} is called as {other} is; its meaning is {wanted!r}", *where)
    else:
        yield remark(MEANING, f"{here}: {concept} has the meaning {wanted!r} in the vocabulary", *where)


def _same(one: str, other: str) -> bool:
    return " ".join(one.lower().split()) == " ".join(other.lower().split())


def _meaning_is_optional(report: Report) -> str | None:
    rows = report.subject.declared.rows("ConceptNameCodeSequence", "CodeMeaning")
    return next((clause.id for clause, rule in rows if rule.types.promised == "3"), None)


def allowed(source: str, relationship: str, target: str) -> bool:
    """Whether the relationship constraints of X-Ray Radiation Dose SR, and of the SR IODs near it, allow this.

    PS3.3 A.35.8.3.1.2, in the wider reading of Comprehensive SR where that is wider.
    """
    if relationship == "CONTAINS":
        return source == "CONTAINER"
    if relationship == "HAS OBS CONTEXT":
        return target in _PLAIN or target == "CONTAINER"
    if relationship == "HAS ACQ CONTEXT":
        return source in ("CONTAINER", "IMAGE", "WAVEFORM", "COMPOSITE", "NUM")
    if relationship == "HAS CONCEPT MOD":
        return target in ("TEXT", "CODE")
    if relationship == "HAS PROPERTIES":
        return source != "CONTAINER"
    if relationship == "INFERRED FROM":
        return source != "CONTAINER"
    return source in ("SCOORD", "TCOORD")


@check(COMPLETION, VERIFIED, EVIDENCE)
def document(case: Case) -> Iterator[Finding]:
    """Completion Flag, Verification Flag, evidence."""
    for report in reports(case):
        yield from _completion(report)
        yield from _verification(report)
        yield from _evidence(report)


def _completion(report: Report) -> Iterator[Finding]:
    flag = report.root.dataset.text("CompletionFlag")
    where = report.at(None, "CompletionFlag")
    if flag == "COMPLETE":
        yield passed(COMPLETION, "COMPLETE", *where)
    elif flag == "PARTIAL":
        declared = report.subject.declared.lists("PARTIAL", "CompletionFlag")
        if declared:
            yield deviates(
                COMPLETION, f"{label('CompletionFlag')} is PARTIAL; declared by {declared}", *where
            )
        else:
            yield remark(
                COMPLETION, f"{label('CompletionFlag')} is PARTIAL: the report does not tell all", *where
            )


def _verification(report: Report) -> Iterator[Finding]:
    dataset = report.root.dataset
    flag, observers = dataset.text("VerificationFlag"), dataset.items("VerifyingObserverSequence")
    where = report.at(None, "VerificationFlag")
    if flag == "VERIFIED" and not observers:
        yield failed(
            VERIFIED, f"{label('VerificationFlag')} is VERIFIED without a verifying observer", *where
        )
    elif flag == "UNVERIFIED" and observers:
        yield failed(VERIFIED, f"{label('VerificationFlag')} is UNVERIFIED with a verifying observer", *where)
    elif flag in ("VERIFIED", "UNVERIFIED"):
        yield passed(VERIFIED, flag, *where)


def _evidence(report: Report) -> Iterator[Finding]:
    dataset = report.root.dataset
    listed = {}
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in dataset.items(keyword):
            for series in study.items("ReferencedSeriesSequence"):
                for item in series.items("ReferencedSOPSequence"):
                    listed[item.text("ReferencedSOPInstanceUID") or ""] = (
                        item.text("ReferencedSOPClassUID") or ""
                    )
    for node in report.root.walk():
        if node.value_type not in ("IMAGE", "COMPOSITE", "WAVEFORM"):
            continue
        for klass, uid in node.references:
            where = report.at(node, "ReferencedSOPSequence")
            if not uid:
                continue
            if uid not in listed:
                reason = f"content item {node.place} ({node.name}) refers to {uid}, which no evidence sequence names"
                yield failed(EVIDENCE, reason, *where)
            elif klass and listed[uid] and klass != listed[uid]:
                reason = f"{uid} is {klass} in the tree and {listed[uid]} in the evidence sequence"
                yield failed(EVIDENCE, reason, *where)
            else:
                yield passed(EVIDENCE, "evidence names what the tree refers to", *where)
