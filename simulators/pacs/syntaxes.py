"""The SOP classes and transfer syntaxes that the PACS takes.

Rules of this file:

* SOP classes are those of pydicom's UID dictionary, so that a new edition of the standard comes with the package.
* A transfer syntax is accepted when its data sets can be walked (everything but the deflated ones).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

from pydicom._uid_dict import UID_dictionary

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"
JPEG: Final = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
)
"""JPEG baseline to JPEG 2000, and RLE."""

DEFAULT: Final = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, *JPEG)
_DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95"})
_NO_STORAGE: Final = ("Storage Commitment", "Media Storage Directory")


@cache
def storage_classes() -> tuple[str, ...]:
    """UIDs of every Storage SOP class, retired ones included: old devices still send them."""
    return tuple(
        uid
        for uid, (name, kind, _, _, _) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and not name.startswith(_NO_STORAGE)
    )


def check_syntaxes(syntaxes: Iterable[str]) -> tuple[str, ...]:
    """Return the transfer syntaxes; raise :class:`ValueError` for one that cannot be taken."""
    checked = tuple(syntaxes)
    for uid in checked:
        known = UID_dictionary.get(uid)
        if known is None or known[1] != "Transfer Syntax":
            raise ValueError(f"{uid!r} is no transfer syntax")
        if uid in _DEFLATED:
            raise ValueError(f"{known[0]} is not taken")
    return checked
