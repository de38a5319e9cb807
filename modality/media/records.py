"""Directory records with exactly the statement's keys (spec 5.3 and 5.4), as bytes in Explicit VR Little Endian.

Rules of this file:

* Keys are those of the statement, in the order of their tags; offsets are 0 until the directory is laid out.
* Specific Character Set is there when a text of this record needs it, as the object has it.
* Study Description is empty (MX-E-20).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from . import master as m
from .elements import encode
from .master import Master

NEXT_AT: Final = 16
"""Where the offset of the next record stands in a record of ours, counted from its item tag."""
LOWER_AT: Final = 38
_START: Final = (
    encode(0x00041400, b"UL", bytes(4))
    + encode(0x00041410, b"US", b"\xff\xff")
    + encode(0x00041420, b"UL", bytes(4))
)
_TEXTS: Final = frozenset((b"PN", b"LO", b"SH"))
_PLAIN: Final = frozenset((b"", b"ISO_IR 6", b"ISO 2022 IR 6"))

Key = tuple[int, bytes, bytes]


def patient(master: Master) -> bytes:
    """A PATIENT record (MX-MED-PK-01 … 05)."""
    keys = ((m.NAME, b"PN"), (m.PATIENT_ID, b"LO"), (m.BIRTH_DATE, b"DA"), (m.SEX, b"CS"))
    return _record(b"PATIENT", master, [(tag, vr, master.value(tag)) for tag, vr in keys])


def study(master: Master) -> bytes:
    """A STUDY record (MX-MED-SK-01 … 07)."""
    return _record(
        b"STUDY",
        master,
        [
            (m.STUDY_DATE, b"DA", master.value(m.STUDY_DATE)),
            (m.STUDY_TIME, b"TM", master.value(m.STUDY_TIME)),
            (m.ACCESSION, b"SH", master.value(m.ACCESSION)),
            (0x00081030, b"LO", b""),
            (m.STUDY, b"UI", master.value(m.STUDY)),
            (m.STUDY_ID, b"SH", master.value(m.STUDY_ID)),
        ],
    )


def series(master: Master, number: bytes) -> bytes:
    """A SERIES record (MX-MED-RK-01 … 04); *number* where the object has none."""
    return _record(
        b"SERIES",
        master,
        [
            (m.MODALITY, b"CS", master.value(m.MODALITY)),
            (m.SERIES, b"UI", master.value(m.SERIES)),
            (m.SERIES_NUMBER, b"IS", master.value(m.SERIES_NUMBER) or number),
        ],
    )


def image(master: Master, file_id: tuple[str, ...], syntax: str, number: bytes) -> bytes:
    """An IMAGE record (MX-MED-IK-01, 02, DIR-10 … 13); *number* where the object has none."""
    return _record(
        b"IMAGE",
        master,
        [(m.INSTANCE_NUMBER, b"IS", master.value(m.INSTANCE_NUMBER) or number)],
        [
            (0x00041500, b"CS", "\\".join(file_id).encode("ascii")),
            (0x00041510, b"UI", master.sop_class.encode("ascii")),
            (0x00041511, b"UI", master.sop_instance.encode("ascii")),
            (0x00041512, b"UI", syntax.encode("ascii")),
        ],
    )


def needs_charset(value: bytes, charset: bytes) -> bool:
    """Tell whether a text means something else without its character set (PS3.5 6.1.2.5.3)."""
    if not value.isascii() or b"\x1b" in value:
        return True
    # JIS X 0201 has a yen sign and an overline where ASCII has backslash and tilde.
    return charset.split(b"\\")[0].strip() in (b"ISO_IR 13", b"ISO 2022 IR 13") and (
        b"\\" in value or b"~" in value
    )


def _record(kind: bytes, master: Master, keys: Iterable[Key], reference: Iterable[Key] = ()) -> bytes:
    keys = list(keys)
    charset = master.value(m.CHARSET)
    needed = charset not in _PLAIN and any(
        vr in _TEXTS and needs_charset(value, charset) for _, vr, value in keys
    )
    parts = [_START, encode(0x00041430, b"CS", kind)]
    parts += [encode(tag, vr, value) for tag, vr, value in reference]
    if needed:
        parts.append(encode(m.CHARSET, b"CS", charset))
    parts += [encode(tag, vr, value) for tag, vr, value in keys]
    body = b"".join(parts)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body
