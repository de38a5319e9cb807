"""File meta information of the DICOMDIR and of every object (PS3.10 7.1), and the identity that a statement prints.

Rules of this file:

* Foreign objects are not judged.  A file whose file meta information cannot be read is judged by that alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, failed, passed
from bench.checks.iod.tables import label, tag_text
from bench.checks.media.authors import authors, identity
from bench.checks.media.common import MOST, number, padding
from bench.checks.media.view import in_file
from bench.resultmodel import Evidence
from bench.witness.medium import DIRECTORY, DicomFile, printable
from bench.witness.values import fault
from bench.witness.vr import PLAIN, lookup

if TYPE_CHECKING:
    from bench.checks.case import Case

PREFIX: Final = "STD-MED-060"
COMPLETE: Final = "STD-MED-061"
LENGTH: Final = "STD-MED-062"
ENCODED: Final = "STD-MED-063"
CLASS: Final = "STD-MED-064"
INSTANCE: Final = "STD-MED-065"
SYNTAX: Final = "STD-MED-066"
VALUES: Final = "STD-MED-067"
NEEDED: Final = (
    "FileMetaInformationVersion",
    "MediaStorageSOPClassUID",
    "MediaStorageSOPInstanceUID",
    "TransferSyntaxUID",
    "ImplementationClassUID",
)
RULES: Final = (PREFIX, COMPLETE, LENGTH, ENCODED, CLASS, INSTANCE, SYNTAX, VALUES)


@check("STD-MED-06*", "MX-MED-001", "MX-MED-002")
def file_meta(case: Case) -> Iterator[Finding]:
    """Every file that the product wrote."""
    for medium in case.media:
        own = authors(case).own
        root = [medium.directory.file] if medium.directory is not None else []
        files = [*root, *(file for file in medium.files if file.path in own)]
        told = dict.fromkeys(RULES, 0)
        seen = dict.fromkeys(RULES, 0)
        for file in files:
            if not file.entry.size or (not file.read and file.entry.cut):
                continue  # there is nothing in it: told elsewhere
            for rule, reason, place in _judge(file, seen):
                told[rule] += 1
                if told[rule] <= MOST:
                    yield failed(rule, f"{file.path}: {reason}", place)
        for rule in RULES:
            if seen[rule] and not told[rule]:
                yield passed(rule, f"kept by {number(seen[rule], 'file')}", Evidence(what=medium.name))
        yield from _identity(case, files)


def _judge(file: DicomFile, seen: dict[str, int]) -> Iterator[tuple[str, str, Evidence]]:
    seen[PREFIX] += 1
    if not file.magic:
        yield PREFIX, "there is no prefix DICM behind a preamble of 128 bytes", in_file(file, offset=128)
        return
    meta = file.meta
    for rule in (COMPLETE, LENGTH, ENCODED, VALUES):
        seen[rule] += 1
    unreadable = False
    for code, text, offset in file.meta_faults:
        unreadable |= code == "unreadable"
        yield ENCODED, text, in_file(file, offset=offset)
    for element in meta.elements:
        entry = lookup(element.tag)
        if entry is not None and element.explicit and element.vr not in entry.vrs:
            reason = f"{label(entry.keyword)} has the VR {element.vr} instead of {entry.vrs[0]}"
            yield ENCODED, reason, in_file(file, element)
        elif element.vr in PLAIN:
            faults = [why for text in meta.texts_of(element) if (why := fault(element.vr, text))]
            if why := padding(element) or next(iter(faults), ""):
                yield VALUES, f"{element.name} {why}", in_file(file, element)
    if unreadable:
        return
    group = meta.get(0x00020000)
    if group is None:
        yield LENGTH, "(0002,0000) Group Length is absent", in_file(file, "(0002,0000)")
    else:
        behind = group.offset + group.header + len(group.value or b"")
        said = meta.number(0x00020000)
        if said != file.begin - behind:
            reason = f"Group Length says {said} bytes, and {file.begin - behind} follow up to the data set"
            yield LENGTH, reason, in_file(file, group)
    for keyword in NEEDED:
        state = meta.state(keyword)
        if state != "value":
            reason = f"{label(keyword)} is {state}; type 1 wants a value"
            yield COMPLETE, reason, in_file(file, meta.get(keyword) or tag_text(keyword))
    creator = "PrivateInformationCreatorUID"
    if meta.state("PrivateInformation") != "absent" and meta.state(creator) != "value":
        reason = f"{label('PrivateInformation')} is there without {label(creator)}"
        yield COMPLETE, reason, in_file(file, meta.get("PrivateInformation"))
    version = meta.get("FileMetaInformationVersion")
    if version is not None and version.value and version.value != b"\0\1":
        yield VALUES, f"the version is {version.value[:8].hex()}, not 0001", in_file(file, version)
    yield from _named(file, seen)


def _named(file: DicomFile, seen: dict[str, int]) -> Iterator[tuple[str, str, Evidence]]:
    dataset, meta = file.dataset, file.meta
    if dataset is None:
        return
    if not file.is_directory:
        for rule, keyword, own in (
            (CLASS, "MediaStorageSOPClassUID", "SOPClassUID"),
            (INSTANCE, "MediaStorageSOPInstanceUID", "SOPInstanceUID"),
        ):
            said, held = meta.text(keyword), dataset.text(own)
            if not said or not held:
                continue
            seen[rule] += 1
            if said != held:
                reason = f"{label(keyword)} is {printable(said)}, and {label(own)} {printable(held)}"
                yield rule, reason, in_file(file, meta.get(keyword))
    if meta.text("TransferSyntaxUID"):
        seen[SYNTAX] += 1
        for problem in dataset.problems:
            if problem.code in ("wrong-syntax", "deflate", "explicit-in-implicit", "implicit-in-explicit"):
                yield (
                    SYNTAX,
                    problem.text.replace("which was not negotiated", f"not in {file.transfer_syntax}"),
                    in_file(file, offset=file.begin + problem.offset),
                )
                break


def _identity(case: Case, files: list[DicomFile]) -> Iterator[Finding]:
    known = identity(case.statement)
    for rows, keyword in (
        (known.media_uids, "ImplementationClassUID"),
        (known.media_versions, "ImplementationVersionName"),
    ):
        for id, wanted in rows:
            told = count = 0
            for file in files:
                if not file.magic or any(code == "unreadable" for code, _, _ in file.meta_faults):
                    continue
                text = file.meta.text(keyword)
                if text == wanted:
                    count += 1
                    continue
                told += 1
                if told <= MOST:
                    said = "absent" if text is None else printable(text) or "empty"
                    reason = f"{file.path}: {label(keyword)} is {said}, not {wanted}"
                    yield failed(id, reason, in_file(file, file.meta.get(keyword) or tag_text(keyword)))
            if count and not told:
                yield passed(
                    id,
                    f"{number(count, 'file')} have {wanted}",
                    in_file(files[0], files[0].meta.get(keyword)),
                )


__all__ = ["DIRECTORY", "file_meta"]
