"""The steps in which a medium is changed, so that at every moment the old or the new file-set is on it.

The steps::

    note on the device's disk, marker on the medium
    image files, still without the prefix DICM       written, durable, read back
    the new DICOMDIR under another name, likewise    written, durable, read back
    the prefixes, all of them                        written, durable
    an empty DICOMDIR where there was none
    the new DICOMDIR takes the old one's place       one entry of a folder changes
    marker and note are removed

Rules of this file:

* A file without its prefix is no DICOM file: what is left of an interrupted operation is taken for an image by nobody.
* Between the first prefix and the new DICOMDIR a medium may be pulled out with images on it that no record names.  FAT
  has no way to change two sectors at once, so nothing is written there but one sector for each prefix: times of files
  wait, and files stay open, until the DICOMDIR is in its place.
* The other order, the DICOMDIR before the prefixes, would name files that are not whole: never.
* The old DICOMDIR is held open until the new one is durable: its clusters are not free before.
* Files are made durable in batches: the first of a batch brings most of the others along.
* Nothing that was there is opened for writing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from .journal import Journal, Note
from .model import MediaError, SavedFile
from .planning import Plan, PlannedFile
from .source import Source, unreadable
from .volume import Names, Volume, settle

PIECE: Final = 1 << 20
BATCH: Final = 32
_HELD: Final = 256
"""Files that are open at once while they get their prefix."""
_BATCH_BYTES: Final = 64 << 20
PREFIX: Final = 128
_MAGIC: Final = b"DICM"

Tell = Callable[[int], None]


class Writer:
    """Writes one plan on one medium."""

    def __init__(self, volume: Volume, note: Note, journal: Journal, *, verify: bool, tell: Tell) -> None:
        self._volume = volume
        self._note = note
        self._journal = journal
        self._verify = verify
        self._tell = tell
        self.begun = False
        """Something may be on the medium."""
        self.saved: list[SavedFile] = []
        self.directory_sha256 = ""
        self.replaced = False
        """The new directory may be in its place."""

    def write(self, plan: Plan, directory: bytes, target: Names) -> None:
        """Do all steps; errors of the medium are OSErrors."""
        volume, note = self._volume, self._note
        if self._journal.folder is not None:
            try:
                self._journal.keep(note)
            except OSError as error:
                raise MediaError(
                    "image", f"The device's own disk cannot be written ({error.strerror})."
                ) from error
            self.begun = True
            _put(volume, note.marker, note.marking())
            volume.sync_folder(())
        self.begun = True
        for folder in plan.folders:
            volume.make_folder(folder)
        with ThreadPoolExecutor(1, "digest") as self._beside:
            whole = self._beside.submit(lambda: hashlib.sha256(directory).hexdigest())
            self.saved = self._files(plan.files)
            self.directory_sha256 = whole.result()
        for folder in dict.fromkeys([f.names[:-1] for f in plan.files] + [f[:-1] for f in plan.folders]):
            volume.sync_folder(folder)
        self._draft(directory)
        self._exchange([*(file.names for file in plan.files), note.draft], target)

    def end(self) -> None:
        """Take the marker away and forget."""
        if self._journal.folder is not None:
            self._volume.remove(self._note.marker)
            self._volume.sync_folder(())
            self._journal.forget(self._note)

    def _files(self, files: Sequence[PlannedFile]) -> list[SavedFile]:
        saved: list[SavedFile] = []
        at = 0
        while at < len(files):
            batch: list[PlannedFile] = []
            size = 0
            while at < len(files) and len(batch) < BATCH and (not batch or size < _BATCH_BYTES):
                batch.append(files[at])
                size += files[at].source.size
                at += 1
            saved += self._batch(batch)
        return saved

    def _batch(self, files: Sequence[PlannedFile]) -> list[SavedFile]:
        volume = self._volume
        handles: list[int] = []
        digests: list[Future[str]] = []
        wholes: list[bytearray | None] = []
        try:
            for file in files:
                handle = volume.create(file.names)
                handles.append(handle)
                whole = self._copy(handle, file.source, digests)
                wholes.append(whole)
            for handle in handles:
                volume.sync(handle)
            for file, handle, whole, digest in zip(files, handles, wholes, digests, strict=True):
                if self._verify and not self._same(handle, file.source.size, whole, digest):
                    raise MediaError(
                        "io",
                        f"What was written to the medium reads otherwise ({file.file_id}): it is defective.",
                    )
        finally:
            for handle in handles:
                with suppress(OSError):
                    volume.close_file(handle)
        return [
            SavedFile(f.file_id, f.sop_class, f.sop_instance, f.syntax, digest.result(), f.source.size)
            for f, digest in zip(files, digests, strict=True)
        ]

    def _copy(self, handle: int, source: Source, digests: list[Future[str]]) -> bytearray | None:
        """Write a file without its prefix; note its SHA-256 as it will be; return all that was written when it is
        little."""
        try:
            own = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(source, error.strerror) from error
        try:
            left, at, offset = source.length, source.offset, 0
            digest = None
            while True:
                want = min(left, PIECE)
                piece = (
                    bytearray(want) if offset or not source.start else bytearray(source.start) + bytes(want)
                )
                try:
                    got = os.preadv(own, [memoryview(piece)[len(piece) - want :]], at) if want else 0
                except OSError as error:
                    raise unreadable(source, error.strerror) from error
                if got < want:
                    raise unreadable(source, "it is shorter than it was")
                left -= want
                at += want
                if not offset:
                    piece[PREFIX : PREFIX + 4] = bytes(4)
                    if not left:
                        # The digest is made beside the writing: it takes longer on many machines.
                        digests.append(self._beside.submit(_digest, piece))
                        self._volume.write(handle, 0, piece)
                        self._tell(len(piece))
                        return piece
                    digest = _begun(piece)
                elif digest is not None:
                    digest.update(piece)
                self._volume.write(handle, offset, piece)
                self._tell(len(piece))
                offset += len(piece)
                if not left:
                    break
        finally:
            os.close(own)
        done: Future[str] = Future()
        done.set_result(digest.hexdigest() if digest is not None else "")
        digests.append(done)
        return None

    def _same(self, handle: int, size: int, whole: bytearray | None, wanted: Future[str]) -> bool:
        """Read a file back, which still lacks its prefix."""
        volume = self._volume
        if whole is not None:
            return volume.read(handle, 0, size + 1) == whole
        digest = _begun(bytearray(volume.read(handle, 0, PIECE)))
        for at in range(PIECE, size, PIECE):
            self._tell(0)  # nothing more is written, but the operator may stop it
            digest.update(volume.read(handle, at, min(PIECE, size - at)))
        return digest.hexdigest() == wanted.result()

    def _draft(self, directory: bytes) -> None:
        bare = bytearray(directory)
        bare[PREFIX : PREFIX + 4] = bytes(4)
        volume = self._volume
        handle = volume.create(self._note.draft)
        try:
            for at in range(0, len(bare), PIECE):
                volume.write(handle, at, memoryview(bare)[at : at + PIECE])
            volume.sync(handle)
            if volume.read(handle, 0, len(bare) + 1) != bare:
                raise MediaError("io", "What was written to the medium reads otherwise: it is defective.")
        finally:
            with suppress(OSError):
                volume.close_file(handle)
        volume.sync_folder(())
        self._tell(len(bare))

    def _exchange(self, bare: Sequence[Names], target: Names) -> None:
        """Give all files their prefixes, and the new directory the old one's place."""
        volume, note = self._volume, self._note
        held: list[int] = []
        try:
            if not note.place:
                held.append(volume.open(target))
            for at in range(0, len(bare), _HELD):
                lot = bare[at : at + _HELD]
                handles = [self._opened(names, held) for names in lot]
                for handle in handles:
                    volume.write(handle, PREFIX, _MAGIC)
                for handle in handles:
                    volume.sync_data(handle)
                if at + _HELD < len(bare):
                    for handle in handles:
                        held.remove(handle)
                        volume.close_file(handle)
            if note.place:
                # A renaming onto a name that is there changes one sector where one to a new name changes two.
                held.append(volume.create(note.place))
            self.replaced = True
            volume.rename(note.draft, target)
            settle(volume, target)
        finally:
            for handle in held:
                with suppress(OSError):
                    volume.close_file(handle)

    def _opened(self, names: Names, held: list[int]) -> int:
        handle = self._volume.open(names, change=True)
        held.append(handle)
        return handle


def _put(volume: Volume, names: Names, data: bytes) -> None:
    handle = volume.create(names)
    try:
        volume.write(handle, 0, data)
        volume.sync(handle)
    finally:
        with suppress(OSError):
            volume.close_file(handle)


def _begun(piece: bytearray) -> hashlib._Hash:
    """The SHA-256 of a first piece as it will be with its prefix."""
    digest = hashlib.sha256(memoryview(piece)[:PREFIX])
    digest.update(_MAGIC)
    digest.update(memoryview(piece)[PREFIX + 4 :])
    return digest


def _digest(piece: bytearray) -> str:
    return _begun(piece).hexdigest()
