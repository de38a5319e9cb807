"""What lies on a medium before the product sees it: prepared straight into the image, without a mount.

Rules of this file:

* The same content and seed give the same files; times are those of preparing.
* Files are written by the FAT engine; what no engine would write (bad names, spoilt tables) is put in afterwards by
  changing bytes of the image.
* The order is that of the list, except that ``fill`` comes after all files and ``corrupt-fat`` last.
"""

from __future__ import annotations

import difflib
import errno
import os
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.volumes.device import SECTOR, BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.format import format_image
from bench.volumes.layout import Layout

HUGE: Final = (2 << 30) - (1 << 20)
"""Size of the huge DICOMDIR in bytes: still a file that FAT16 media of 2 GB could hold a part of."""
_BLOCK: Final = 4096
"""Bytes in which file systems of the bench's own machine allocate."""
WORDS: Final = {
    "empty": "nothing",
    "foreign-fileset": "a DICOM file-set of another vendor; foreign-fileset:VARIANT for a special one",
    "corrupt-dicomdir": "a file-set whose DICOMDIR nobody can read",
    "huge-dicomdir": "a DICOMDIR of 2 GB, or as large as the medium takes",
    "dicomdir-is-a-directory": "a folder of the name DICOMDIR",
    "dotdot-names": "a directory entry '..' in the root, and a DICOMDIR that names files outside of the medium",
    "corrupt-fat": "a file allocation table of random bytes",
    "files": "files:N, so many files that have nothing to do with DICOM",
    "fill": "fill:BYTES, so much is left free",
}


@dataclass(frozen=True)
class Content:
    """One thing that lies on a medium: a word of :data:`WORDS` and what stands behind its colon."""

    word: str
    text: str = ""
    number: int = 0


def parse_content(texts: Sequence[Any]) -> tuple[Content, ...]:
    """Check a list of contents; :class:`ValueError` names the wrong one."""
    found: list[Content] = []
    for text in texts:
        word, colon, rest = str(text).partition(":")
        if word not in WORDS:
            near = difflib.get_close_matches(word, WORDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(WORDS)}"
            raise ValueError(f"a medium has no content {str(text)!r}{hint}")
        if word in ("files", "fill"):
            most = 999_999 if word == "files" else 2**41
            if not (rest.isascii() and rest.isdigit() and len(rest) <= 13 and int(rest) <= most):
                raise ValueError(f"content {str(text)!r}: write {word}:NUMBER")
            found.append(Content(word, number=int(rest)))
        elif word == "foreign-fileset":
            from bench.volumes.foreign import VARIANTS

            if rest not in VARIANTS:
                known = ", ".join(name for name in VARIANTS if name)
                raise ValueError(f"there is no foreign file-set {rest!r}; there are {known}")
            found.append(Content(word, rest))
        elif colon:
            raise ValueError(f"content {str(text)!r}: nothing stands behind {word}")
        elif word != "empty":
            found.append(Content(word))
    return tuple(found)


def prepare(
    path: str | os.PathLike[str],
    *,
    size: int,
    fat: Any = "FAT16",
    label: str = "",
    cluster: int | None = None,
    partition: Any = "mbr",
    content: Sequence[Content] = (),
    seed: int = 1,
) -> Layout | None:
    """Make the image of a medium anew and lay its content; returns its layout (None: unformatted).

    Raises:
        ValueError: it cannot be formatted so, or the content does not fit.
    """
    layout = format_image(path, size=size, fat=fat, label=label, cluster=cluster, partition=partition)
    if layout is None or not content:
        return layout
    device = BlockDevice(path, cache_limit=0)
    try:
        volume = FatVolume.mount(device)
        try:
            for item in sorted(content, key=lambda item: item.word == "fill"):
                _LAYERS[item.word](volume, item, seed)
        except OSError as error:
            what = "does not fit" if error.errno == errno.ENOSPC else f"cannot be laid: {error.strerror}"
            raise ValueError(f"content {item.word!r} {what} on a medium of {size} bytes") from error
        finally:
            volume.unmount()
        words = {item.word for item in content}
        if "dotdot-names" in words:
            _dotdot_entry(device, layout)
        if "corrupt-fat" in words:
            _corrupt_fat(device, layout, seed)
    finally:
        device.close()
    return layout


# -- layers: each writes to a mounted volume ---------------------------------------------------------


def _foreign(volume: FatVolume, item: Content, seed: int) -> None:
    from bench.volumes.foreign import make_foreign

    variant = {"corrupt-dicomdir": "garbled-dicomdir", "dotdot-names": "escaping"}.get(item.word, item.text)
    make_foreign(volume, variant, seed)


