"""The order of an exam that no worklist item asks for: what the operator typed.

Rules of this file: only keywords of single values are taken; an emergency gets a patient of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from .control import Refused

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_KEYS: Final = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")


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
            if dictionary_VR(keyword) == "SQ":
                raise KeyError
            setattr(order, keyword, "" if value is None else str(value))
        except KeyError:
            raise Refused(f"{keyword!r} is nothing that can be typed for a patient or order") from None
        except (ValueError, TypeError) as error:
            raise Refused(f"{keyword}: {value!r} does not fit: {error}") from None
    seal(order, charset)
    return order
