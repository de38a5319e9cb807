"""For tests of media storage: masters on the device's disk, volumes that fail on purpose, FAT images as media.

Rules of this file: a volume here passes every operation on; what it adds is only when one of them fails.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from modality.media import CODES, MediaError, Options, add
from modality.media.volume import FILE, FOLDER, Found, HostVolume, Names, Space
from tests.lab.elements import DataSet
from tests.lab.media import START, FileSet, object_file
from tests.lab.products.facts import PERSONS
from tests.lab.products.mx1 import Picture, Scan, image

DEVICE = {"uid": "1.2.392.200036.9107.804", "version": "KM_SMGMX1_1.00"}
PICTURES = (
    Picture("us", number=1),
    Picture("us", number=2),
    Picture("clip", number=1),
    Picture("sc", number=1),
)


def masters(
    folder: Path,
    person: str = "default",
    pictures: tuple[Picture, ...] = PICTURES,
    number: int = 1,
    change: Callable[[DataSet], object] | None = None,
) -> list[Path]:
    """Write the objects of an exam as the device keeps them; *change* may alter each."""
    folder.mkdir(parents=True, exist_ok=True)
    scan = Scan(PERSONS[person], number=number, start=START + number)
    made = []
    for picture in pictures:
        ds = image(scan, picture, "1.20")
        if change is not None:
            change(ds)
        path = folder / f"{person}-{number}-{picture.kind}-{picture.number}-{picture.syntax[-3:]}.dcm"
        path.write_bytes(object_file(ds, picture.syntax, **DEVICE))
        made.append(path)
    return made


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Through:
    """Passes every operation on to another volume, after :meth:`before` has seen it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.count = 0

    def before(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Called before each operation with its number in ``count``; may raise OSError."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._inner, name)

        def call(*arguments: Any, **more: Any) -> Any:
            self.count += 1
            self.before(name, arguments)
            return function(*arguments, **more)

        return call


class Failing(Through):
    """Fails at one operation, by its number from 1, or from there on."""

    def __init__(self, inner: Any, at: int, number: int = errno.EIO, *, forever: bool = False) -> None:
        super().__init__(inner)
        self._at, self._number, self._forever = at, number, forever
        self.failed = ""

    def before(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Fail when it is time; handles can always be given back."""
        if name == "close_file" and not self._forever:
            return
        if self.count == self._at or (self._forever and self.count > self._at):
            self.failed = self.failed or name
            raise OSError(self._number, "on purpose")


class FatMedium:
    """A volume in an image, as :class:`modality.media.volume.Volume`."""

    def __init__(self, volume: FatVolume) -> None:
        self.volume = volume

    def names(self, folder: Names) -> list[str]:
        return self.volume.listdir(_path(folder))

    def find(self, path: Names) -> Found | None:
        try:
            about = self.volume.stat(_path(path))
        except FileNotFoundError:
            return None
        return Found(FOLDER if about.is_dir else FILE, about.size)

    def space(self) -> Space:
        about = self.volume.statfs()
        return Space(about.free_bytes, about.block_size)

    def make_folder(self, path: Names) -> None:
        self.volume.mkdir(_path(path))

    def remove_folder(self, path: Names) -> None:
        self.volume.rmdir(_path(path))

    def create(self, path: Names) -> int:
        return self.volume.create(_path(path))

    def open(self, path: Names, *, change: bool = False) -> int:
        return self.volume.open(_path(path))

    def read(self, handle: int, offset: int, length: int) -> bytes:
        return self.volume.read(handle, offset, length)

    def write(self, handle: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        assert self.volume.write(handle, offset, data) == len(data)

    def sync(self, handle: int) -> None:
        self.volume.fsync(handle)

    def sync_data(self, handle: int) -> None:
        self.volume.device.flush()  # the engine writes data at once; as Linux's FAT driver, without the entry

    def sync_folder(self, path: Names) -> None:
        self.volume.fsync(None)

    def close_file(self, handle: int) -> None:
        self.volume.close(handle)

    def rename(self, old: Names, new: Names) -> None:
        self.volume.rename(_path(old), _path(new))

    def remove(self, path: Names) -> None:
        self.volume.unlink(_path(path))


def _path(names: Names) -> str:
    return "/" + "/".join(names)


@contextmanager
def mounted(image_file: Path, before: Callable[[BlockDevice], object] | None = None) -> Iterator[FatMedium]:
    """A FAT image as a medium; *before* may set faults of the device once it is mounted."""
    device = BlockDevice(image_file)
    volume = FatVolume.mount(device)
    if before is not None:
        before(device)
    try:
        yield FatMedium(volume)
    finally:
        if device.last_yank is None:
            volume.unmount()
        else:
            volume.abandon()
        device.close()


__all__ = ["DEVICE", "PICTURES", "Failing", "FatMedium", "FileSet", "Through", "masters", "mounted", "tree"]


class Told(Through):
    """Keeps the operations in their order."""

    def __init__(self, inner: HostVolume) -> None:
        super().__init__(inner)
        self.done: list[tuple[str, object]] = []

    def before(self, name: str, arguments: tuple[object, ...]) -> None:
        """Note it."""
        self.done.append((name, arguments[0] if arguments else None))


def refused(code: str, medium: Path, images: list[Path], what=add, **options: object) -> str:  # type: ignore[no-untyped-def]
    """Expect a refusal that changes nothing on the medium; what the operator is told."""
    before = tree(medium) if medium.is_dir() else {}
    with pytest.raises(MediaError) as caught:
        what(medium, images, Options(**options))  # type: ignore[arg-type]
    assert caught.value.code == code
    assert code in CODES
    assert caught.value.text.endswith(".")
    assert (tree(medium) if medium.is_dir() else {}) == before
    return caught.value.text
