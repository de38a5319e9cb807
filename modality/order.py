"""The order of an exam that no worklist item asks for: what the operator typed.

Rules of this file: what is typed must be one value that its VR can carry (PS3.5 6.2), since half of an identifier may
be somebody else's; identifiers that the console makes itself cannot be typed; an emergency gets a patient of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from .control import Refused

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_TEXTS: Final = ("LT", "ST", "UT", "UC")
_STRINGS: Final = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM")
_NUMBERS: Final = ("US", "SS", "UL", "SL")
_KEYS: Final = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")

_LAYOUT: Final[tuple[dict[int, str], ...]] = ({}, {ord(character): " " for character in "\t\n\f\r"})
"""Control characters that a text may have (PS3.5 6.1.3)."""


def typed_order(
    typed: Mapping[str, Any], charset: Sequence[str], emergency: tuple[int, datetime] | None
) -> Dataset:
    """An order in the configured character set (VX-D-16, MX-D-11).

    Args:
        typed: keyword -> value.
        charset: Specific Character Set wished.
        emergency: running number and moment, for a patient whose name nobody knows.

    Raises:
        Refused: a keyword or value that cannot be typed.
    """
    from pydicom.datadict import dictionary_VR
    from pydicom.dataset import Dataset

    from .dicom.charset import seal
    from .dicom.values import da, tm

    order = Dataset()
    for keyword in _KEYS:
        setattr(order, keyword, "")
    if emergency:
        number, now = emergency
        order.PatientID = f"EMG-{da(now)}-{number}"
        order.PatientName = f"EMERGENCY^{da(now)}-{tm(now)}"
    for keyword, value in typed.items():
        try:
            setattr(order, keyword, _one_value(dictionary_VR(keyword), value))
        except KeyError:
            raise Refused(f"{keyword!r} is nothing that can be typed for a patient or order") from None
        except (ValueError, TypeError) as error:
            raise Refused(f"{keyword}: {value!r} does not fit: {error}") from None
    seal(order, charset)
    return order


def _one_value(vr: str, value: Any) -> str | int | None:
    """What was typed, as one value of a VR.

    Raises:
        KeyError: nothing of this VR can be typed.
        ValueError: it is not one value, or none of this VR.
    """
    from pydicom.config import RAISE
    from pydicom.valuerep import validate_value

    text = "" if value is None else str(value)
    if vr in _NUMBERS:
        number = int(text) if text else None
        validate_value(vr, number, RAISE)
        return number
    if vr not in (*_TEXTS, *_STRINGS):
        raise KeyError(vr)
    if any(character < " " or character == "\x7f" for character in text.translate(_LAYOUT[vr in _TEXTS])):
        raise ValueError("control characters")
    if vr in _STRINGS and "\\" in text:
        raise ValueError("more than one value")
    validate_value(vr, text, RAISE)
    return text
