"""Removable media of a cell: the images that it left, what lay on them before, and what the journal tells of them.

Rules of this file:

* ``media/NAME.img`` is the medium as it was left, NAME is usb or sd; ``media/NAME.before.json`` what lay on it before
  the product could write (:func:`note_before`).  No other file is looked at, and nothing is ever written to an image.
* An image that cannot be read is told by a sentence, never raised.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.checks.media.history import Happened, History, history, named
from bench.witness.medium import Medium, NotAMedium, read_medium
from bench.witness.medium.hashes import Held, files_of

FOLDER: Final = "media"
BEFORE: Final = ".before.json"
FORMAT: Final = 1
READABLE: Final = frozenset(("FAT12", "FAT16", "FAT32", "folder"))
_IMAGE: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}\.img")


@dataclass(frozen=True)
class Inventory:
    """What an image holds: its files by name; ``unreadable`` says why nothing can be read, empty when it can."""

    files: Mapping[str, Held]
    unreadable: str = ""
    medium: Medium | None = None


def images_of(folder: Path) -> tuple[Path, ...]:
    """Return the images of media in a cell's folder."""
    found = (folder / FOLDER).glob("*.img")
    return tuple(sorted(path for path in found if _IMAGE.fullmatch(path.name) and path.is_file()))


def inventory(image: Path, wanted: Iterable[str] = ()) -> Inventory:
    """Read what an image holds.

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


__all__ = ["FOLDER", "Inventory", "before_of", "images_of", "inventory", "note_before", "story_of"]
