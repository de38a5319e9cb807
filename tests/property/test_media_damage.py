"""Damaged media: whatever bytes there are, there is a judgement, in bounded time, without a traceback."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.verdict import Verdict
from bench.witness.medium import NotAMedium, read_medium
from tests.lab.fat import fat_image
from tests.lab.media import FileSet, record
from tests.unit.judged_media import judge

SECONDS = 20.0


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small image, FAT12 without partitions."""
    path = tmp_path_factory.mktemp("media") / "m.img"
    FileSet.of_mx1().write_image(path, kind="FAT12", partition=None, cluster=512, clusters=600)
    return path.read_bytes()


def _survives(data: bytes, folder: Path) -> None:
    path = folder / "damaged.img"
    path.write_bytes(data)
    began = time.perf_counter()
    try:
        rows = judge(path)
    except NotAMedium:
        return
    finally:
        assert time.perf_counter() - began < SECONDS
    errors = [f"{id}: {row.reason}" for id, row in rows.items() if row.verdict is Verdict.ERROR]
    assert not errors, errors


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1 << 32), count=st.integers(1, 200), where=st.sampled_from(["all", "system", "dir"])
)
def test_flipped_bytes(seed: int, count: int, where: str, small: bytes, tmp_path: Path) -> None:
    """Bytes anywhere, in the tables and folders, or around the DICOMDIR."""
    rng = random.Random(seed)
    data = bytearray(small)
    begin = data.index(b"DICM") - 128
    low, high = {"all": (0, len(data)), "system": (0, 512 * 16), "dir": (begin, begin + 3000)}[where]
    for _ in range(count):
        data[rng.randrange(low, high)] = rng.randrange(256)
    _survives(bytes(data), tmp_path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400_000))
def test_cut_image(cut: int, small: bytes, tmp_path: Path) -> None:
    """An image that ends anywhere."""
    _survives(small[: max(cut % len(small), 1)], tmp_path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32))
def test_random_offsets(seed: int, tmp_path: Path) -> None:
    """Every offset of the DICOMDIR leads to some record, or nowhere."""
    rng = random.Random(seed)
    made = FileSet.of_mx1()

    def shuffle(ordered, offsets, top) -> None:  # type: ignore[no-untyped-def]
        for each in ordered:
            for keyword in ("OffsetOfTheNextDirectoryRecord", "OffsetOfReferencedLowerLevelDirectoryEntity"):
                if rng.random() < 0.5:
                    each.ds.put(keyword, rng.choice([*offsets, 0, 7, 0xFFFFFFFF]))

    made.links = shuffle
    path = tmp_path / "offsets.img"
    fat_image(path, made.all_files(), kind="FAT12", partition=None, cluster=512, clusters=600)
    _survives(path.read_bytes(), tmp_path)


def test_many_wrong_records(tmp_path: Path) -> None:
    """Six thousand records in wrong places cost no more than their number."""
    made = FileSet()
    made.roots = [record("IMAGE" if number % 2 else "SERIES") for number in range(6_000)]

    def astray(ordered, offsets, top) -> None:  # type: ignore[no-untyped-def]
        for number, each in enumerate(ordered):
            target = offsets[(number * 7919) % len(offsets)] if number % 3 else 12345
            each.ds.put("OffsetOfTheNextDirectoryRecord", target)

    made.links = astray
    path = made.write_image(tmp_path / "many.img")
    began = time.perf_counter()
    rows = judge(path)
    assert time.perf_counter() - began < 30
    assert rows["STD-MED-033"].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\x1f\x8b", b"\x1f\x8b" + bytes(600), bytes(510) + b"\x55\xaa"]
)
def test_no_image(data: bytes, tmp_path: Path) -> None:
    """What is none is said."""
    path = tmp_path / "none.img"
    path.write_bytes(data)
    with pytest.raises(NotAMedium):
        read_medium(path)


def test_hostile_folders(tmp_path: Path) -> None:
    """Names with dots, links out of the medium, a folder called DICOMDIR: nothing outside is opened."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "SECRET").write_bytes(bytes(128) + b"DICM" + bytes(100))
    medium = tmp_path / "medium"
    made = FileSet.of_mx1()
    made.record("IMAGE", 1).put("ReferencedFileID", ["..", "outside", "SECRET"])
    made.record("IMAGE", 2).put("ReferencedFileID", ["/etc", "passwd"])
    made.write_folder(medium)
    (medium / "LINK").symlink_to(outside)
    (medium / "LOOP").symlink_to(medium)
    found = read_medium(medium)
    assert not any("SECRET" in entry.path for entry in found.entries)
    assert {trouble.code for trouble in found.troubles} == {"link"}
    rows = judge(medium)
    assert rows["STD-MED-014"].verdict is Verdict.FAIL
    assert not [id for id, row in rows.items() if row.verdict is Verdict.ERROR]