def _huge(volume: FatVolume, item: Content, seed: int) -> None:
    """A directory that begins rightly and says of itself that it is as long as the file; the rest are zeros."""
    from bench.volumes.foreign import foreign_files

    room = volume.statfs()
    size = min(HUGE, (room.free - 1) * room.block_size)
    head = bytearray(foreign_files("", seed)["DICOMDIR"])
    at = head.index(struct.pack("<HH2s", 0x0004, 0x1220, b"SQ")) + 8
    struct.pack_into("<I", head, at, max(0, size - at - 4))
    handle = volume.create("/DICOMDIR")
    volume.write(handle, 0, bytes(head) + bytes(-len(head) % room.block_size))
    _lengthen(volume, handle, max(size, len(head)))
    volume.close(handle)


def _folder(volume: FatVolume, item: Content, seed: int) -> None:
    from bench.volumes.foreign import put

    put(volume, "DICOMDIR/README.TXT", b"This is a folder.\r\n")


def _dotdot(volume: FatVolume, item: Content, seed: int) -> None:
    from bench.volumes.foreign import put

    _foreign(volume, item, seed)
    put(volume, _PLACEHOLDER, b"outside\r\n")


def _files(volume: FatVolume, item: Content, seed: int) -> None:
    """Pictures of a camera and papers with long names: 1 to 60 KB each."""
    rng = random.Random(seed)  # noqa: S311  # repeatable, not secret
    kept: set[str] = set()
    for index in range(item.number):
        if index % 4 == 3:
            folder, name = f"Documents/{index // 2000:03d}", f"Report of the meeting {index:05d}.txt"
            body = b"meeting\r\n" * rng.randrange(100, 1000)
        else:
            folder, name = f"DCIM/{100 + index // 1000}CAMER", f"IMG_{index:04d}.JPG"
            body = b"\xff\xd8\xff\xe0" + rng.randbytes(rng.randrange(1000, 60_000)) + b"\xff\xd9"
        parts = folder.split("/")
        for depth in range(1, len(parts) + 1):
            above = "/".join(parts[:depth])
            if above not in kept:
                kept.add(above)
                volume.mkdir("/" + above)
        handle = volume.create(f"/{folder}/{name}")
        volume.write(handle, 0, body)
        volume.close(handle)


def _fill(volume: FatVolume, item: Content, seed: int) -> None:
    """Files of zeros until so many bytes are free, down to whole clusters; sparse in the image."""
    volume.mkdir("/FILLER")
    number = 0
    while True:
        room = volume.statfs()
        left = room.free - item.number // room.block_size
        if left <= 0:
            return
        handle = volume.create(f"/FILLER/FILL{number:04d}.BIN")
        _lengthen(volume, handle, min(left, (3 << 30) // room.block_size) * room.block_size)
        volume.close(handle)
        number += 1


def _lengthen(volume: FatVolume, handle: int, size: int) -> None:
    """Lengthen a file with zeros that remain holes of the image: up to a block's border in steps of a cluster, since a
    block that holds data is written, and with it all of the same write."""
    cluster = volume.statfs().block_size
    start = volume.stat_handle(handle).size
    for step in range(start + cluster, min(start + _BLOCK, size), cluster):
        volume.truncate(handle, step)
    volume.truncate(handle, size)


_LAYERS: Final[dict[str, Callable[[FatVolume, Content, int], None]]] = {
    "foreign-fileset": _foreign,
    "corrupt-dicomdir": _foreign,
    "huge-dicomdir": _huge,
    "dicomdir-is-a-directory": _folder,
    "dotdot-names": _dotdot,
    "corrupt-fat": lambda volume, item, seed: _files(volume, Content("files", number=8), seed),
    "files": _files,
    "fill": _fill,
}

# -- bytes of the image ------------------------------------------------------------------------------

_PLACEHOLDER: Final = "DOTDOT00.A0A"
_ENTRY: Final = b"DOTDOT00A0A"
_UP: Final = b"..         "


def _dotdot_entry(device: BlockDevice, layout: Layout) -> None:
    """Rename a file of the root directory to '..', which no root directory has and no engine would write."""
    if layout.root_cluster:
        places = [(layout.cluster_offset(layout.root_cluster), layout.cluster_bytes)]
    else:
        places = [(layout.root_offset, layout.root_sectors * SECTOR)]
    for start, length in places:
        table = device.read(start, length)
        for at in range(0, length, 32):
            if table[at : at + 11] == _ENTRY:
                device.write(start + at, _UP)
                return
    raise ValueError("the root directory has no room for the name '..'")


def _corrupt_fat(device: BlockDevice, layout: Layout, seed: int) -> None:
    """Overwrite both copies of the table behind their first entries, differently, as a failing stick does."""
    rng = random.Random(seed)  # noqa: S311
    for copy in range(layout.fats):
        start = layout.fat_offset(copy)
        length = min(layout.fat_sectors, 8) * SECTOR
        device.write(start + 8, rng.randbytes(length - 8))
