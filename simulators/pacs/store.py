"""The received-object store: every object as it came, in a PS3.10 file of its own (PS3.10 7.1).

Rules of this file:

* Nothing that a peer sent is part of a path: names are our own counter and the beginning of the file's hash.
* A file appears by an atomic rename, whole or not at all; the data set's bytes in it are those of the wire.
* An object costs memory for its small elements only; the same instance sent twice is kept twice.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from simulators.dicom.cutter import Cutter
from simulators.dicom.elements import Bulk
from simulators.pacs.hashing import Chunk, Job, Lane
from simulators.wire.pdu import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

_NAME: Final = re.compile(r"(\d{6,})-[0-9a-f]{16}\.dcm")
_VECTORS: Final = 512


def file_meta(sop_class: str, sop_instance: str, syntax: str, source: str) -> bytes:
    """Preamble, prefix and file meta information (PS3.10 7.1); ``source``: the sender's AE title."""

    def element(number: int, vr: bytes, value: bytes) -> bytes:
        if len(value) & 1:
            value += b"\0" if vr in (b"UI", b"OB") else b" "
        if vr == b"OB":
            return struct.pack("<HH2sHI", 2, number, vr, 0, len(value)) + value
        return struct.pack("<HH2sH", 2, number, vr, len(value)) + value

    def text(value: str) -> bytes:
        return value.encode("ascii", "replace")

    body = b"".join(
        (
            element(0x0001, b"OB", b"\0\1"),
            element(0x0002, b"UI", text(sop_class)),
            element(0x0003, b"UI", text(sop_instance)),
            element(0x0010, b"UI", text(syntax)),
            element(0x0012, b"UI", text(IMPLEMENTATION_CLASS_UID)),
            element(0x0013, b"SH", text(IMPLEMENTATION_VERSION)),
            element(0x0016, b"AE", text(source)),
        )
    )
    return bytes(128) + b"DICM" + element(0, b"UL", struct.pack("<I", len(body))) + body


class Store:
    """A folder of received objects; without a folder they are counted, hashed if wanted, and forgotten."""

    def __init__(self, folder: Path | None, *, hashing: bool) -> None:
        self.folder = folder
        self.hashing = hashing
        self._lock = threading.Lock()
        self._number = 0
        self._lanes: tuple[Lane, Lane] | None = None

    def open(self) -> None:
        """Make the folder, go on after the highest number in it, drop what an earlier end left unfinished."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for entry in os.scandir(self.folder):
            found = _NAME.fullmatch(entry.name)
            if found:
                self._number = max(self._number, int(found[1]))
            elif re.fullmatch(r"\.incoming-\d+", entry.name):
                os.unlink(entry.path)

    def close(self) -> None:
        """End the lanes."""
        with self._lock:
            lanes, self._lanes = self._lanes, None
        for lane in lanes or ():
            lane.stop()

    def lanes(self) -> tuple[Lane, Lane]:
        """The lanes for files and for big values; made when first needed."""
        with self._lock:
            if self._lanes is None:
                self._lanes = (Lane("pacs-hash-file"), Lane("pacs-hash-pixels"))
            return self._lanes

    def receive(self, sop_class: str, sop_instance: str, syntax: str, source: str) -> Incoming:
        """Begin an object."""
        with self._lock:
            self._number += 1
            number = self._number
        return Incoming(self, number, syntax, file_meta(sop_class, sop_instance, syntax, source))

    def path_in_run(self, name: str) -> str:
        """The name of a stored file as events give it: from the run's ``objects`` folder on, when it is in one."""
        if self.folder is None:
            return name
        parts = self.folder.parts
        if "objects" in parts:
            start = len(parts) - 1 - parts[::-1].index("objects")
            return "/".join((*parts[start:], name))
        return name


