"""A statement's tables of the DICOMDIR: file-set, records, and keys by kind of record.

Rules of this file:

* Every row is judged by the same engine as tables of objects; records of foreign objects are left out.
* "Present only when Directory Record Type is …" is read here: the engine does not know records.
* A row that a statement adds to the standard's keys is expected in its records, and may be empty (ruling F6).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.attributes import _error, engine
from bench.checks.attributes.conditions import Row
from bench.checks.attributes.where import Occasion, Owner
from bench.checks.finding import Finding, check, failed, passed
from bench.checks.media.authors import authors
from bench.checks.media.common import RECORDS, in_doubt
from bench.checks.media.view import FileMessage, MediaCase
from bench.witness.dataset import DataSet
from bench.witness.medium import Record

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.statements.model import Clause, Section

KINDS: Final = {
    "patient-record": "PATIENT",
    "study-record": "STUDY",
    "series-record": "SERIES",
    "image-record": "IMAGE",
}
SPOKEN: Final = 20
UNLESS_A_FILE: Final = frozenset(("StudyInstanceUID", "SeriesInstanceUID"))
"""Keys of type 1C: needed unless the record refers to a file that holds them (PS3.3 F.5)."""
_ONLY: Final = re.compile(r"present only when Directory Record Type is ([A-Z]+(?:(?:, | or )[A-Z]+)*)")


@check("MX-MED-DIR-*", "MX-MED-PK-*", "MX-MED-SK-*", "MX-MED-RK-*", "MX-MED-IK-*")
def tables(case: Case) -> Iterator[Finding]:
    """Every row of every table about the DICOMDIR."""
    if not isinstance(case, MediaCase) or case.medium.directory is None:
        return
    if not case.medium.directory.file.magic:
        return
    for section in case.statement.sections:
        if section.dataset != "dicomdir" and section.dataset not in KINDS:
            continue
        for clause in section.clauses:
            if clause.attribute is None:
                continue
            try:
                yield from _row(case, section, clause)
            except Exception as error:
                yield _error(clause, error)


def _row(case: MediaCase, section: Section, clause: Clause) -> Iterator[Finding]:
    directory, rule = case.medium.directory, clause.attribute
    if directory is None or rule is None:
        return
    root = directory.file.dataset or DataSet()
    kind = KINDS.get(section.dataset)
    in_record = bool(rule.path) or kind is not None
    if not in_record:
        if directory.broken and not root.has(rule.keyword):
            return
        if rule.keyword == RECORDS and root.has(RECORDS):
            yield passed(
                clause.id, f"{len(directory.records)} records", case.at(case.records[0], root.get(RECORDS))
            )
            return
        message = case.records[0]
        yield from _judge(case, clause, message, root, Owner(root), 0)
        return
    own = authors(case).records
    keys = tuple(c.attribute.keyword for c in section.clauses if c.attribute is not None)
    by_number = {message.number: message for message in case.records}
    count = 0
    for record in directory.records:
        if record.number not in own or (kind is not None and record.kind != kind):
            continue
        if directory.broken and record is directory.records[-1]:
            continue
        if kind is not None and in_doubt(directory, record, keys):
            continue
        message = by_number[record.number]
        owner = Owner(record.item, f"(0004,1220)[{record.number}]", f"{record.name}: ")
        only = _ONLY.search(rule.condition)
        if only is not None:
            yield from _reference(case, clause, record, message, re.split(r", | or ", only.group(1)), owner)
        else:
            yield from _judge(case, clause, message, record.item, owner, count)
        count += 1


def _judge(
    case: MediaCase, clause: Clause, message: FileMessage, root: DataSet, owner: Owner, count: int
) -> Iterator[Finding]:
    rule = clause.attribute
    if rule is None:
        return
    occasion = Occasion(message, root, "", "", count >= SPOKEN)  # type: ignore[arg-type]
    row = Row(case, clause, rule, occasion, root, owner)
    if rule.words == "extra key" and not owner.dataset.has(rule.keyword):
        yield failed(
            clause.id, f"{row.name} is absent; the statement lists it, empty or not", engine.evidence(row)
        )
        return
    if not owner.dataset.has(rule.keyword) and rule.keyword in UNLESS_A_FILE and _no_file(owner.dataset):
        reason = f"{row.name} is absent; a record that refers to no file needs it"
        yield failed(clause.id, reason, engine.evidence(row))
        return
    yield engine.from_place(row)


def _no_file(item: DataSet) -> bool:
    return item.has("DirectoryRecordType") and item.state("ReferencedSOPInstanceUIDInFile") != "value"


def _reference(
    case: MediaCase, clause: Clause, record: Record, message: FileMessage, kinds: list[str], owner: Owner
) -> Iterator[Finding]:
    rule = clause.attribute
    if rule is None:
        return
    occasion = Occasion(message, record.item)  # type: ignore[arg-type]
    row = Row(case, clause, rule, occasion, record.item, owner)
    state = record.item.state(rule.keyword)
    at = engine.evidence(row, record.item.get(rule.keyword))
    if record.kind in kinds:
        if state == "value":
            yield engine.from_place(row)
        else:
            yield failed(clause.id, f"{row.name} is {state}; {' and '.join(kinds)} records have it", at)
    elif state != "absent":
        yield failed(clause.id, f"{row.name} is there; only {' and '.join(kinds)} records have it", at)
    elif record.kind:
        yield passed(clause.id, "", at)
