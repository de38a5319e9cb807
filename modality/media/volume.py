"""Every operation that media storage makes on a medium, and nothing else of it.

Rules of this file:

* Paths are tuples of names below the root; symbolic links are never followed below it, whatever they point to.
* A handle is a number; data goes through :meth:`Volume.read` and :meth:`Volume.write` with explicit offsets.
* Errors are OSErrors with their errno; :func:`explained` turns them into sentences for the operator.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from .model import MediaError

Names = tuple[str, ...]

FILE: Final = "file"
FOLDER: Final = "folder"
OTHER: Final = "other"
_GONE: Final = frozenset((errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ESTALE, errno.ENOMEDIUM))
_PROTECTED: Final = frozenset((errno.EROFS, errno.EACCES, errno.EPERM))
_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Found:
    """What a name is: ``file``, ``folder`` or ``other`` (a link, a pipe…), and its size in bytes."""

    kind: str
    size: int


@dataclass(frozen=True, slots=True)
class Space:
    """Free bytes, and the unit in which files take room."""

    free: int
    cluster: int


class Volume(Protocol):
    """A medium that is in; every call may raise OSError."""

    def names(self, folder: Names) -> list[str]:
        """The names in a folder, in any order."""

    def find(self, path: Names) -> Found | None:
        """What a path is; None when there is nothing."""

    def space(self) -> Space:
        """How much room there is."""

    def make_folder(self, path: Names) -> None:
        """Make a folder that is not there."""

    def remove_folder(self, path: Names) -> None:
        """Remove an empty folder."""

    def create(self, path: Names) -> int:
        """Make a file that is not there, to be written and read; return its handle."""

    def open(self, path: Names, *, change: bool = False) -> int:
        """Open a file that is there."""

    def read(self, handle: int, offset: int, length: int) -> bytes:
        """Read up to so many bytes; less only at the end of the file."""

    def write(self, handle: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write all."""

    def sync(self, handle: int) -> None:
        """Make a file durable."""

    def sync_data(self, handle: int) -> None:
        """Make what was written into a file durable, where neither its size nor its place has changed."""

    def sync_folder(self, path: Names) -> None:
        """Make the names of a folder durable."""

    def close_file(self, handle: int) -> None:
        """Give a handle back."""

    def rename(self, old: Names, new: Names) -> None:
        """Give a file another name, over the one that is there."""

    def remove(self, path: Names) -> None:
        """Remove a file."""


