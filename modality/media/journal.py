"""What the device remembers of unfinished work on a medium, and how it is taken back the next time.

Rules of this file:

* Before anything else is written, the device notes on its own disk every name that it is about to make, and puts a
  marker with a number that nobody else knows on the medium: by it the medium is recognised again.
* Removed is only what the note names, what is on the marked medium, and what no record of its DICOMDIR refers to; a
  DICOM file with another instance in it is left alone.
* Where power went in the middle of a renaming, FAT has one file under two names.  To remove one of them would take the
  clusters of the other: the directory gets a fresh copy first.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .presence import head_of, instance_of
from .volume import FILE, Found, Names, Volume, settle

_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
_EXPLAINED: Final = (
    "\r\nUnfinished work of an ultrasound device; put the medium in again to have it cleared up.\r\n"
)
_NOTES: Final = 256
"""Notes that are kept; the oldest are of media that never came back."""


@dataclass(frozen=True)
class Note:
    """One operation: the names that it makes.

    Attributes:
        files: (names on the medium, File ID, SOP Instance UID) of each.
        folders: those that are made, the ones above first.
        place: the DICOMDIR's name where there was none; for a moment an empty file stands there.
    """

    token: str
    files: tuple[tuple[Names, str, str], ...] = ()
    folders: tuple[Names, ...] = ()
    place: Names = ()

    @property
    def marker(self) -> Names:
        """The marker's name."""
        return self._named("TMP")

    @property
    def draft(self) -> Names:
        """The new directory's name while it is written."""
        return self._named("NEW")

    @property
    def drafts(self) -> tuple[Names, ...]:
        """All names that a new directory may have."""
        return (self.draft, *(self._named(f"NE{number}") for number in range(1, 10)))

    def _named(self, ending: str) -> Names:
        return (f"MG{self.token[:6].upper()}.{ending}",)

    def marking(self) -> bytes:
        """What is in the marker."""
        return (self.token + _EXPLAINED).encode("ascii")


def new_token() -> str:
    """A number that nobody else knows."""
    return secrets.token_hex(16)


class Journal:
    """The notes on the device's disk; a folder of None keeps none."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def _path(self, token: str) -> Path | None:
        return self.folder / f"media-{token}.json" if self.folder is not None else None

    def keep(self, note: Note) -> None:
        """Remember what is about to be done."""
        path = self._path(note.token)
        if path is None or self.folder is None:
            return
        partial = path.with_suffix(".part")
        try:
            with partial.open("w", encoding="utf-8") as stream:
                stream.write(
                    json.dumps(
                        {"files": list(note.files), "folders": list(note.folders), "place": list(note.place)}
                    )
                )
                stream.flush()
                os.fsync(stream.fileno())
            partial.rename(path)
        except OSError:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        handle = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def forget(self, note: Note) -> None:
        """The work is finished, or taken back."""
        path = self._path(note.token)
        if path is not None:
            path.unlink(missing_ok=True)

    def notes(self) -> list[Note]:
        """What is remembered, newest first; what is no note is thrown away, what cannot be read now is left alone."""
        if self.folder is None:
            return []
        for partial in self.folder.glob("media-*.part"):  # switched off while it was noted
            partial.unlink(missing_ok=True)
        paths = sorted(self.folder.glob("media-*.json"), key=lambda p: p.stat().st_mtime, reverse=True)
        found = []
        for number, path in enumerate(paths):
            token = path.stem.removeprefix("media-")
            try:
                raw = json.loads(path.read_text("utf-8"))
                note = Note(
                    token,
                    tuple((tuple(names), str(file_id), str(uid)) for names, file_id, uid in raw["files"]),
                    tuple(tuple(names) for names in raw["folders"]),
                    tuple(raw["place"]),
                )
            except OSError:
                continue
            except (ValueError, KeyError, TypeError):
                note = None
            if note is None or number >= _NOTES or not _TOKEN.fullmatch(token):
                path.unlink(missing_ok=True)
                continue
            found.append(note)
        return found


def marked(volume: Volume, note: Note, root: list[str]) -> bool:
    """Tell whether this is the medium that a note is about."""
    if note.marker[0] not in root and note.marker[0].lower() not in root:
        return False
    about = volume.find(note.marker)
    if about is None or about.kind != FILE:
        return False
    handle = volume.open(note.marker)
    try:
        # One that is not whole was the first thing to be written, and nothing came after it.
        return note.marking().startswith(volume.read(handle, 0, 512))
    finally:
        volume.close_file(handle)


def take_back(volume: Volume, note: Note, directory: bytes | None) -> None:
    """Remove what an unfinished operation left; *directory* is the DICOMDIR that is there now, None for none.

    Raises:
        OSError: the medium does not answer, or cannot be changed; the note has to be kept.
    """
    _drop_drafts(volume, note, directory)
    if note.place and directory == b"":
        volume.remove(note.place)
        directory = None
    touched: set[Names] = {()}
    for names, file_id, uid in note.files:
        if directory is not None and file_id.encode("ascii") in directory:
            continue
        about = _found(volume, names)
        if about is None or about.kind != FILE or _is_another(volume, names, uid):
            continue
        volume.remove(names)
        touched.add(names[:-1])
    for folder in reversed(note.folders):
        try:
            volume.remove_folder(folder)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            touched.discard(folder)
            touched.add(folder[:-1])
    for folder in touched:
        volume.sync_folder(folder)
    about = volume.find(note.marker)
    if about is not None and about.kind == FILE:
        volume.remove(note.marker)
        volume.sync_folder(())


def _found(volume: Volume, names: Names) -> Found | None:
    """What a path is; None as well when a folder above was never made."""
    try:
        return volume.find(names)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        return None


def _drop_drafts(volume: Volume, note: Note, directory: bytes | None) -> None:
    """Remove unfinished directories; first give the one in use a fresh place when it may share theirs."""
    drafts: dict[Names, bool] = {}
    for names in note.drafts:
        about = volume.find(names)
        if about is not None and about.kind == FILE:
            same = directory is not None and bool(directory) and about.size == len(directory)
            drafts[names] = same and _content(volume, names, about.size) == directory
    if directory is not None and any(drafts.values()):
        fresh = next((names for names in note.drafts if names not in drafts), None)
        if fresh is None:  # no name is left for a copy: what may share the directory's clusters stays
            drafts = {names: same for names, same in drafts.items() if not same}
        else:
            handle = volume.create(fresh)
            try:
                volume.write(handle, 0, directory)
                volume.sync(handle)
                if volume.read(handle, 0, len(directory) + 1) != directory:
                    raise OSError(errno.EIO, "what was written reads otherwise")
            finally:
                with suppress(OSError):
                    volume.close_file(handle)
            place = next(name for name in volume.names(()) if name.upper() == "DICOMDIR")
            volume.rename(fresh, (place,))
            settle(volume, (place,))  # before the clusters of the old one are free
    for names in drafts:
        volume.remove(names)
    if drafts:
        volume.sync_folder(())


def _content(volume: Volume, names: Names, size: int) -> bytes:
    handle = volume.open(names)
    try:
        return volume.read(handle, 0, size)
    finally:
        volume.close_file(handle)


def _is_another(volume: Volume, names: Names, uid: str) -> bool:
    """Tell whether a file is a DICOM file of another instance than ours."""
    return instance_of(head_of(volume, names)) not in (None, uid)
