"""A stick is pulled out again and again while images are written, with and without the loss of unflushed writes."""

from __future__ import annotations

import os
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from bench.volumes.device import BlockDevice
from bench.volumes.format import format_image
from bench.volumes.unsynced import Some
from modality.media import MediaError, Options
from modality.media.service import save
from modality.media.volume import Volume
from tests.unit.judged_media import explained, fails, judge
from tests.unit.test_modality_media_lab import FatMedium, Through, masters, mounted

UNTOLD = {"STD-MED-010", "STD-MED-011", "STD-MED-016", "MX-MED-006"}
"""Between the prefixes of the images and the new directory some sectors are written: whole images that no directory
is told of yet."""
POINTS = int(os.environ.get("MODBENCH_YANKS", "24"))
"""How often a stick is pulled out at any byte; ``MODBENCH_YANKS=100`` and more for the long run."""
LOTS = int(os.environ.get("MODBENCH_LOTS", "1"))
"""How often at each sector while the directory changes; ``MODBENCH_LOTS=4`` and more for the long run."""


def _files(volume: Volume, folder: tuple[str, ...] = ()) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in volume.names(folder):
        path = (*folder, name)
        about = volume.find(path)
        assert about is not None
        if about.kind == "folder":
            found |= _files(volume, path)
        else:
            handle = volume.open(path)
            found["/".join(path)] = volume.read(handle, 0, about.size)
            volume.close_file(handle)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("fat", "size"), [("FAT16", 33 << 20), ("FAT32", 40 << 20)])
@pytest.mark.parametrize("new", [True, False], ids=["export", "add"])
def test_pulled_at_any_byte(tmp_path: Path, new: bool, fat: str, size: int) -> None:
    """Each time the old or the new file-set is whole, no old image is lost, and a repeated add leaves a clean medium.

    Two of five points lie in the last 8 KB, where the directory changes.
    """
    chance = random.Random(f"{new}-{fat}")
    old_images = masters(tmp_path / "device", "kanji")[:2]
    images = masters(tmp_path / "device", "utf8", number=3)
    start, stick = tmp_path / "start.img", tmp_path / "stick.img"
    format_image(start, size=size, fat=fat, cluster=512 if fat == "FAT32" else None)  # type: ignore[arg-type]
    if not new:
        with mounted(start) as volume:
            save(volume, old_images, Options(), new=True)
    with mounted(start) as volume:
        old = _files(volume)
    _copy(start, stick)
    with mounted(stick) as volume:
        before = volume.volume.device.written
        save(volume, images, Options(state=tmp_path / "first"), new=new)
        total = volume.volume.device.written - before
        whole = set(_files(volume))
    seen: Counter[str] = Counter()
    for number in range(POINTS // 4):
        at = chance.randrange(total) if number % 5 < 3 else total - chance.randrange(8192)
        lose = chance.choice([0, 512, 4096, 20_000, None])
        state = tmp_path / f"state-{number}"
        _copy(start, stick)

        def pull(device: BlockDevice, at: int = at, lose: int | None = lose) -> None:
            device.yank_at(device.written + at, lose=lose)

        try:
            with mounted(stick, pull) as volume:
                save(volume, images, Options(state=state), new=new)
            seen["finished"] += 1
        except MediaError as error:
            seen["told" if error.code in ("io", "interrupted") else error.text] += 1
        rows = judge(stick)
        assert fails(rows) <= UNTOLD, (at, lose, explained(rows))
        with mounted(stick) as volume:
            now = _files(volume)
            assert all(now[name] == data for name, data in old.items() if name != "DICOMDIR"), (at, lose)
            if now.get("DICOMDIR") not in (old.get("DICOMDIR"), b""):
                seen["new"] += 1
                assert whole <= set(now)
            else:
                seen["old"] += 1
                assert fails(rows) == set() or total - at < 16_384, (at, lose, explained(rows))
            done = save(volume, images, Options(state=state), new=False)
            assert len(done.files) + len(done.skipped) == 4
            assert set(_files(volume)) == whole, (at, lose)
        rows = judge(stick)
        assert not fails(rows), (at, lose, explained(rows))
    assert seen["old"]
    assert seen["told"] + seen["finished"] == POINTS // 4


class Marked(Through):
    """Keeps how much had been written when the directory began to change, and when it had changed."""

    def __init__(self, inner: FatMedium) -> None:
        super().__init__(inner)
        self._device = inner.volume.device
        self.first = self.changed = 0

    def before(self, name: str, arguments: tuple[object, ...]) -> None:
        super().before(name, arguments)
        if name == "write" and arguments[1:] == (128, b"DICM"):
            self.first = self.first or self._device.written
        elif name == "sync" and self.first and not self.changed:
            self.changed = self._device.written


@pytest.mark.slow
@pytest.mark.parametrize(("fat", "size"), [("FAT16", 33 << 20), ("FAT32", 40 << 20)])
@pytest.mark.parametrize("new", [True, False], ids=["export", "add"])
def test_lost_by_chance_while_the_directory_changes(tmp_path: Path, new: bool, fat: str, size: int) -> None:
    """A stick may keep newer writes and lose older ones: only a flush in between orders two of them.

    At every sector from the first prefix until the new directory is durable; it never names what is not whole.
    """
    images = masters(tmp_path / "device", "utf8", number=3)
    start, stick = tmp_path / "start.img", tmp_path / "stick.img"
    format_image(start, size=size, fat=fat, cluster=512 if fat == "FAT32" else None)  # type: ignore[arg-type]
    if not new:
        with mounted(start) as volume:
            save(volume, masters(tmp_path / "device", "kanji")[:2], Options(), new=True)
    with mounted(start) as volume:
        old = _files(volume)
    _copy(start, stick)
    with mounted(stick) as volume:
        before = volume.volume.device.written
        marked = Marked(volume)
        save(marked, images, Options(state=tmp_path / "first"), new=new)
        whole = _files(volume)
    assert before < marked.first < marked.changed
    seen: Counter[str] = Counter()
    for at in range(marked.first - before + 512, marked.changed - before + 1025, 512):
        for lot in range(LOTS):
            state = tmp_path / f"state-{at}-{lot}"
            _copy(start, stick)

            def pull(device: BlockDevice, at: int = at, lot: int = lot) -> None:
                device.yank_at(device.written + at, lose=Some(f"{at} {lot}"))

            with suppress(MediaError), mounted(stick, pull) as volume:
                save(volume, images, Options(state=state), new=new)
            with mounted(stick) as volume:
                now = _files(volume)
                assert all(now[name] == data for name, data in old.items() if name != "DICOMDIR"), (at, lot)
                is_new = now.get("DICOMDIR") not in (old.get("DICOMDIR"), b"")
                seen["new" if is_new else "old"] += 1
                if is_new:
                    assert all(now[name] == data for name, data in whole.items() if name != "DICOMDIR"), (
                        at,
                        lot,
                    )
                save(volume, images, Options(state=state), new=False)
                assert set(_files(volume)) == set(whole), (at, lot)
            rows = judge(stick)
            assert not fails(rows), (at, lot, explained(rows))
    assert seen["old"]
    assert seen["new"]


def _copy(source: Path, target: Path) -> None:
    """A sparse copy: only the blocks that are not empty."""
    with source.open("rb") as data, target.open("wb") as out:
        while piece := data.read(1 << 20):
            if piece.count(0) < len(piece):
                out.write(piece)
            else:
                out.seek(len(piece), 1)
        out.truncate(source.stat().st_size)