class HostVolume:
    """A medium that is mounted in a folder of the host."""

    def __init__(self, root: Path) -> None:
        """Enter it.

        Raises:
            MediaError: no-medium, not-a-directory, unreadable.
        """
        self.root = root
        try:
            top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise MediaError("no-medium", "There is no medium: insert a USB stick or SD card.") from None
        except NotADirectoryError:
            raise MediaError("not-a-directory", f"{root} is no medium: it is not a folder.") from None
        except OSError as error:
            raise explained(error, None, "unreadable") from error
        self._folders: dict[Names, int] = {(): top}

    def close(self) -> None:
        """Leave it; idempotent."""
        while self._folders:
            _, handle = self._folders.popitem()
            with suppress(OSError):
                os.close(handle)

    def __enter__(self) -> HostVolume:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _folder(self, path: Names) -> int:
        known = self._folders.get(path)
        if known is not None:
            return known
        above = self._folder(path[:-1])
        handle = os.open(_name(path), os.O_RDONLY | os.O_DIRECTORY | _FLAGS, dir_fd=above)
        self._folders[path] = handle
        return handle

    def names(self, folder: Names) -> list[str]:
        """See :class:`Volume`."""
        return os.listdir(self._folder(folder))

    def find(self, path: Names) -> Found | None:
        """See :class:`Volume`."""
        try:
            about = os.stat(_name(path), dir_fd=self._folder(path[:-1]), follow_symlinks=False)
        except FileNotFoundError:
            return None
        mode = about.st_mode
        kind = FILE if stat.S_ISREG(mode) else FOLDER if stat.S_ISDIR(mode) else OTHER
        return Found(kind, about.st_size)

    def space(self) -> Space:
        """See :class:`Volume`."""
        about = os.fstatvfs(self._folders[()])
        unit = about.f_frsize or about.f_bsize or 512
        return Space(about.f_bavail * unit, max(unit, about.f_bsize if about.f_bsize <= 1 << 18 else unit))

    def make_folder(self, path: Names) -> None:
        """See :class:`Volume`."""
        os.mkdir(_name(path), 0o755, dir_fd=self._folder(path[:-1]))

    def remove_folder(self, path: Names) -> None:
        """See :class:`Volume`."""
        held = self._folders.pop(path, None)
        if held is not None:
            os.close(held)
        os.rmdir(_name(path), dir_fd=self._folder(path[:-1]))

    def create(self, path: Names) -> int:
        """See :class:`Volume`."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS
        return os.open(_name(path), flags, 0o644, dir_fd=self._folder(path[:-1]))

    def open(self, path: Names, *, change: bool = False) -> int:
        """See :class:`Volume`."""
        flags = (os.O_RDWR if change else os.O_RDONLY) | os.O_NONBLOCK | _FLAGS
        handle = os.open(_name(path), flags, dir_fd=self._folder(path[:-1]))
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "not a file")
        return handle

    def read(self, handle: int, offset: int, length: int) -> bytes:
        """See :class:`Volume`."""
        data = os.pread(handle, length, offset)
        if len(data) in (0, length):
            return data
        parts = [data]
        done = len(data)
        while done < length and (data := os.pread(handle, length - done, offset + done)):
            parts.append(data)
            done += len(data)
        return b"".join(parts)

    def write(self, handle: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        """See :class:`Volume`."""
        view = memoryview(data)
        while view:
            done = os.pwrite(handle, view, offset)
            view = view[done:]
            offset += done

    def sync(self, handle: int) -> None:
        """See :class:`Volume`; the host's memory of the file goes, so that it can be read back from the medium."""
        os.fsync(handle)
        with suppress(OSError):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync_data(self, handle: int) -> None:
        """See :class:`Volume`; Linux's FAT driver then leaves out the entry, with its times."""
        os.fdatasync(handle)

    def sync_folder(self, path: Names) -> None:
        """See :class:`Volume`; a file system that knows no such thing does without."""
        try:
            os.fsync(self._folder(path))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
                raise

    def close_file(self, handle: int) -> None:
        """See :class:`Volume`."""
        os.close(handle)

    def rename(self, old: Names, new: Names) -> None:
        """See :class:`Volume`."""
        os.rename(
            _name(old), _name(new), src_dir_fd=self._folder(old[:-1]), dst_dir_fd=self._folder(new[:-1])
        )

    def remove(self, path: Names) -> None:
        """See :class:`Volume`."""
        os.unlink(_name(path), dir_fd=self._folder(path[:-1]))


def settle(volume: Volume, names: Names) -> None:
    """Make a renaming durable: Linux's FAT driver writes the new entry with the file, not with its folder."""
    handle = volume.open(names, change=True)
    try:
        volume.sync(handle)
    finally:
        with suppress(OSError):
            volume.close_file(handle)
    volume.sync_folder(names[:-1])


def _name(path: Names) -> str:
    """The last name of a path, which must be a plain one."""
    name = path[-1]
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise OSError(errno.EINVAL, "no name of a file")
    return name


def _gone(root: Path, otherwise: str) -> bool:
    """Tell whether a medium is not there any more.  One that never could be read is not gone."""
    try:
        return not stat.S_ISDIR(os.stat(root).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return otherwise == "io"


def explained(error: OSError, root: Path | None, otherwise: str = "io") -> MediaError:
    """Say to the operator what an error of the medium means."""
    number = error.errno
    if root is not None and _gone(root, otherwise):
        return MediaError("interrupted", "The medium was pulled out. The images are still on the device.")
    if number in _FULL:
        return MediaError("full", "The medium is full. Nothing was changed on it.")
    if number in _PROTECTED:
        return MediaError("protected", "The medium is write-protected.")
    if number in _GONE:
        return MediaError("interrupted", "The medium was pulled out. The images are still on the device.")
    if number == errno.ELOOP:
        return MediaError(
            "unreadable", "A symbolic link stands on the medium where a file or folder should be."
        )
    if number in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL):
        return MediaError(
            "unreadable", "Something else stands on the medium where a file or folder should be."
        )
    why = os.strerror(number) if number else "unknown error"
    return MediaError(
        otherwise,
        f"The medium cannot be {'read' if otherwise == 'unreadable' else 'accessed'} ({why}): "
        "it may be damaged or pulled out. The images are still on the device.",
    )
