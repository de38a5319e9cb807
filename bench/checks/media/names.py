"""Names of the file-set's files (PS3.10 8.2, 8.5; ruling F5): the raw 8.3 entries decide.

Rules of this file:

* Judged are DICOM files that the product wrote, the folders around them, and the File IDs in its records; other files
  may be called as they like, and what others wrote is a remark.
* A long name that differs from a good raw name is a remark.  In a folder there are no raw names: a name that is good in
  upper case is a remark, any other that is not good must have a bad raw name too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bench.checks.finding import Finding, check, remark
from bench.checks.media.authors import authors
from bench.checks.media.common import clauses_of, judged, number
from bench.checks.media.view import in_file, in_record
from bench.resultmodel import Evidence
from bench.witness.medium import printable

if TYPE_CHECKING:
    from bench.checks.case import Case

NAMES: Final = "STD-MED-012"
LEVELS: Final = "STD-MED-013"
MOST_LEVELS: Final = 8
_GOOD: Final = re.compile(r"[A-Z0-9_]{1,8}")


def fault_of(component: str) -> str:
    """Say what is wrong with a component of a File ID; empty when it is good.

    >>> fault_of("IM000001"), fault_of("a.dcm")
    ('', 'has an extension')
    """
    if _GOOD.fullmatch(component):
        return ""
    if not component:
        return "is empty"
    if "." in component:
        return "has an extension"
    if len(component) > 8:
        return "has more than 8 characters"
    return "has other characters than A-Z, 0-9 and _"


@check(NAMES, LEVELS, "MX-MED-DIR-10")
def names(case: Case) -> Iterator[Finding]:
    """Files and records of every medium."""
    for medium in case.media:
        own = authors(case)
        rows = clauses_of(case, "ReferencedFileID")
        faults: list[tuple[str, Evidence, tuple[str, ...]]] = []
        deep: list[tuple[str, Evidence, tuple[str, ...]]] = []
        odd: list[str] = []
        count = 0
        root = [medium.directory.file] if medium.directory is not None else []
        seen: set[tuple[str, ...]] = set()
        for file in (*root, *medium.files):
            entry = file.entry
            count += 1
            for depth, part in enumerate(entry.short, 1):
                here = entry.short[:depth]
                why = fault_of(part)
                if here in seen:
                    continue
                if why and not medium.raw and not fault_of(part.upper()):
                    odd.append(f"{entry.path}: the host shows the name in lower case")
                elif why and file.path in own.foreign:
                    odd.append(f"{entry.path}, which another implementation wrote: {printable(part)} {why}")
                elif why:
                    seen.add(here)
                    place = in_file(file, offset=0)
                    faults.append((f"{entry.path}: {printable(part)} {why}", place, ()))
                elif medium.raw and entry.names[depth - 1] != part:
                    odd.append(f"{entry.path} has the long name {entry.shown}")
            if len(entry.short) > MOST_LEVELS and file.path not in own.foreign:
                text = f"{entry.path} lies {len(entry.short)} levels deep"
                deep.append((text, in_file(file, offset=0), ()))
        for record in medium.directory.records if medium.directory is not None else ():
            parts = record.file_id
            if not parts:
                continue
            count += 1
            place = in_record(medium, record, "ReferencedFileID")
            wrong = [f"{printable(part)!r} {why}" for part in parts if (why := fault_of(part))]
            if wrong and record.number not in own.records:
                odd.append(f"{record.name}, of a foreign object: Referenced File ID {wrong[0]}")
            elif wrong:
                faults.append((f"{record.name}: in Referenced File ID {', '.join(wrong)}", place, rows))
            if len(parts) > MOST_LEVELS:
                text = f"{record.name}: Referenced File ID has {len(parts)} components"
                deep.append((text, place, rows))
        good = Evidence(what=medium.name)
        yield from judged(NAMES, faults, count, f"{number(count, 'File ID')} have good components", good)
        yield from judged(LEVELS, deep, count, f"{number(count, 'File ID')} have 1 to 8 components", good)
        for text in dict.fromkeys(odd[:20]):
            yield remark(NAMES, text)