class Incoming:
    """One object on its way into the store."""

    def __init__(self, store: Store, number: int, syntax: str, meta: bytes) -> None:
        self._store = store
        self._number = number
        self._meta = meta
        self.bytes = 0
        """Bytes of the data set so far."""
        self._held: tuple[bytes, list[Chunk | None]] | None = None
        self._bulk: list[Chunk | None] = []
        self._laned = False
        self._hashing = store.hashing
        self._file_job = Job() if self._hashing else None
        self._bulk_job = Job() if self._hashing else None
        self.cutter = Cutter(syntax, self._bulk.append if self._hashing else None)
        self._temporary: Path | None = None
        self._fd = -1
        if store.folder is not None:
            self._temporary = store.folder / f".incoming-{number}"
            self._fd = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            os.write(self._fd, meta)
        if self._file_job is not None:
            self._file_job.work([meta])

    def add(self, parts: Sequence[memoryview]) -> None:
        """Write and hash fragments; the views are not kept.

        Raises:
            MalformedDataset: this is no data set.
            OSError: it cannot be written.
        """
        size = sum(map(len, parts))
        self.bytes += size
        if not self._hashing:
            if not self.cutter.pass_by(size):
                for part in parts:
                    self.cutter.feed(part)
            self._write(parts, size)
            return
        # One copy: the lanes hash while the receive buffer is filled again.
        chunk = b"".join(parts)
        self.cutter.feed(memoryview(chunk))
        self._write([chunk], size)
        self._hash(chunk)

    def _write(self, parts: Sequence[bytes | memoryview], size: int) -> None:
        if self._fd < 0:
            return
        if len(parts) > _VECTORS:
            parts = [b"".join(parts)]
        written = os.writev(self._fd, parts)
        if written < size:  # a full disk, mostly: the next write says so
            rest = memoryview(b"".join(parts))[written:]
            while rest:
                rest = rest[os.write(self._fd, rest) :]

    def _hash(self, chunk: bytes) -> None:
        pieces, held = list(self._bulk), self._held
        self._bulk.clear()
        if not self._laned and held is None:
            self._held = (chunk, pieces)  # a small object is hashed on the spot, see finish
            return
        self._laned = True
        self._held = None
        files, values = self._store.lanes()
        assert self._file_job is not None
        assert self._bulk_job is not None
        for one, some in [*([held] if held is not None else []), (chunk, pieces)]:
            files.put(self._file_job, [one])
            if some:
                values.put(self._bulk_job, some)

    def finish(self) -> tuple[str | None, dict[int, Bulk]]:
        """The data set is whole: give the file's hash and the big values by their places.

        Raises :class:`~simulators.dicom.elements.MalformedDataset` when it ended too early.
        """
        self.cutter.finish()
        holes = self.cutter.holes
        if self._file_job is None or self._bulk_job is None:
            return None, {at: Bulk(None, length) for at, (_, length) in holes.items()}
        if self._laned:
            files, values = self._store.lanes()
            files.put(self._file_job, [None])
            files.finish(self._file_job)
            values.finish(self._bulk_job)
        else:
            if self._held is not None:
                self._file_job.work([self._held[0]])
                self._bulk_job.work(self._held[1])
            self._file_job.work([None])
            self._file_job.end()
            self._bulk_job.end()
        digest = self._file_job.result()[0]
        digests = self._bulk_job.result()
        bulk = {at: Bulk(one, length) for (at, (_, length)), one in zip(holes.items(), digests, strict=True)}
        return digest, bulk

    def keep(self, digest: str | None) -> str | None:
        """Give the file its name; return it, or ``None`` when objects are discarded."""
        if self._temporary is None or self._store.folder is None:
            return None
        os.close(self._fd)
        self._fd = -1
        name = f"{self._number:06d}-{(digest or '0' * 64)[:16]}.dcm"
        os.rename(self._temporary, self._store.folder / name)
        self._temporary = None
        return name

    def drop(self) -> None:
        """Forget the object; idempotent, and harmless after :meth:`keep`."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = None

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self._meta) + self.bytes
