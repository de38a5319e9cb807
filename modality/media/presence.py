"""Where an image that a DICOMDIR names really is on the medium.

Rules of this file:

* A File ID is compared with the names that a folder has, and never used as a path.
* Only a file with the instance's own UID in its file meta information counts, whole or not (:mod:`.wholeness`); what
  cannot be read is an OSError.
"""

from __future__ import annotations

from .elements import BadElements, walk
from .names import normal
from .volume import FILE, FOLDER, Names, Volume

_HEAD = 1024
_INSTANCE = 0x00020003


def instance_of(head: bytes) -> str | None:
    """The SOP Instance UID that a file says in its first bytes; None when it is no DICOM file or does not say it."""
    if head[128:132] != b"DICM":
        return None
    try:
        for element in walk(head, 132, len(head)):
            if element.tag == _INSTANCE:
                return head[element.value : element.end].rstrip(b"\0 ").decode("latin-1")
            if element.tag > _INSTANCE:
                return None
    except BadElements:
        pass
    return None


def head_of(volume: Volume, names: Names) -> bytes:
    """The first bytes of a file."""
    handle = volume.open(names)
    try:
        return volume.read(handle, 0, _HEAD)
    finally:
        volume.close_file(handle)


class Presence:
    """Looks for the files of one medium."""

    def __init__(self, volume: Volume, root: list[str]) -> None:
        self._volume = volume
        self._listings: dict[Names, dict[str, str]] = {(): {normal(name): name for name in root}}

    def found(self, file_id: bytes, instance: str) -> Names | None:
        """The file that a File ID leads to when it says that it is this instance."""
        at: Names = ()
        for part in file_id.decode("latin-1").split("\\"):
            if at and not self._is(at, FOLDER):
                return None
            name = self._listing(at).get(normal(part))
            if name is None:
                return None
            at = (*at, name)
        return at if self._is(at, FILE) and instance_of(head_of(self._volume, at)) == instance else None

    def _is(self, path: Names, kind: str) -> bool:
        about = self._volume.find(path)
        return about is not None and about.kind == kind

    def _listing(self, folder: Names) -> dict[str, str]:
        if folder not in self._listings:
            self._listings[folder] = {normal(name): name for name in self._volume.names(folder)}
        return self._listings[folder]
