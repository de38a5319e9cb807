"""What the page shows of a removable medium: the tree of its files with their hashes, the records of its DICOMDIR
(:mod:`bench.report.mediumrecords`), and the pictures on it.

Rules of this file:

* The image is read by the judge's own reader; nothing of the medium becomes a path, nothing is mounted.
* Nothing is judged here: a file is named by where it came from, as far as the journal tells.
* What is not as it should be, and what a finding names, is shown before anything is left out.
* Pictures are drawn of uncompressed objects only, a few of each medium.
* The reader is loaded only where there is a medium.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.journal import Event
from bench.report.images import Picture, dicom_picture
from bench.report.mediumrecords import Finding, Named, RecordRow, cut, named_by, records_of
from bench.results import CellResult, VolumeFidelity

if TYPE_CHECKING:
    from bench.checks.media.history import History
    from bench.judge.volumes import Inventory
    from bench.witness.medium.hashes import Held

MAX_FILES: Final = 300
"""Rows of one medium."""
MAX_PICTURES: Final = 6
MAX_BYTES: Final = 32 << 20
"""Of a file that is drawn."""
NATIVE: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


@dataclass(frozen=True)
class MediumFile:
    """One file: its name, how deep it lies, its size in bytes, its hash, and where it came from."""

    name: str
    depth: int
    bytes: int
    sha256: str
    origin: str
    good: bool = True
    folder: bool = False
    found: tuple[Finding, ...] = ()
    """Findings that name it."""


@dataclass(frozen=True)
class MediumView:
    """One medium as it was left."""

    name: str
    facts: str
    image: str
    files: tuple[MediumFile, ...] = ()
    more: int = 0
    """Files that are not listed."""
    more_bad: int = 0
    """Those of them that are not as they should be, or that a finding names."""
    records: tuple[RecordRow, ...] = ()
    """Of its DICOMDIR, as a tree."""
    more_records: int = 0
    pictures: tuple[tuple[str, Picture], ...] = ()
    note: str = ""


def _origin(held: Held, story: History, then: Inventory | None) -> tuple[str, bool]:
    saved, before = story.saved.get(held.path), then.files.get(held.path) if then is not None else None
    if held.path == "DICOMDIR":
        same = not story.directory or story.directory == held.sha256
        return ("the directory", True) if same else ("the directory, not as the product reported it", False)
    if not held.whole:
        return "not whole", False
    if saved is not None:
        return (
            ("saved, as the product reported", True)
            if saved == held.sha256
            else ("not what the product reported", False)
        )
    if before is not None:
        return (
            ("lay there before", True)
            if before.sha256 == held.sha256
            else ("lay there before, changed", False)
        )
    return "nobody told of it", True


def _first(row: MediumFile) -> bool:
    return not row.good or bool(row.found)


def _tree(now: Inventory, story: History, then: Inventory | None, named: Named) -> list[MediumFile]:
    from bench.witness.medium import printable

    rows: list[MediumFile] = []
    open_folders: tuple[str, ...] = ()
    for path, held in sorted(now.files.items(), key=lambda item: item[0].split("/")):
        *folders, name = path.split("/")
        for depth, folder in enumerate(folders):
            if open_folders[: depth + 1] != tuple(folders[: depth + 1]):
                rows.append(MediumFile(folder, depth, 0, "", "", folder=True))
                open_folders = tuple(folders[: depth + 1])
        open_folders = tuple(folders)
        origin, good = _origin(held, story, then)
        found = named.files.get(printable(path), ())
        rows.append(MediumFile(name, len(folders), held.bytes, held.sha256, origin, good, found=found))
    return rows


def _pictures(image: Path, now: Inventory, saved: frozenset[str]) -> tuple[tuple[str, Picture], ...]:
    """Draw what the product saved, then what else there is."""
    if now.medium is None:
        return ()
    drawn = [
        file
        for file in now.medium.files
        if file.transfer_syntax in NATIVE and not file.entry.cut and file.entry.size <= MAX_BYTES
    ]
    if not drawn:
        return ()
    drawn.sort(key=lambda file: "/".join(file.entry.short) not in saved)
    from bench.witness.medium.part10 import pieces
    from bench.witness.medium.source import Source

    with Source(image) as source:
        found = (
            (file.path, dicom_picture(io.BytesIO(b"".join(pieces(file.entry.runs, source.read)))))
            for file in drawn[:MAX_PICTURES]
        )
        return tuple((path, picture) for path, picture in found if picture.uri)


def _facts(now: Inventory, fidelity: VolumeFidelity | None, size: int) -> str:
    said = []
    if now.medium is not None:
        system = now.medium.file_system
        said += [system.kind, *([f"label {system.label}"] if system.label else []), now.medium.scheme]
    said.append(f"{size / 1e6:,.4g} MB")
    if fidelity is not None:
        said.append(f"backend {fidelity.backend}")
        if fidelity.written is not None:
            said.append(f"{fidelity.written:,} bytes written")
    return ", ".join(filter(None, said))


def media_of(folder: Path, cell: CellResult, events: Sequence[Event]) -> list[MediumView]:
    """Read every medium that a cell left.

    Args:
        folder: of the cell.
        cell: its result, for the fidelity of its volumes and what its findings name.
        events: of its journal.
    """
    if not (folder / "media").is_dir():
        return []
    from bench.judge.volumes import before_of, images_of, story_of

    fidelity: Mapping[str, VolumeFidelity] = {volume.name: volume for volume in cell.volumes}
    found = []
    for image in images_of(folder):
        now, story = story_of(image, events)
        label = image.relative_to(folder).as_posix()
        directory = now.medium.directory if now.medium is not None else None
        named = named_by(cell.clauses, label, directory)
        rows = _tree(now, story, before_of(image), named)
        shown = cut(rows, MAX_FILES, _first)
        records, more_records = records_of(now.medium, named) if now.medium is not None else ((), 0)
        note = f"It cannot be read: {now.unreadable}." if now.unreadable else ""
        found.append(
            MediumView(
                name=image.stem,
                facts=_facts(now, fidelity.get(image.stem), image.stat().st_size),
                image=label,
                files=tuple(shown),
                more=sum(not row.folder for row in rows) - sum(not row.folder for row in shown),
                more_bad=sum(map(_first, rows)) - sum(map(_first, shown)),
                records=records,
                more_records=more_records,
                pictures=_pictures(image, now, frozenset(story.saved)),
                note=note or ("" if rows else "It is empty."),
            )
        )
    return found
