"""What a profile allows and a statement claims: SOP classes, transfer syntaxes, profiles, activities (PS3.11 annex J).

Rules of this file:

* A transfer syntax that the statement lists and the profile does not is DEV-FROM-STD (ruling F3), and the row passes.
* One that the statement does not list for the SOP class turns the rows of that class, as on the network (ruling C10).
* A finished medium shows that a file-set was written, not who pressed the button: an update is seen where objects of
  another implementation stand beside the product's own in one DICOMDIR.  A cell of a run knows more
  (:mod:`bench.checks.media.activity`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, deviates, failed, inconclusive, passed, remark
from bench.checks.media.authors import authors
from bench.checks.media.common import MOST, activity_of, kind_of, number, profiles
from bench.checks.media.view import in_file, story_of
from bench.resultmodel import Evidence
from bench.scenario.dictionary import uid_names
from bench.witness.medium import DIRECTORY, DicomFile, printable

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.statements.model import Clause

CLASSES: Final = "STD-MED-019"
SYNTAXES: Final = "STD-MED-070"
DIRECTORY_SYNTAX: Final = "STD-MED-071"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
ALLOWED: Final = frozenset(
    (
        EXPLICIT_LITTLE,
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.70",
    )
)
"""Table J.3-1, of the JPEG profiles."""
J2K: Final = frozenset(("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"))
"""Of the J2K profiles: of a statement that lists one of them."""


def name_of(uid: str) -> str:
    """Return the name of a UID, else itself, printable."""
    return uid_names().get(uid, printable(uid))


@check("STD-MED-019", "STD-MED-07*", "MX-MED-PC-*")
def syntaxes(case: Case) -> Iterator[Finding]:
    """Every file that the product wrote."""
    rows: dict[str, list[Clause]] = defaultdict(list)
    for clause in case.statement.clauses:
        if clause.kind == "media-syntax" and clause.sop is not None:
            rows[clause.sop.uid].append(clause)
    for medium in case.media:
        own = authors(case).own
        if medium.directory is not None and medium.directory.file.magic:
            yield from _directory(medium.directory.file, rows.get(DIRECTORY, []))
        told: dict[str, int] = defaultdict(int)
        for file in medium.files:
            if file.path in own and file.magic and file.transfer_syntax:
                for finding in _object(case, file, rows):
                    told[finding.id + finding.verdict.value] += 1
                    if told[finding.id + finding.verdict.value] <= MOST:
                        yield finding


def _directory(file: DicomFile, rows: list[Clause]) -> Iterator[Finding]:
    syntax, sop = file.transfer_syntax, file.meta.text("MediaStorageSOPClassUID") or ""
    if not syntax:
        return
    wrong = []
    if syntax != EXPLICIT_LITTLE:
        wrong.append(f"the DICOMDIR is in {name_of(syntax)}, not in Explicit VR Little Endian")
    if sop != DIRECTORY:
        wrong.append(f"the DICOMDIR has the SOP Class {name_of(sop) or 'without a name'}")
    element = file.meta.get("TransferSyntaxUID" if syntax != EXPLICIT_LITTLE else "MediaStorageSOPClassUID")
    for id in (DIRECTORY_SYNTAX, *(row.id for row in rows)):
        if wrong:
            yield failed(id, "; ".join(wrong), in_file(file, element))
        else:
            yield passed(id, "the DICOMDIR is in Explicit VR Little Endian", in_file(file, element))


def _object(case: Case, file: DicomFile, rows: dict[str, list[Clause]]) -> Iterator[Finding]:
    syntax, sop = file.transfer_syntax, file.sop_class
    where = in_file(file, file.meta.get("TransferSyntaxUID"))
    of_class = rows.get(sop, [])
    listed = [row for row in of_class if row.sop is not None and syntax in row.sop.transfer_syntaxes]
    about = f"{file.path} is in {name_of(syntax)}"
    if rows and sop and not of_class:
        reason = (
            f"{file.path} is of the SOP Class {name_of(sop)}, which the statement does not list for media"
        )
        yield failed(CLASSES, reason, in_file(file, file.meta.get("MediaStorageSOPClassUID")))
    elif of_class:
        yield passed(CLASSES, f"{name_of(sop)} is listed", where)
    for row in listed:
        yield passed(row.id, about, where)
    if of_class and not listed:
        for row in of_class:
            yield failed(row.id, f"{about}, which the statement does not list for this SOP Class", where)
    claims = {
        uid
        for each in rows.values()
        for row in each
        if row.sop is not None
        for uid in row.sop.transfer_syntaxes
    }
    if syntax in ALLOWED or (syntax in J2K and (not rows or claims & J2K)):
        yield passed(SYNTAXES, about, where)
    elif listed:
        yield deviates(
            SYNTAXES, f"{about}, which the profile does not have and {listed[0].id} declares", where
        )
    else:
        yield failed(SYNTAXES, f"{about}, which the profile does not have", where)


@check("MX-MED-00*", "MX-GEN-004", "MX-GEN-005")
def activities(case: Case) -> Iterator[Finding]:
    """Profiles and activities that the statement claims."""
    for medium in case.media:
        directory = medium.directory
        if directory is None or not directory.records:
            continue
        who = authors(case)
        own = [file for file in medium.files if file.path in who.own and file.magic]
        foreign = [file for file in medium.files if file.path in who.foreign]
        where = Evidence(what=directory.file.path)
        kind, why = kind_of(case)
        if not own and story_of(case) is not None:
            continue  # nothing of the product's is there
        for id_kind, clause in profiles(case):
            if kind and kind != id_kind:
                continue
            if kind:
                text = (
                    f"a DICOMDIR in the root of the {kind.upper()} medium ({why}), with records for its files"
                )
                yield passed(clause.id, text, where)
            else:
                yield inconclusive(clause.id, f"the kind of medium is {why}", where)
        if story_of(case) is None:
            yield from _as_it_looks(case, own, foreign, where)
        for file in foreign[:10]:
            name = file.meta.text("ImplementationVersionName") or file.meta.text("ImplementationClassUID")
            text = f"{file.path} was written by {printable(name or 'another')}: its content is not judged"
            yield remark(SYNTAXES, text)


def _as_it_looks(
    case: Case, own: list[DicomFile], foreign: list[DicomFile], where: Evidence
) -> Iterator[Finding]:
    """What a medium alone tells of the activities."""
    for clause in case.statement.clauses:
        activity = activity_of(clause)
        if activity == "create" and own and not foreign:
            text = f"the medium has a file-set with {number(len(own), 'object')} of the product"
            yield passed(clause.id, text, where)
        elif activity == "update" and own and foreign:
            text = f"{number(len(own), 'object')} of the product, {len(foreign)} foreign ones in one file-set"
            yield passed(clause.id, text, where)
        elif activity == "foreign" and foreign:
            cut = [file for file in foreign if file.lost]
            text = f"{number(len(foreign), 'foreign object')} on the medium"
            if cut:
                reason = f"{text}; {cut[0].path} is not whole, and who did it is not known"
                yield inconclusive(clause.id, reason, where)
            else:
                yield passed(clause.id, f"{text}, all whole", where)
