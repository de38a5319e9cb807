"""DIMSE statuses: what kind, and in words (PS3.7 C; PS3.4 B.2.3, C.4, F.7, H.4, J.3).

Rules of this file: facts of the standard, no judgement.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Category(Enum):
    """The kinds of status (PS3.7 C.1 to C.6)."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    CANCEL = "cancel"
    PENDING = "pending"


STATUS_TEXT: Final[dict[int, str]] = {
    0x0000: "Success",
    0x0001: "Requested optional attributes are not supported",
    0x0105: "No such attribute",
    0x0106: "Invalid attribute value",
    0x0107: "Attribute list error",
    0x0110: "Processing failure",
    0x0111: "Duplicate SOP instance",
    0x0112: "No such SOP instance",
    0x0113: "No such event type",
    0x0114: "No such argument",
    0x0115: "Invalid argument value",
    0x0116: "Attribute value out of range",
    0x0117: "Invalid SOP instance",
    0x0118: "No such SOP class",
    0x0119: "Class-instance conflict",
    0x0120: "Missing attribute",
    0x0121: "Missing attribute value",
    0x0122: "SOP class not supported",
    0x0123: "No such action type",
    0x0124: "Not authorized",
    0x0210: "Duplicate invocation",
    0x0211: "Unrecognized operation",
    0x0212: "Mistyped argument",
    0x0213: "Resource limitation",
    0xFE00: "Cancel",
    0xFF00: "Pending",
    0xFF01: "Pending, optional keys not supported",
}
"""Statuses of PS3.7 Annex C and the pending ones of PS3.4."""

_RANGES: Final = (
    (0xA700, 0xA7FF, "Out of resources"),
    (0xA801, 0xA801, "Move destination unknown"),
    (0xA900, 0xA9FF, "Data set does not match SOP class"),
    (0xB000, 0xB000, "Coercion of data elements, or sub-operations with failures"),
    (0xB006, 0xB006, "Elements discarded"),
    (0xB007, 0xB007, "Data set does not match SOP class (warning)"),
    (0xC000, 0xCFFF, "Cannot understand, or unable to process"),
)


def category(status: int) -> Category:
    """The kind of a status (PS3.7 Annex C): what is not a known success, warning, cancel or pending is a failure."""
    if status == 0x0000:
        return Category.SUCCESS
    if status in (0xFF00, 0xFF01):
        return Category.PENDING
    if status == 0xFE00:
        return Category.CANCEL
    if status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return Category.WARNING
    return Category.FAILURE


def describe(status: int) -> str:
    """A status for people: ``A700H Out of resources (failure)``."""
    text = STATUS_TEXT.get(status)
    if text is None:
        text = next((words for low, high, words in _RANGES if low <= status <= high), "")
    kind = category(status).value
    return f"{status:04X}H {text} ({kind})" if text else f"{status:04X}H ({kind})"
