"""Names of files and folders on a medium: 8.3, ``DICOM/PA000001/ST000001/SE000001/IM000001`` (MX-D-19, PS3.10 8.2).

Rules of this file:

* A name is never given that a file on the medium has in any case, or that a record of its DICOMDIR uses.
* What a DICOMDIR says is compared, and never used as a path, unless it has exactly the form that we give.
"""

from __future__ import annotations

import re
from typing import Final

from .model import MediaError
from .volume import FOLDER, Names, Volume

BASE: Final = "DICOM"
OURS: Final = re.compile(r"DICOM\\PA\d{6}\\ST\d{6}\\SE\d{6}\\IM\d{6}")
"""File IDs as we give them."""
_MOST: Final = 999_999
_PROBES: Final = 64


def normal(name: str) -> str:
    """A name as others may have written the same one: other case, a version, a dot at the end."""
    return name.upper().split(";", maxsplit=1)[0].rstrip(". ")


class NameGiver:
    """Gives free names in the folders of one medium."""

    def __init__(self, volume: Volume, records: bytes, root: list[str], *, any_case: bool) -> None:
        """*records*: the DICOMDIR that is there; *any_case*: the medium finds names in any case."""
        self._volume = volume
        self._records = records
        self._any_case = any_case
        self._numbers: dict[Names, int] = {}
        self._hosts: dict[Names, Names | None] = {(): ()}
        self._listings: dict[Names, dict[str, str]] = {(): {normal(name): name for name in root}}
        self.folders: list[Names] = []
        """Folders that have to be made, those above first."""

    def host(self, folder: Names) -> Names | None:
        """What a folder is really called on the medium; None when it is not there yet.

        Raises:
            MediaError: something else has its name.
        """
        if folder in self._hosts:
            return self._hosts[folder]
        above = self.host(folder[:-1])
        found: Names | None = None
        if above is not None:
            name = folder[-1]
            if not self._any_case or not above:
                name = self._listing(above).get(folder[-1], "")
            about = self._volume.find((*above, name)) if name else None
            if about is not None:
                found = (*above, name)
                if about.kind != FOLDER:
                    raise MediaError(
                        "unreadable",
                        f"{'/'.join(folder)} on the medium is no folder: images cannot be written there.",
                    )
        self._hosts[folder] = found
        return found

    def _listing(self, host: Names) -> dict[str, str]:
        if host not in self._listings:
            self._listings[host] = {normal(name): name for name in self._volume.names(host)}
        return self._listings[host]

    def ensure(self, folder: Names) -> Names:
        """The folder's name on the medium; it is noted to be made when it is not there."""
        found = self.host(folder)
        if found is None:
            found = (*self.ensure(folder[:-1]), folder[-1])
            self._hosts[folder] = found
            self._listings[found] = {}
            self.folders.append(found)
        return found

    def give(self, folder: Names, prefix: str) -> tuple[str, int]:
        """A new name in a folder, and its number.

        Raises:
            MediaError: there are no more numbers.
        """
        host = self.host(folder)
        key = (*folder, prefix)
        if key not in self._numbers:
            begin = re.escape("\\".join((*folder, prefix)).encode("ascii"))
            # Of one length: the greatest text is the greatest number.
            self._numbers[key] = int(max(re.findall(begin + rb"(\d{6})", self._records), default=b"0"))
        number = self._numbers[key]
        probes = 0
        while True:
            number += 1
            if number > _MOST:
                raise MediaError("full", f"There are no more names in {'/'.join(folder)} on the medium.")
            name = f"{prefix}{number:06d}"
            if host is None:
                break
            if self._any_case and host not in self._listings and probes < _PROBES:
                probes += 1
                if self._volume.find((*host, name)) is None:
                    break
            elif name not in self._listing(host):
                break
        self._numbers[key] = number
        return name, number
