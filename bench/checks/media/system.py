"""The medium below its files: kind of FAT, partition, cluster chains (PS3.12; ruling F2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, deviates, failed, inconclusive, passed, remark
from bench.checks.media.authors import authors
from bench.checks.media.common import MOST, kind_of
from bench.checks.media.view import story_of
from bench.resultmodel import Evidence
from bench.witness.medium import FAT_TYPES

if TYPE_CHECKING:
    from bench.checks.case import Case
    from bench.witness.medium import Medium

FORMAT: Final = "STD-MED-001"
PARTITION: Final = "STD-MED-002"
SOUND: Final = "STD-MED-003"
BROKEN: Final = frozenset(
    ("chain-short", "chain-loop", "chain-bad", "cross-link", "folder-loop", "tables", "twice", "dots")
)
NOT_SHOWN: Final = 0x06
"""Attributes hidden and system: many programs do not show such a file."""
ROOT: Final = "the root folder"


@check(FORMAT, PARTITION, SOUND)
def file_system(case: Case) -> Iterator[Finding]:
    """Every medium that was read from an image."""
    for medium in case.media:
        if not medium.raw:
            text = "a folder was read: partitions, kind of FAT and raw names cannot be seen in it"
            yield remark(FORMAT, text)
            continue
        yield from _format(case)
        yield from _partition(case)
        yield from _sound(case)


def _format(case: Case) -> Iterator[Finding]:
    facts = case.media[0].file_system
    kind, why = kind_of(case)
    where = Evidence(offset=facts.start, what="the file system", note=facts.kind)
    if facts.kind == "FAT16":
        yield passed(FORMAT, "the file system is FAT16", where)
    elif facts.kind == "FAT32":
        if kind == "sd":
            text = f"the file system is FAT32 on an SD card ({why}); the standard knows FAT16 there only"
            yield deviates(FORMAT, text, where)
        else:
            yield passed(FORMAT, "the file system is FAT32", where)
            if not kind:
                yield remark(
                    FORMAT, f"FAT32 is outside the standard on an SD card; the kind of medium is {why}"
                )
    elif facts.kind == "FAT12":
        yield failed(FORMAT, "the file system is FAT12; USB and SD media have FAT16 or FAT32", where)
    elif facts.kind == "unknown":
        yield inconclusive(FORMAT, "there is no file system that is known here", where)
    elif facts.kind == "damaged FAT":
        why = next((one.text for one in case.media[0].troubles if one.code == "boot-sector"), "")
        yield failed(FORMAT, f"the boot sector was one of FAT and makes no sense: {why}", where)
    else:
        yield failed(FORMAT, f"the file system is {facts.kind}; USB and SD media have FAT16 or FAT32", where)


def _partition(case: Case) -> Iterator[Finding]:
    medium = case.media[0]
    facts = medium.file_system
    where = Evidence(offset=446 if medium.partitions else 0, what="the partition table")
    if facts.kind == "unknown":
        return
    if medium.scheme == "none":
        yield passed(PARTITION, "the medium has no partitions", where)
    elif medium.scheme == "gpt":
        text = "the medium has a GUID partition table, of which the annexes for USB and SD do not speak"
        yield inconclusive(PARTITION, text, where)
    elif medium.partitions:
        yield from _of_the_table(medium, where)
        for trouble in medium.troubles:
            if trouble.code == "unsigned":
                yield failed(
                    PARTITION, trouble.text, Evidence(offset=trouble.offset, what="the partition table")
                )
        first = min(one.number for one in medium.partitions)
        start = min(one.start for one in medium.partitions)
        spot = next((one.start for one in medium.partitions if one.number == facts.partition), 0)
        if facts.partition == first or spot == start:
            yield passed(PARTITION, f"the file-set is in partition {facts.partition}, the first", where)
        else:
            yield failed(
                PARTITION, f"the file-set is in partition {facts.partition}, not in the first", where
            )


def _of_the_table(medium: Medium, where: Evidence) -> Iterator[Finding]:
    """What the table says of the partition that was read, against what is in it."""
    facts = medium.file_system
    part = next((one for one in medium.partitions if one.number == facts.partition), None)
    if part is None or facts.kind not in ("FAT12", "FAT16", "FAT32"):
        return
    if part.type not in FAT_TYPES:
        text = f"partition {part.number} has the type {part.type:02X}H, which is none for FAT, and holds {facts.kind}"
        yield failed(PARTITION, text, where)
    elif (facts.kind == "FAT32") != (part.type in (0x0B, 0x0C)):
        yield remark(
            PARTITION, f"partition {part.number} has the type {part.type:02X}H and holds {facts.kind}", where
        )
    begins, ends = part.start, part.start + part.length
    if facts.size > part.length:
        text = f"the file system says {facts.size} bytes, and partition {part.number} has {part.length}"
        yield failed(PARTITION, text, where)
    elif ends > medium.size >= begins + facts.size:
        text = f"partition {part.number} ends {ends - medium.size} bytes behind the medium"
        yield failed(PARTITION, text, where)
    elif ends > medium.size:
        text = f"the image ends {ends - medium.size} bytes before partition {part.number}: not all of it was looked at"
        yield remark(PARTITION, text, where)
    for other in medium.partitions:
        if other is not part and other.start < ends and begins < other.start + other.length:
            yield failed(PARTITION, f"partitions {part.number} and {other.number} share sectors", where)


def _sound(case: Case) -> Iterator[Finding]:
    medium = case.media[0]
    if medium.file_system.kind not in ("FAT12", "FAT16", "FAT32"):
        return
    foreign, story = authors(case).foreign, story_of(case)
    dicom = {file.path for file in (*medium.files, *medium.directories)}
    if medium.directory is not None:
        dicom |= {"/".join(record.file_id) for record in medium.directory.records if record.file_id}
    dicom |= {"DICOMDIR", ROOT} | {
        "/".join(p.split("/")[:n]) for p in dicom for n in range(1, p.count("/") + 1)
    }
    told = 0
    for trouble in medium.troubles:
        where = Evidence(offset=trouble.offset, what=trouble.path or "the file system", note=trouble.code)
        torn = trouble.code == "tables" and story is not None and story.interrupted
        if trouble.code in BROKEN and trouble.path in dicom and trouble.path not in foreign and not torn:
            told += 1
            if told <= MOST:
                yield failed(SOUND, trouble.text, where)
        elif trouble.code in ("partition", "unsigned"):
            continue  # of the rule above
        elif trouble.code in ("bound", "no-image"):
            yield inconclusive(SOUND, trouble.text, where)
        else:
            yield remark(SOUND, trouble.text, where)
    for entry in medium.entries:
        if entry.attributes & NOT_SHOWN and entry.path in dicom and entry.path not in foreign:
            yield remark(SOUND, f"{entry.path} is marked as hidden or system", Evidence(what=entry.path))
    if not told:
        text = f"{sum(not e.folder for e in medium.entries)} files have sound cluster chains"
        yield passed(SOUND, text, Evidence(what="the file system"))
