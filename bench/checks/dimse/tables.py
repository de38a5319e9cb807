"""The messages of PS3.7 and the services of PS3.4, as tables.

Rules of this file: facts of the standard, no code that judges.  Elements stand by their number in group 0000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

CommandSet = Literal["always", "never", "maybe"]

KEYWORDS: Final[dict[int, str]] = {
    0x0000: "Command Group Length",
    0x0002: "Affected SOP Class UID",
    0x0003: "Requested SOP Class UID",
    0x0100: "Command Field",
    0x0110: "Message ID",
    0x0120: "Message ID Being Responded To",
    0x0600: "Move Destination",
    0x0700: "Priority",
    0x0800: "Command Data Set Type",
    0x0900: "Status",
    0x0901: "Offending Element",
    0x0902: "Error Comment",
    0x0903: "Error ID",
    0x1000: "Affected SOP Instance UID",
    0x1001: "Requested SOP Instance UID",
    0x1002: "Event Type ID",
    0x1005: "Attribute Identifier List",
    0x1008: "Action Type ID",
    0x1020: "Number of Remaining Sub-operations",
    0x1021: "Number of Completed Sub-operations",
    0x1022: "Number of Failed Sub-operations",
    0x1023: "Number of Warning Sub-operations",
    0x1030: "Move Originator Application Entity Title",
    0x1031: "Move Originator Message ID",
}
VRS: Final[dict[int, str]] = {
    **dict.fromkeys((0x0000,), "UL"),
    **dict.fromkeys((0x0002, 0x0003, 0x1000, 0x1001), "UI"),
    **dict.fromkeys((0x0600, 0x1030), "AE"),
    **dict.fromkeys((0x0901, 0x1005), "AT"),
    **dict.fromkeys((0x0902,), "LO"),
    **dict.fromkeys(
        (0x0100, 0x0110, 0x0120, 0x0700, 0x0800, 0x0900, 0x0903, 0x1002, 0x1008),
        "US",
    ),
    **dict.fromkeys((0x1020, 0x1021, 0x1022, 0x1023, 0x1031), "US"),
}
"""Value representation by element (PS3.7 E.1)."""
SINGLE: Final = frozenset(VRS) - {0x0901, 0x1005}
"""Elements of one value (PS3.7 E.1)."""


@dataclass(frozen=True, slots=True)
class Form:
    """What PS3.7 9.3 and 10.3 say about a message: required and allowed elements, and the data set."""

    required: frozenset[int]
    allowed: frozenset[int]
    dataset: CommandSet


_EVERY: Final = (0x0000, 0x0100, 0x0800)
_ERROR: Final = (0x0901, 0x0902, 0x0903, 0x1005)
"""What responses may carry beside their own elements to explain a status (PS3.7 Annex C)."""


def _form(dataset: CommandSet, required: tuple[int, ...], optional: tuple[int, ...] = ()) -> Form:
    must = frozenset((*_EVERY, *required))
    return Form(must, must | frozenset(optional), dataset)


def _response(dataset: CommandSet, *optional: int) -> Form:
    return _form(dataset, (0x0120, 0x0900), (0x0002, *_ERROR, *optional))


_COUNTS: Final = (0x1020, 0x1021, 0x1022, 0x1023)
_REQUESTED: Final = (0x0110, 0x0003, 0x1001)

FORMS: Final[dict[str, Form]] = {
    "C-STORE-RQ": _form("always", (0x0110, 0x0002, 0x1000, 0x0700), (0x1030, 0x1031)),
    "C-STORE-RSP": _response("never", 0x1000),
    "C-FIND-RQ": _form("always", (0x0110, 0x0002, 0x0700)),
    "C-FIND-RSP": _response("maybe"),
    "C-GET-RQ": _form("always", (0x0110, 0x0002, 0x0700)),
    "C-GET-RSP": _response("maybe", *_COUNTS),
    "C-MOVE-RQ": _form("always", (0x0110, 0x0002, 0x0700, 0x0600)),
    "C-MOVE-RSP": _response("maybe", *_COUNTS),
    "C-ECHO-RQ": _form("never", (0x0110, 0x0002)),
    "C-ECHO-RSP": _response("never"),
    "C-CANCEL-RQ": _form("never", (0x0120,)),
    "N-EVENT-REPORT-RQ": _form("maybe", (0x0110, 0x0002, 0x1000, 0x1002)),
    "N-EVENT-REPORT-RSP": _response("maybe", 0x1000, 0x1002),
    "N-GET-RQ": _form("never", _REQUESTED, (0x1005,)),
    "N-GET-RSP": _response("maybe", 0x1000),
    "N-SET-RQ": _form("always", _REQUESTED),
    "N-SET-RSP": _response("maybe", 0x1000),
    "N-ACTION-RQ": _form("maybe", (*_REQUESTED, 0x1008)),
    "N-ACTION-RSP": _response("maybe", 0x1000, 0x1008),
    "N-CREATE-RQ": _form("maybe", (0x0110, 0x0002), (0x1000,)),
    "N-CREATE-RSP": _response("maybe", 0x1000),
    "N-DELETE-RQ": _form("never", _REQUESTED),
    "N-DELETE-RSP": _response("never", 0x1000),
}
"""Messages by name (PS3.7 9.3, 10.3)."""
USES_REQUESTED: Final = frozenset({"N-GET-RQ", "N-SET-RQ", "N-ACTION-RQ", "N-DELETE-RQ"})
"""Requests that name the Requested, not the Affected SOP Class and Instance (PS3.7 10.3)."""
PENDING_FOLLOWS: Final = frozenset({"C-FIND-RQ", "C-GET-RQ", "C-MOVE-RQ"})
"""Requests that may have pending responses and may be cancelled."""

VERIFICATION: Final = "1.2.840.10008.1.1"
COMMITMENT: Final = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
MPPS: Final = "1.2.840.10008.3.1.2.3.3"
WORKLIST: Final = "1.2.840.10008.5.1.4.31"
STUDY_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
GRAYSCALE_META: Final = "1.2.840.10008.5.1.1.9"
COLOR_META: Final = "1.2.840.10008.5.1.1.18"
FILM_SESSION: Final = "1.2.840.10008.5.1.1.1"
FILM_BOX: Final = "1.2.840.10008.5.1.1.2"
GRAYSCALE_IMAGE_BOX: Final = "1.2.840.10008.5.1.1.4"
COLOR_IMAGE_BOX: Final = "1.2.840.10008.5.1.1.4.1"
PRINT_JOB: Final = "1.2.840.10008.5.1.1.14"
PRINTER: Final = "1.2.840.10008.5.1.1.16"
PRINTER_INSTANCE: Final = "1.2.840.10008.5.1.1.17"

META: Final[dict[str, frozenset[str]]] = {
    GRAYSCALE_META: frozenset({FILM_SESSION, FILM_BOX, GRAYSCALE_IMAGE_BOX, PRINTER}),
    COLOR_META: frozenset({FILM_SESSION, FILM_BOX, COLOR_IMAGE_BOX, PRINTER}),
}
"""Meta SOP classes with their members (PS3.4 H.3.2)."""
WELL_KNOWN: Final[dict[str, str]] = {COMMITMENT: COMMITMENT_INSTANCE, PRINTER: PRINTER_INSTANCE}
"""SOP classes that have one well-known instance (PS3.4 J.3.5, H.4.6)."""

NOTIFICATIONS: Final = frozenset({"N-EVENT-REPORT-RQ"})
SERVICES: Final[dict[str, frozenset[str]]] = {
    VERIFICATION: frozenset({"C-ECHO-RQ"}),
    COMMITMENT: frozenset({"N-ACTION-RQ", "N-EVENT-REPORT-RQ"}),
    MPPS: frozenset({"N-CREATE-RQ", "N-SET-RQ"}),
    "1.2.840.10008.3.1.2.3.4": frozenset({"N-GET-RQ"}),
    "1.2.840.10008.3.1.2.3.5": frozenset({"N-EVENT-REPORT-RQ"}),
    FILM_SESSION: frozenset({"N-CREATE-RQ", "N-SET-RQ", "N-DELETE-RQ", "N-ACTION-RQ"}),
    FILM_BOX: frozenset({"N-CREATE-RQ", "N-SET-RQ", "N-DELETE-RQ", "N-ACTION-RQ"}),
    GRAYSCALE_IMAGE_BOX: frozenset({"N-SET-RQ"}),
    COLOR_IMAGE_BOX: frozenset({"N-SET-RQ"}),
    PRINT_JOB: frozenset({"N-GET-RQ", "N-EVENT-REPORT-RQ"}),
    PRINTER: frozenset({"N-GET-RQ", "N-EVENT-REPORT-RQ"}),
}
"""Requests of a SOP class (PS3.4 A, F, H, J); storage and query classes: :func:`services`."""
ACTIONS: Final[dict[str, frozenset[int]]] = {
    COMMITMENT: frozenset({1}),
    FILM_SESSION: frozenset({1}),
    FILM_BOX: frozenset({1}),
}
"""Action types by SOP class (PS3.4 J.3.2, H.4.1.2.4, H.4.2.2.4)."""
EVENTS: Final[dict[str, frozenset[int]]] = {
    COMMITMENT: frozenset({1, 2}),
    PRINTER: frozenset({1, 2, 3}),
    PRINT_JOB: frozenset({1, 2, 3, 4}),
}
"""Event types by SOP class (PS3.4 J.3.3, H.4.5.2.1, H.4.6.2.1)."""

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_QUERY: Final = "1.2.840.10008.5.1.4.1.2."


def services(sop_class: str) -> frozenset[str] | None:
    """Return the requests that belong to a SOP class; None for classes that are not in the tables."""
    if sop_class in SERVICES:
        return SERVICES[sop_class]
    if sop_class.startswith(_STORAGE):
        return frozenset({"C-STORE-RQ"})
    if sop_class == WORKLIST:
        return frozenset({"C-FIND-RQ", "C-CANCEL-RQ"})
    if sop_class.startswith(_QUERY):
        kind = {"1": "C-FIND-RQ", "2": "C-MOVE-RQ", "3": "C-GET-RQ"}.get(sop_class.rsplit(".", 1)[1])
        return frozenset({kind, "C-CANCEL-RQ"}) if kind else None
    return None


def storage(sop_class: str) -> bool:
    """Tell whether a SOP class is one of the Storage Service Class (PS3.4 B.5)."""
    return sop_class.startswith(_STORAGE)


_GENERAL: Final = frozenset({0x0000, 0x0122, 0x0124, 0x0210, 0x0211, 0x0212})
_NORMALIZED: Final = _GENERAL | frozenset(
    {0x0110, 0x0111, 0x0112, 0x0113, 0x0114, 0x0115, 0x0117, 0x0118, 0x0119, 0x0213}
)


def legal_status(name: str, status: int) -> bool:
    """Tell whether a response may carry a status (PS3.7 9.1, 10.1, Annex C; PS3.4 B.2.3, C.4, F, H, J)."""
    if name == "C-ECHO-RSP":
        return status in _GENERAL
    if name == "C-STORE-RSP":
        return status in _GENERAL | {0x0117} or status >> 12 in (0xA, 0xB, 0xC)
    if name in ("C-FIND-RSP", "C-GET-RSP", "C-MOVE-RSP"):
        return status in _GENERAL | {0xFE00, 0xFF00, 0xFF01} or status >> 12 in (0xA, 0xB, 0xC)
    if name == "N-EVENT-REPORT-RSP":
        return status in _NORMALIZED
    more = {0x0105, 0x0106, 0x0107, 0x0116, 0x0120, 0x0121, 0x0123}
    return status in _NORMALIZED | more or status >> 12 in (0xA, 0xB, 0xC)
