"""PS3.4 Annex B, Storage: one UID for one content, an object in every C-STORE (STD-SVC-010, -011).

What makes two data sets under one UID different is told by what no modality may change in an object that is sent
again: its class, study, series, size and pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.checks.case import Case, Stored
from bench.checks.finding import Finding, check, failed, passed

IDENTITY: Final = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "InstanceNumber",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "ContentDate",
    "ContentTime",
)


@check("STD-SVC-010")
def one_content(case: Case) -> Iterator[Finding]:
    """The same SOP Instance UID always names the same object."""
    first: dict[str, Stored] = {}
    for stored in case.objects:
        if not stored.sop_instance or not stored.message.complete or stored.dataset is None:
            continue
        known = first.setdefault(stored.sop_instance, stored)
        if known is stored:
            continue
        differs = difference(known, stored)
        where = (case.at(known.message, "(0008,0018)"), case.at(stored.message, "(0008,0018)"))
        if differs:
            yield failed(
                "STD-SVC-010",
                f"another object under the same SOP Instance UID {stored.sop_instance}: {differs}",
                *where,
            )
        else:
            yield passed("STD-SVC-010", "sent again, the same object", *where)


def difference(one: Stored, two: Stored) -> str:
    """Tell what makes two data sets under one UID different objects; empty when nothing does."""
    if one.dataset is None or two.dataset is None:
        return ""
    if one.sop_class != two.sop_class:
        return f"SOP class {one.sop_class}, then {two.sop_class}"
    for keyword in IDENTITY:
        if one.dataset.state(keyword) == two.dataset.state(keyword) == "value":
            a, b = one.dataset.text(keyword), two.dataset.text(keyword)
            if a != b:
                return f"{keyword} {a}, then {b}"
    a_pixels, b_pixels = one.dataset.pixels, two.dataset.pixels
    if a_pixels is None or b_pixels is None or one.message.transfer_syntax != two.message.transfer_syntax:
        return ""
    if a_pixels.length != b_pixels.length:
        return f"{a_pixels.length} bytes of pixels, then {b_pixels.length}"
    return "other pixels" if a_pixels.crc != b_pixels.crc else ""


@check("STD-SVC-011")
def carries_object(case: Case) -> Iterator[Finding]:
    """A C-STORE request has a data set."""
    for stored in case.objects:
        command = stored.message.command
        if command.has_dataset or stored.dataset is not None:
            yield passed("STD-SVC-011", "C-STORE-RQ carries a data set", case.at(stored.message))
        else:
            yield failed("STD-SVC-011", "C-STORE-RQ carries no data set", case.at(stored.message))
