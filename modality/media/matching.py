"""Finding the patient, study and series of an image in a directory that is there.

Rules of this file:

* Records are found by the bytes of their identifiers, so that thousands of others need not be read.
* A patient is the same when the Patient ID is, and the name, as a text, however each is encoded and filled up.  One
  with a name and one without are not known to be the same.  Birth dates or sexes that are both known and differ are
  those of two persons: one record cannot say both.
* Only records in use are taken, and only under the right ones above them.
"""

from __future__ import annotations

import re
import struct
import unicodedata
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from pydicom.charset import convert_encodings, decode_bytes

from . import master as m
from .directory import Directory
from .layout import ROOT, Tree
from .master import Master
from .names import OURS
from .records import needs_charset

_FEW: Final = 64
"""Records of a kind that are all looked at."""
_DELIMITERS: Final = {0x1B, 0x5E, 0x3D, 0x0D, 0x0A}


@lru_cache(maxsize=512)
def plain(value: bytes, charset: bytes) -> str:
    """A value as a text; what its character set cannot say stays itself, so that no two of them look alike."""
    if value.isascii() and b"\x1b" not in value and not needs_charset(value, charset):
        return value.decode("ascii").strip()
    terms = [term.strip().decode("latin-1") for term in charset.split(b"\\")]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoded = decode_bytes(value, convert_encodings(terms), _DELIMITERS)
    except (LookupError, UnicodeError, ValueError):
        decoded = "\ufffd"
    return repr((value, charset)) if "\ufffd" in decoded else unicodedata.normalize("NFC", decoded).strip()


def text(value: bytes, charset: bytes) -> str:
    """A name as a text, however it is encoded and filled up."""
    decoded = plain(value, charset)
    groups = ["^".join(part.strip() for part in group.split("^")).rstrip("^") for group in decoded.split("=")]
    return "=".join(groups).rstrip("=")


@dataclass(frozen=True)
class Person:
    """Who has a Patient ID, as texts."""

    name: str
    birth_date: str
    sex: str

    @classmethod
    def read(cls, values: Mapping[int, bytes]) -> Person:
        """The person of an image or of a PATIENT record, from the bytes of its attributes."""
        name, charset, born, sex = (values.get(tag, b"") for tag in (m.NAME, m.CHARSET, m.BIRTH_DATE, m.SEX))
        # 1970.01.01 is how ACR-NEMA wrote a date (PS3.5 6.2)
        return cls(text(name, charset), plain(born, b"").replace(".", ""), plain(sex, b""))

    def differs(self, other: Person) -> str:
        """By what the other one is known to be somebody else; empty when nothing says so."""
        if self.name != other.name:
            return "name"
        if self.birth_date and other.birth_date and self.birth_date != other.birth_date:
            return "birth date"
        return "sex" if self.sex and other.sex and self.sex != other.sex else ""


class Matcher:
    """Finds records of one directory."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._directory: Directory = tree.directory

    def _records(self, tag: int, vr: bytes, value: bytes, kind: bytes) -> list[int]:
        directory = self._directory
        if not value or not len(directory):
            return []
        of_kind = np.flatnonzero((directory.kinds == kind) & directory.active)
        if len(of_kind) <= _FEW:
            return [
                r for r in of_kind.tolist() if directory.elements(r).get(tag, b"").strip() == value.strip()
            ]
        head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
        pattern = re.compile(re.escape(head) + b".. *" + re.escape(value) + rb"[ \0]*", re.DOTALL)
        found = []
        for hit in pattern.finditer(directory.data, directory.items, directory.end):
            record = directory.record_at(hit.start())
            if record < 0 or not directory.active[record] or directory.kinds[record] != kind:
                continue
            if directory.elements(record).get(tag, b"").strip() == value.strip():
                found.append(record)
        return found

    def _under(self, parent: int, tag: int, vr: bytes, value: bytes, kind: bytes) -> int:
        found = set(self._records(tag, vr, value, kind))
        if not found:
            return -1
        return next((record for record in self._tree.below(parent) if record in found), -1)

    def patient(self, master: Master) -> int:
        """The image's patient; -1 when there is none."""
        found = self._of_patient(master)[0]
        if not found:
            return -1
        return next((record for record in self._tree.below(ROOT) if record in found), -1)

    def somebody_else(self, master: Master) -> str:
        """By what the Patient ID is another one's in the directory; empty when it is the image's patient's or new."""
        return self._of_patient(master)[1]

    def _of_patient(self, master: Master) -> tuple[set[int], str]:
        """The records of an image's patient, and by what another one has the Patient ID.

        A medium that has several persons with one Patient ID takes only images that say of which they are: with nothing
        that one of them leaves open.
        """
        wanted = Person.read(master.values)
        persons = {
            record: Person.read(self._directory.elements(record))
            for record in self._with_id(master.value(m.PATIENT_ID), master.value(m.CHARSET))
        }
        exact = {record for record, person in persons.items() if person == wanted}
        if exact:
            return exact, ""
        everybody = dict.fromkeys((wanted, *persons.values()))
        differs = (one.differs(other) for one in everybody for other in everybody)
        return set(persons), next(filter(None, differs), "")

    def _with_id(self, value: bytes, charset: bytes) -> list[int]:
        """The records with a Patient ID; one that is not the same bytes in every character set is read in each."""
        if not needs_charset(value, charset):
            return self._records(m.PATIENT_ID, b"LO", value, b"PATIENT")
        directory, wanted = self._directory, plain(value, charset)
        found = []
        for record in np.flatnonzero((directory.kinds == b"PATIENT") & directory.active).tolist():
            elements = directory.elements(record)
            if plain(elements.get(m.PATIENT_ID, b""), elements.get(m.CHARSET, b"")) == wanted:
                found.append(record)
        return found

    def study(self, patient: int, master: Master) -> int:
        """The image's study under a patient; -1 when there is none."""
        return self._under(patient, m.STUDY, b"UI", master.value(m.STUDY), b"STUDY")

    def series(self, study: int, master: Master) -> int:
        """The image's series under a study; -1 when there is none."""
        return self._under(study, m.SERIES, b"UI", master.value(m.SERIES), b"SERIES")

    def files_of(self, uid: str) -> list[bytes]:
        """The File IDs by which records in use refer to an instance."""
        data, directory = self._directory.data, self._directory
        value = uid.encode("ascii")
        head = struct.pack("<HH2s", 0x0004, 0x1511, b"UI")
        found = []
        at = data.find(value, directory.items, directory.end)
        while at >= 0:
            if data[at - 8 : at - 2] == head:
                (length,) = struct.unpack_from("<H", data, at - 2)
                if data[at : at + length].rstrip(b"\0 ") == value:
                    record = directory.record_at(at)
                    if record >= 0 and directory.active[record]:
                        found.append(directory.elements(record).get(0x00041500, b""))
            at = data.find(value, at + 1, directory.end)
        return found

    def folder(self, record: int) -> tuple[str, ...]:
        """The components of the File ID of an image below a record, when it has the form that we give; else ()."""
        directory = self._directory
        for _ in range(4):
            if record < 0 or record >= len(directory):
                return ()
            if directory.kinds[record] == b"IMAGE":
                file_id = directory.elements(record).get(0x00041500, b"").decode("latin-1")
                return tuple(file_id.split("\\")) if OURS.fullmatch(file_id) else ()
            record = self._tree.last_below(record)
        return ()
