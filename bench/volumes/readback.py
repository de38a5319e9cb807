"""Reading a medium back: every file's SHA-256 beside what the product reported and what lay there before.

    note_before(cell / "media" / "usb.img")            # when its content is laid, before the product can write
    backs = of_cell(cell, events)                      # when the volume actors have stopped
    for back in backs: back.problems, back.remarks     # a problem makes the cell FAIL, a remark does not

Rules of this file:

* The image is read by the judge's own reader (:mod:`bench.judge.volumes`), never by the engine that wrote it, and
  never mounted.
* A file system says nothing of bytes inside files: only the hash tells that a file is what the product saved.
* An image that cannot be read is no problem of the product, but a remark, when it was pulled, or when nobody knows that
  it could be read before (a scenario spoiled it on purpose) and the product did not say that it saved anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.checks.media.history import Happened, History, problems, remarks
from bench.judge.volumes import Inventory, before_of, images_of, inventory, note_before, story_of


@dataclass(frozen=True)
class FileBack:
    """A file that was read back; state: saved (as the product reported), before, directory, unknown."""

    path: str
    bytes: int
    sha256: str
    state: str


@dataclass(frozen=True)
class ReadBack:
    """What reading a medium back found: files, sentences that make the cell FAIL, and those that do not."""

    name: str
    files: tuple[FileBack, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def compared(name: str, now: Inventory, story: History) -> ReadBack:
    """Say what is wrong with a medium."""
    if now.unreadable:
        text = f"{name}: the medium cannot be read back: {now.unreadable}"
        excused = story.yanked or (story.before is None and not story.actions)
        return ReadBack(name, (), () if excused else (text,), (text,) if excused else ())
    saved, before = story.saved, story.before or {}
    files = tuple(
        FileBack(
            one.path,
            one.bytes,
            one.sha256,
            "directory"
            if one.path == "DICOMDIR"
            else "saved"
            if one.path in saved
            else "before"
            if one.path in before
            else "unknown",
        )
        for one in now.files.values()
    )
    return ReadBack(name, files, problems(story), remarks(story))


def of_cell(folder: Path, events: Iterable[Happened]) -> tuple[ReadBack, ...]:
    """Read back every medium of a cell.

    Args:
        folder: of the cell, with ``media/NAME.img`` and, where it was kept, ``media/NAME.before.json``.
        events: of its journal.
    """
    listed = list(events)
    found = []
    for image in images_of(folder):
        now, story = story_of(image, listed)
        found.append(compared(image.stem, now, story))
    return tuple(found)


__all__ = [
    "FileBack",
    "Inventory",
    "ReadBack",
    "before_of",
    "compared",
    "inventory",
    "note_before",
    "of_cell",
    "story_of",
]
