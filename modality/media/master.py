"""What a directory record says, read from the bytes of the image file itself (PS3.3 F.5, clauses MX-MED-PK … IK).

Rules of this file:

* Texts stay the bytes that the object has, with its own Specific Character Set: nothing is decoded and encoded again.
* Values that a record must have and the object has not are made here, the same ones each time (type 1 in STUDY,
  SERIES and IMAGE records, type 2 in the object).
"""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .elements import BadElements, walk
from .model import IMPLICIT_LE, KINDS, MediaError

BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
CHARSET: Final = 0x00080005
SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
STUDY_DATE: Final = 0x00080020
STUDY_TIME: Final = 0x00080030
ACCESSION: Final = 0x00080050
MODALITY: Final = 0x00080060
NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
BIRTH_DATE: Final = 0x00100030
SEX: Final = 0x00100040
STUDY: Final = 0x0020000D
SERIES: Final = 0x0020000E
STUDY_ID: Final = 0x00200010
SERIES_NUMBER: Final = 0x00200011
INSTANCE_NUMBER: Final = 0x00200013
_DATES: Final = (STUDY_DATE, 0x00080021, 0x00080022, 0x00080023)  # series, acquisition, content
_TIMES: Final = (STUDY_TIME, 0x00080031, 0x00080032, 0x00080033)
_WANTED: Final = frozenset(
    (
        CHARSET, SOP_CLASS, SOP_INSTANCE, *_DATES, *_TIMES, ACCESSION, MODALITY, NAME, PATIENT_ID, BIRTH_DATE, SEX,
        STUDY, SERIES, STUDY_ID, SERIES_NUMBER, INSTANCE_NUMBER,
    )
)  # fmt: skip
_HEAD: Final = 1 << 12
_MOST: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Master:
    """One image on the device's disk: values by tag without their padding; ``body`` is where its data set begins."""

    path: Path
    syntax: str
    sop_class: str
    sop_instance: str
    body: int
    size: int
    values: dict[int, bytes]

    def value(self, tag: int) -> bytes:
        """A value; empty when it is not there."""
        return self.values.get(tag, b"")


def read_master(path: Path) -> Master:
    """Read one image's header.

    Raises:
        MediaError: ``image``: the file is not there, no PS3.10 file, or no object that goes to media.
    """
    length = _HEAD
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            while True:
                stream.seek(0)
                data = stream.read(length)
                try:
                    return _read(path, data, size)
                except BadElements:
                    if len(data) >= min(size, _MOST):
                        raise
                    length *= 8
    except OSError as error:
        raise MediaError("image", f"The image {path.name} cannot be read: {error.strerror}.") from error
    except (BadElements, UnicodeDecodeError, StopIteration) as error:
        raise MediaError("image", f"The image {path.name} on the device is damaged: {error}.") from error


def _read(path: Path, data: bytes, size: int) -> Master:
    if data[128:132] != b"DICM":
        raise BadElements("it is no DICOM file")
    at = 132
    syntax = ""
    for element in walk(data, at, len(data)):
        if element.tag >> 16 != 2:
            break
        if element.tag == 0x00020010:
            syntax = data[element.value : element.end].rstrip(b"\0 ").decode("ascii")
        at = element.end
        if data[at : at + 2] != b"\x02\x00":
            break
    values: dict[int, bytes] = {}
    for element in walk(data, at, len(data), implicit=syntax == IMPLICIT_LE, big=syntax == BIG_ENDIAN):
        if element.tag in _WANTED:
            values[element.tag] = data[element.value : element.end].rstrip(b" \0")
        if element.tag >= INSTANCE_NUMBER:
            break
    sop_class, sop_instance = (values.get(tag, b"").decode("ascii") for tag in (SOP_CLASS, SOP_INSTANCE))
    if not sop_instance or not values.get(STUDY) or not values.get(SERIES):
        raise BadElements("it lacks its identifiers")
    if sop_class not in KINDS:
        raise MediaError(
            "image", f"The image {path.name} is of a kind that is not written to media ({sop_class})."
        )
    day, hour = _when(path, values)
    values[STUDY_DATE], values[STUDY_TIME] = day, hour
    values[STUDY_ID] = values.get(STUDY_ID) or str(zlib.crc32(values[STUDY])).encode()
    values[PATIENT_ID] = values.get(PATIENT_ID) or b"MG%08X" % zlib.crc32(
        values.get(NAME, b"") + values[STUDY]
    )
    values[MODALITY] = values.get(MODALITY) or b"US"
    return Master(path, syntax, sop_class, sop_instance, at, size, values)


def _when(path: Path, values: dict[int, bytes]) -> tuple[bytes, bytes]:
    """Date and time of the study: its own, else of what is nearest to it, else when the file was made."""
    day = next((values[tag] for tag in _DATES if values.get(tag)), b"")
    hour = next((values[tag] for tag in _TIMES if values.get(tag)), b"")
    made = time.localtime(path.stat().st_mtime)
    return day or time.strftime("%Y%m%d", made).encode(), hour or (
        b"000000" if day else time.strftime("%H%M%S", made).encode()
    )
