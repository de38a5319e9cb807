"""A medium and its coming and going: mounted through FUSE, or a plain folder where that cannot be had.

The third way, behind the kernel's own file system, is :mod:`bench.volumes.block`.

Rules of this file:

* Where the medium appears, it appears at once and whole; a folder of that name is there only while it is in.
* Taking it out properly writes everything, and refuses as long as somebody uses it; pulling it out asks nobody.
* Nothing remains: neither a mount nor the folder, whatever the product left open.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from bench.volumes import mounting
from bench.volumes.config import Config
from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.fatnames import fold
from bench.volumes.files import FatFiles, NoFiles, Note
from bench.volumes.fuse import Server

END_S: Final = 2.0
"""How long stopping waits for the product to let go before the mount is detached."""


class Busy(Exception):
    """The medium is still in use; the text says by whom."""


class Medium(Protocol):
    """What the actor does with a medium."""

    def insert(self, note: Note) -> str:
        """Show the medium; returns why it cannot be read, empty if it can."""

    def remove(self, seconds: float, *, force: bool = False) -> str:
        """Take it out properly; returns what could not be written, else empty; raises :class:`Busy`."""

    def vanish(self) -> list[str]:
        """Take it away after it was pulled out; returns names of what was left at its place."""

    def leave(self, free: int | None) -> Mapping[str, Any] | None:
        """Leave only so many bytes free (None: all that are); where that is felt at once, else None."""

    def free(self) -> int | None:
        """Bytes that are free now; None if that is not known."""

    def close(self) -> None:
        """End everything that still serves somebody."""


def take_away(place: Path) -> list[str]:
    """Remove the folder of a medium that is out; names of what somebody put there meanwhile are returned.

    Whoever still writes there finds nothing any more: the folder goes at once, with all that is in it.
    """
    try:
        place.rmdir()
        return []
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    aside = place.with_name(f".{place.name}.left")
    shutil.rmtree(aside, ignore_errors=True)
    place.rename(aside)
    left = sorted(os.listdir(aside))[:10]
    shutil.rmtree(aside, ignore_errors=True)
    return left


class Mounted:
    """A medium mounted through FUSE, over the FAT volume on a device."""

    def __init__(self, config: Config, device: BlockDevice, trouble: Callable[[str], None]) -> None:
        self._config = config
        self._device = device
        self._trouble = trouble
        self._server: Server | None = None
        self._old: list[Server] = []
        self.volume: FatVolume | None = None

    def insert(self, note: Note) -> str:
        read_only = self._device.protected
        why = ""
        files: FatFiles | NoFiles
        try:
            self.volume = FatVolume.mount(self._device, read_only=read_only)
            files = FatFiles(self.volume, self._device, note)
        except OSError as error:
            why = error.strerror or str(error)
            files = NoFiles(why)
        server = Server(files, source=self._config.name, on_trouble=self._trouble)
        place = self._config.mount
        try:
            place.mkdir(parents=True)
            try:
                server.mount(place, read_only=read_only)
            except OSError:
                take_away(place)
                raise
        except OSError:
            self._forget()
            raise
        self._server = server
        return why

    def remove(self, seconds: float, *, force: bool = False) -> str:
        server, place = self._server, self._config.mount
        if server is None:
            return ""
        why = ""
        with server.lock:
            if self.volume is not None and not self.volume.read_only:
                with contextlib.suppress(OSError):  # told once more, and counted, when it is unmounted
                    self.volume.fsync(None)
        if not mounting.unmount_within(place, seconds):
            if not force:
                using = ", ".join(str(holder) for holder in mounting.holders(place)[:5])
                raise Busy(f"{self._config.name} is still in use: {using or 'by a process nobody can see'}")
            why = "somebody still used it"
            mounting.detach(place)
        server.join(END_S if not force else 0.1)
        server.close()
        self._server = None
        if self.volume is not None:
            try:
                self.volume.unmount()
            except OSError as error:
                why = f"not everything could be written: {error.strerror}"
            self._forget()
        take_away(place)
        return why

    def vanish(self) -> list[str]:
        server, self._server = self._server, None
        place = self._config.mount
        mounting.detach(place)
        left = take_away(place)
        self._forget()
        if server is not None:
            # Whoever has files open gets EIO from it until it closes them.
            if server.join(0.2):
                server.close()
            else:
                self._old.append(server)
        return left

    def leave(self, free: int | None) -> Mapping[str, Any] | None:
        if self.volume is not None:
            self.volume.leave(free)
        return None

    def free(self) -> int | None:
        if self.volume is not None:
            with contextlib.suppress(OSError):
                return self.volume.statfs().free_bytes
        return None

    def close(self) -> None:
        for server in self._old:
            server.close()
        self._old.clear()

    def _forget(self) -> None:
        if self.volume is not None:
            self.volume.abandon()
            self.volume = None


class Plain:
    """A medium as a plain folder; with ``pack``, what it holds goes into the image when it is taken out."""

    def __init__(self, config: Config, device: BlockDevice, *, pack: bool) -> None:
        self._config = config
        self._device = device
        self._pack = pack
        self._aside = config.mount.with_name(f".{config.mount.name}.out")
        self._kept = config.image.with_suffix("")

    def insert(self, note: Note) -> str:
        place = self._config.mount
        shutil.rmtree(self._aside, ignore_errors=True)
        if not self._pack and self._kept.is_dir():
            shutil.copytree(self._kept, self._aside)
        else:
            volume = FatVolume.mount(self._device, read_only=True)
            self._aside.mkdir(parents=True)
            unpack(volume, self._aside)
            volume.abandon()
        self._aside.rename(place)
        return ""

    def remove(self, seconds: float, *, force: bool = False) -> str:
        deadline = time.monotonic() + seconds
        while using := mounting.holders(self._config.mount):
            if time.monotonic() >= deadline:
                if force:
                    break
                raise Busy(f"{self._config.name} is still in use: {', '.join(map(str, using[:5]))}")
            time.sleep(0.02)
        self.vanish()
        return ""

    def vanish(self) -> list[str]:
        place = self._config.mount
        if not place.is_dir():
            return []
        shutil.rmtree(self._aside, ignore_errors=True)
        place.rename(self._aside)
        if self._pack:
            volume = FatVolume.mount(self._device)
            try:
                pack(self._aside, volume)
            finally:
                volume.unmount()
        else:
            shutil.rmtree(self._kept, ignore_errors=True)
            shutil.copytree(self._aside, self._kept)
        shutil.rmtree(self._aside, ignore_errors=True)
        return []

    def leave(self, free: int | None) -> Mapping[str, Any] | None:
        return None

    def free(self) -> int | None:
        return None

    def close(self) -> None:
        shutil.rmtree(self._aside, ignore_errors=True)


def _walk(volume: FatVolume, above: str = "") -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    for name in volume.listdir(above or "/"):
        path = f"{above}/{name}"
        is_dir = volume.stat(path).is_dir
        found.append((path[1:], is_dir))
        if is_dir:
            found += _walk(volume, path)
    return found


def _content(volume: FatVolume, path: str) -> bytes:
    handle = volume.open("/" + path)
    try:
        return volume.read(handle, 0, volume.stat_handle(handle).size)
    finally:
        volume.close(handle)


def unpack(volume: FatVolume, folder: Path) -> None:
    """Copy everything on a volume into a folder; names that would lead out of it are left out."""
    for path, is_dir in _walk(volume):
        if any(part in ("", ".", "..") or "\0" in part for part in path.split("/")):
            continue
        place = folder / path
        if is_dir:
            place.mkdir()
        else:
            place.write_bytes(_content(volume, path))
            mtime = volume.stat("/" + path).mtime
            os.utime(place, (mtime, mtime))


def pack(folder: Path, volume: FatVolume) -> None:
    """Make a volume hold what a folder holds; files that are the same stay where they are.

    Raises:
        OSError: ENOSPC, or a name that FAT does not have.
    """
    from bench.volumes.foreign import put  # slow to import, and seldom wanted

    there = {fold(path): (path, is_dir) for path, is_dir in _walk(volume)}
    here = {
        str(place.relative_to(folder)): place
        for place in sorted(folder.rglob("*"))
        if place.is_dir() or (place.is_file() and not place.is_symlink())
    }
    wanted = {fold(path): place.is_dir() for path, place in here.items()}
    for key, (path, is_dir) in sorted(there.items(), reverse=True):
        if wanted.get(key) is not is_dir:
            (volume.rmdir if is_dir else volume.unlink)("/" + path)
            del there[key]
    for path, place in here.items():
        if place.is_dir():
            if fold(path) not in there:
                volume.mkdir("/" + path)
            continue
        body = place.read_bytes()
        if fold(path) in there:
            if _content(volume, path) == body:
                continue
            volume.unlink("/" + path)
        put(volume, path, body)
        volume.utime("/" + path, place.stat().st_mtime)
