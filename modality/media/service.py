"""Export Image Files (FSC) and Add Image Files (FSU) of the statement (MX-MED-003, 004).

Rules of this file:

* Nothing is written before it is certain that all of it has room and that what is there is understood.
* What an earlier, interrupted operation of this device left on the medium is cleared up first, and nothing else.
* Export never replaces a file-set (MX-D-24); add makes one where there is none (MX-D-23).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from . import directory as directories
from .elements import BadElements
from .journal import Journal, Note, marked, new_token, take_back
from .layout import Tree
from .master import read_master
from .model import MediaError, Options, Progress, Saved, Stop
from .names import NameGiver, normal
from .planning import Plan, choose, plan, sources_of
from .volume import FILE, HostVolume, Names, Volume, explained, settle
from .work import Work
from .writing import Writer

_NAME: Final = "DICOMDIR"
_DAY: Final = 86_400


def export(
    root: Path, instances: Sequence[Path], options: Options | None = None, progress: Progress | None = None
) -> Saved:
    """Write a new file-set on a medium that has none.

    Args:
        root: where the medium is mounted.
        instances: PS3.10 files on the device.

    Raises:
        MediaError: with what the operator has to know; the images are on the device as before.
    """
    with HostVolume(root) as volume:
        return save(volume, instances, options or Options(), progress, root=root, new=True)


def add(
    root: Path, instances: Sequence[Path], options: Options | None = None, progress: Progress | None = None
) -> Saved:
    """Add to the file-set that is on a medium; arguments and errors as of :func:`export`."""
    with HostVolume(root) as volume:
        return save(volume, instances, options or Options(), progress, root=root, new=False)


def save(
    volume: Volume,
    instances: Sequence[Path],
    options: Options,
    progress: Progress | None = None,
    *,
    root: Path | None = None,
    new: bool,
) -> Saved:
    """Do one of both on a volume; *root* is looked at to tell a medium that was pulled from one that is broken."""
    if not instances:
        raise MediaError("nothing", "There are no images to be written.")
    try:
        journal = Journal(options.state)
        with tempfile.TemporaryDirectory(prefix="spool-", dir=_swept(options.state)) as spool:
            return _Operation(volume, options, progress, root, journal, Path(spool)).run(instances, new)
    except OSError as error:  # those of the medium are told within
        raise MediaError("image", f"The device's own disk cannot be used ({error.strerror}).") from error


def _swept(state: Path | None) -> Path | None:
    """Throw away what encoding left behind when the device was switched off."""
    if state is not None:
        for old in state.glob("spool-*"):
            with suppress(OSError):
                if time.time() - old.stat().st_mtime > _DAY:
                    shutil.rmtree(old, ignore_errors=True)
    return state


def _stopped() -> MediaError:
    return MediaError("interrupted", "Writing was stopped. Nothing was changed on the medium.")


class _Operation:
    """One export or add."""

    def __init__(
        self,
        volume: Volume,
        options: Options,
        progress: Progress | None,
        root: Path | None,
        journal: Journal,
        spool: Path,
    ) -> None:
        self._volume = volume
        self._options = options
        self._work = Work(progress)
        self._root = root
        self._journal = journal
        self._spool = spool

    def run(self, instances: Sequence[Path], new: bool) -> Saved:
        """All of it."""
        volume, options = self._volume, self._options
        try:
            root, name, old = self._look()
        except OSError as error:
            raise explained(error, self._root, "unreadable") from error
        if old is not None and new:
            raise MediaError(
                "exists", "There are DICOM images on the medium already: add to them, or use an empty medium."
            )
        masters = [read_master(path) for path in instances]
        base = directories.empty(options.file_set_id, f"2.25.{uuid.uuid4().int}")
        tree = Tree(base if old is None else directories.read(old))
        notes = tree.directory.notes
        try:
            wanted, skipped, told = choose(volume, masters, tree, root, options, self._spool, self._work)
            notes += told
            if not wanted and old is not None:
                return Saved("add", (), hashlib.sha256(old).hexdigest(), tuple(skipped))
            sources = sources_of(wanted, options, self._spool, self._work)
            any_case = self._any_case(root, name)
            giver = NameGiver(volume, old or b"", root, any_case=any_case)
            made = plan(volume, tree, wanted, sources, options, giver)
        except OSError as error:
            raise explained(error, self._root, "unreadable") from error
        except BadElements as error:
            raise directories.broken(error) from error
        except Stop:
            raise _stopped() from None
        # DICOMDIRs of others may lack the identifier of the file-set, which has to be there.
        instance = tree.directory.instance or base.instance
        data = tree.encode(instance, options.implementation)
        if len(data) > directories.LARGEST or len(tree) > directories.MOST:
            raise MediaError(
                "full", "There are too many images in the DICOMDIR of the medium: use another one."
            )
        self._room(made, len(data))
        writer = self._write(made, data, (name,), old is None)
        return Saved(
            "export" if old is None else "add",
            tuple(writer.saved),
            writer.directory_sha256,
            tuple(skipped),
            notes,
        )

    # -- before

    def _look(self) -> tuple[list[str], str, bytes | None]:
        """Clear up, and read what is there: the names of the root, what the DICOMDIR is called, its bytes."""
        volume = self._volume
        root = volume.names(())
        name, data = self._directory(root)
        again = False
        for note in self._journal.notes():
            if marked(volume, note, root):
                take_back(volume, note, data)
                self._journal.forget(note)
                again = True
        if again:
            root = volume.names(())
            name, data = self._directory(root)
        return root, name, data

    def _directory(self, root: list[str]) -> tuple[str, bytes | None]:
        volume = self._volume
        there = [name for name in root if normal(name) == _NAME]
        if not there:
            return _NAME, None
        if len(there) > 1 or there[0].upper() != _NAME:
            raise MediaError(
                "foreign-unsupported",
                f"The medium has a strange DICOMDIR ({', '.join(ascii(name) for name in sorted(there)[:3])}). "
                "Nothing was changed on it; use another one.",
            )
        names = (there[0],)
        about = volume.find(names)
        if about is None:
            return _NAME, None
        if about.kind != FILE:
            raise MediaError("unreadable", "DICOMDIR on the medium is not a file. Nothing was changed on it.")
        if about.size > directories.LARGEST:
            raise MediaError(
                "foreign-damaged",
                f"The DICOMDIR on the medium is {about.size // 1_000_000} MB large, which cannot be right. "
                "Nothing was changed on it; use another one.",
            )
        handle = volume.open(names)
        try:
            return there[0], volume.read(handle, 0, about.size)
        finally:
            volume.close_file(handle)

    def _any_case(self, root: list[str], name: str) -> bool:
        """Tell whether the medium finds names in any case, as FAT does."""
        if name not in root:
            return False
        other = name.lower() if name.lower() != name else name.upper()
        return other not in root and self._volume.find((other,)) is not None

    def _room(self, made: Plan, directory: int) -> None:
        try:
            space = self._volume.space()
        except OSError as error:
            raise explained(error, self._root) from error
        unit = max(space.cluster, 512)
        sizes = [file.source.size for file in made.files]
        entries = 64 * (len(sizes) + len(made.folders))
        need = sum(-(-size // unit) * unit for size in (*sizes, directory, entries))
        need += unit * (len(made.folders) + 1)  # and the marker
        if need > space.free:
            raise MediaError(
                "full",
                f"The medium is full: {need / 1e6:.1f} MB are needed, {space.free / 1e6:.1f} MB are free. "
                "Nothing was changed on it.",
            )
        self._work.guess(0)
        self._work.more(sum(sizes) + directory)

    # -- the change

    def _write(self, made: Plan, data: bytes, target: Names, fresh: bool) -> Writer:
        note = Note(
            new_token(),
            tuple((f.names, f.file_id.replace("/", "\\"), f.sop_instance) for f in made.files),
            tuple(made.folders),
            target if fresh else (),
        )
        writer = Writer(self._volume, note, self._journal, verify=self._options.verify, tell=self._work.tell)
        try:
            try:
                writer.write(made, data, target)
            except OSError:
                if not self._in_place(writer, note, data, target):
                    raise
            with suppress(OSError):  # the file-set is whole; the marker goes the next time
                writer.end()
            return writer
        except OSError as error:
            self._undo(writer, note)
            raise explained(error, self._root) from error
        except Stop:
            self._undo(writer, note)
            raise _stopped() from None
        except BaseException:
            self._undo(writer, note)
            raise

    def _in_place(self, writer: Writer, note: Note, data: bytes, target: Names) -> bool:
        """Tell whether the new directory stands durably where it should although the last step had an error."""
        volume = self._volume
        if not writer.replaced:
            return False
        with suppress(OSError, MediaError):
            settle(volume, target)
            root = volume.names(())
            return note.draft[0] not in root and self._directory(root)[1] == data
        return False

    def _undo(self, writer: Writer, note: Note) -> None:
        """Take back what can be; the rest is done when the medium comes again."""
        if not writer.begun:
            self._journal.forget(note)
            return
        with suppress(OSError, MediaError):
            _, data = self._directory(self._volume.names(()))
            take_back(self._volume, note, data)
            self._journal.forget(note)
