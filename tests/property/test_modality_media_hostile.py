"""A medium with any DICOMDIR at all: understood or refused with a sentence, and no byte of others ever changes.

Rules of this file:

* The DICOMDIRs are those of another vendor, of every kind that the bench knows, and one of our own, spoilt in the ways
  that writers, copies and bad sectors spoil them: offsets, lengths, tags, missing and doubled pieces, foreign bytes.
* Whatever happens, it is a :class:`MediaError` with a code and a sentence, or an addition that others can read.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.volumes.foreign import VARIANTS, make_foreign
from modality.media import CODES, MediaError, Options, Saved, add, export
from modality.media import directory as directories
from tests.unit.test_modality_media_lab import masters, tree

DIRECTORY = "DICOMDIR"
OFFSETS = re.compile(rb"\x04\x00(?:\x00\x14|\x20\x14|\x00\x12|\x02\x12)UL\x04\x00", re.DOTALL)
ITEMS = re.compile(rb"\xfe\xff\x00\xe0", re.DOTALL)
ELEMENTS = re.compile(rb"[\x04\x08\x10\x20]\x00..[A-Z][A-Z]", re.DOTALL)
LENGTHS = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xfe\xff\xff\xff", b"\x00\x00\x00\x00")
Spoil = Callable[[bytearray], None]


@pytest.fixture(scope="module", autouse=True)
def _no_disk() -> Iterator[None]:
    """The host's disk need not keep what is looked at here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        patch.setattr("os.fdatasync", lambda handle: None)
        yield


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Media as they are before, and images to be added."""
    folder = tmp_path_factory.mktemp("hostile")
    images = masters(folder / "device", "kanji")[:2]
    starts = []
    for number, variant in enumerate((*VARIANTS, None)):
        medium = folder / f"medium-{number}"
        medium.mkdir()
        if variant is None:
            export(medium, images[:1])
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # names that pydicom would not write itself
                make_foreign(medium, variant)
        starts.append(medium)
    return starts, images


def directory_of(medium: Path) -> Path | None:
    return next((path for path in medium.iterdir() if path.name.upper() == DIRECTORY), None)


@st.composite
def spoils(draw: st.DrawFn) -> Spoil:
    """One thing that is done to a DICOMDIR; where, is drawn as a share of what there is."""
    kind = draw(st.sampled_from(("byte", "offset", "length", "cut", "double", "drop", "text", "tag")))
    where, other = draw(st.integers(0, 1 << 20)), draw(st.integers(0, 1 << 20))
    some = draw(st.binary(min_size=1, max_size=4))
    length, delta = draw(st.sampled_from(LENGTHS)), draw(st.sampled_from((-8, -2, -1, 1, 2, 8, 22)))
    into = draw(st.sampled_from(("anywhere", "delta", "another", "own")))

    def spoil(data: bytearray) -> None:
        size = len(data)
        if size < 200:
            return
        at = 132 + where % (size - 140)
        if kind == "byte":
            data[at : at + len(some)] = some
        elif kind == "offset" and (found := [m.end() for m in OFFSETS.finditer(data)]):
            place, records = found[where % len(found)], [m.start() for m in ITEMS.finditer(data)] or [0]
            old = int.from_bytes(data[place : place + 4], "little")
            said = {
                "anywhere": other % size, "delta": (old + delta) % (1 << 32),
                "another": records[other % len(records)], "own": max([r for r in records if r < place], default=0),
            }[into]  # fmt: skip
            data[place : place + 4] = said.to_bytes(4, "little")
        elif kind == "length" and (
            found := [m.end() for m in (*ITEMS.finditer(data), *ELEMENTS.finditer(data))]
        ):
            place = found[where % len(found)]
            data[place : place + 4] = length
        elif kind == "cut":
            del data[at:]
        elif kind == "double":
            data[at:at] = data[at : at + other % 400]
        elif kind == "drop":
            del data[at : at + other % 400]
        elif kind == "text":
            data[140 + where % 250 : 142 + where % 250] = b"\xe9\xe9"
        elif kind == "tag" and (found := [m.start() for m in ELEMENTS.finditer(data)]):
            data[found[where % len(found)] + 2] ^= 1 << other % 8

    return spoil


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(VARIANTS)), st.lists(spoils(), min_size=1, max_size=3))
def test_whatever_the_directory_says(
    lab: tuple[list[Path], list[Path]], which: int, changes: list[Spoil]
) -> None:
    """A sentence or an addition; never another error, and never a changed byte of somebody else's."""
    starts, images = lab
    with tempfile.TemporaryDirectory() as folder:
        medium = Path(folder, "medium")
        shutil.copytree(starts[which], medium, symlinks=True)
        path = directory_of(medium)
        if path is not None:
            data = bytearray(path.read_bytes())
            for change in changes:
                change(data)
            path.write_bytes(data)
        old = tree(medium)
        saved: Saved | None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                saved = add(medium, images, Options(state=Path(folder, "state")))
        except MediaError as error:
            refusal, saved = error, None
        new = tree(medium)
        if saved is None:
            assert refusal.code in CODES
            assert refusal.text.endswith(".")
            assert new == old
            return
        assert {n: d for n, d in new.items() if n in old and n.upper() != DIRECTORY} == {
            n: d for n, d in old.items() if n.upper() != DIRECTORY
        }
        now = directory_of(medium)
        assert now is not None
        found = directories.read(now.read_bytes())
        if path is not None:
            assert _bare(directories.read(old[path.name])) <= _bare(found)
        assert len(saved.files) + len(saved.skipped) == len(images)
        for file in saved.files:
            assert (medium / file.file_id).is_file()
            assert file.file_id.replace("/", "\\").encode() in found.data


def _bare(directory: directories.Directory) -> set[bytes]:
    """Every record, byte for byte but for its offsets."""
    out = set()
    for index in range(len(directory)):
        start = int(directory.starts[index])
        raw = bytearray(directory.data[start : start + int(directory.sizes[index])])
        for place in (directory.next_at[index], directory.lower_at[index]):
            raw[int(place) - start : int(place) - start + 4] = bytes(4)
        out.add(bytes(raw))
    return out
