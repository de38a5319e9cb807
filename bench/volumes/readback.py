"""Reading a medium back: every file's SHA-256 beside what the product reported and what lay there before.

    note_before(cell / "media" / "usb.img")            # when its content is laid, before the product can write
    backs = of_cell(cell, events)                      # when the volume actors have stopped
    for back in backs: back.problems, back.remarks     # a problem makes the cell FAIL, a remark does not

Rules of this file:

* The image is read by the judge's own reader (:mod:`bench.witness.medium`), never by the engine that wrote it, and
  never mounted.
* A file system says nothing of bytes inside files: only the hash tells that a file is what the product saved.
* An image that a scenario spoiled on purpose (unformatted, a broken FAT) and that cannot be read is no problem of the
  product: a remark.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.checks.media.history import Happened, History, history, named, problems, remarks
from bench.witness.medium import Medium, NotAMedium, read_medium
from bench.witness.medium.hashes import Held, files_of

FOLDER: Final = "media"
SUFFIX: Final = ".img"
BEFORE: Final = ".before.json"
FORMAT: Final = 1
READABLE: Final = frozenset(("FAT12", "FAT16", "FAT32", "folder"))


@dataclass(frozen=True)
class Inventory:
    """What an image holds: its files by name; ``unreadable`` says why nothing can be read, empty when it can."""

    files: Mapping[str, Held]
    unreadable: str = ""
    medium: Medium | None = None


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


def inventory(image: Path, wanted: Iterable[str] = ()) -> Inventory:
    """Read what an image holds; one that cannot be read is told, never raised.

    Args:
        image: raw, or compressed with gzip.
        wanted: names of files that are hashed however large they are.
    """
    try:
        medium = read_medium(image)
        if medium.file_system.kind not in READABLE:
            return Inventory({}, f"its file system is {medium.file_system.kind}", medium)
        return Inventory(files_of(image, medium, frozenset(wanted)), "", medium)
    except NotAMedium as error:
        return Inventory({}, str(error).rpartition(": ")[2] or "it is no image of a medium")
    except OSError as error:
        return Inventory({}, error.strerror or type(error).__name__)


def note_before(image: Path) -> Path:
    """Keep what lies on a medium before the product can write to it; returns the file, beside the image."""
    found = inventory(image)
    value = {
        "format": FORMAT,
        "unreadable": found.unreadable,
        "files": [[one.path, one.bytes, one.sha256, one.shown] for one in found.files.values()],
    }
    path = image.with_suffix(BEFORE)
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(json.dumps(value, ensure_ascii=True) + "\n", encoding="ascii")
    os.replace(partial, path)
    return path


def before_of(image: Path) -> Inventory | None:
    """Return what :func:`note_before` kept; None when there is nothing to go by."""
    try:
        value: Any = json.loads(image.with_suffix(BEFORE).read_text(encoding="ascii"))
        if not isinstance(value, dict) or value.get("format") != FORMAT:
            return None
        files = {
            str(path): Held(str(path), int(size), str(sha256), True, str(shown))
            for path, size, sha256, shown in value["files"]
        }
        return Inventory(files, str(value.get("unreadable") or ""))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def story_of(image: Path, events: Iterable[Happened]) -> tuple[Inventory, History]:
    """Read an image and lay it beside the journal: what is there, and how it came there."""
    listed = list(events)
    name = image.stem
    saved = (
        named(entry["file_id"])
        for event in listed
        if event.kind == "modality.media" and event.data.get("medium") == name
        for entry in event.data.get("files") or ()
        if isinstance(entry, Mapping) and entry.get("file_id")
    )
    now = inventory(image, saved)
    then = before_of(image)
    readable = then is not None and not then.unreadable
    return now, history(name, listed, now.files, then.files if then is not None and readable else None)


def compared(name: str, now: Inventory, story: History, spoiled: bool = False) -> ReadBack:
    """Say what is wrong with a medium; *spoiled*: it could not be read before the product wrote either."""
    if now.unreadable:
        text = f"{name}: the medium cannot be read back: {now.unreadable}"
        excused = spoiled or story.yanked or not story.actions
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


def read_back(
    image: Path,
    claims: Sequence[Mapping[str, Any]],
    before: Mapping[str, Held] | None = None,
    *,
    interrupted: str = "",
    spoiled: bool = False,
) -> ReadBack:
    """Read an image back against claims alone, without a journal.

    Args:
        image: the image as the medium was left.
        claims: data of ``modality.media`` events, in order.
        before: files that lay on it before (:func:`inventory`), None when that is not known.
        interrupted: a sentence, when the last operation was broken off and may have left something behind.
        spoiled: it could not be read before either, on purpose.
    """
    name = image.stem
    events = [_Claim(number, {"medium": name, **data}) for number, data in enumerate(claims, 1)]
    found = (named(f["file_id"]) for e in events for f in e.data.get("files") or () if f.get("file_id"))
    now = inventory(image, found)
    story = history(name, events, now.files, before)
    if interrupted:
        story = History(name, now.files, before, story.actions, True, interrupted)
    return compared(name, now, story, spoiled)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A claim in the place of an event."""

    seq: int
    data: Mapping[str, Any]
    kind: str = "modality.media"


def of_cell(folder: Path, events: Iterable[Happened]) -> tuple[ReadBack, ...]:
    """Read back every medium of a cell.

    Args:
        folder: of the cell, with ``media/NAME.img`` and, where it was kept, ``media/NAME.before.json``.
        events: of its journal.
    """
    listed = list(events)
    found = []
    for image in sorted((folder / FOLDER).glob(f"*{SUFFIX}")):
        now, story = story_of(image, listed)
        then = before_of(image)
        spoiled = then is not None and bool(then.unreadable)
        found.append(compared(image.stem, now, story, spoiled))
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
    "read_back",
    "story_of",
]
