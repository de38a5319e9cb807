"""A mounted medium: the tree of a folder, as the host shows it.

Rules of this file:

* The folder is walked by what the host lists, never by a name that stands in a file; symbolic links are not followed.
* The raw 8.3 entries, the file system and the partitions cannot be seen here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from bench.witness.medium.model import Entry, Trouble

ENTRIES: Final = 200_000
DEPTH: Final = 64


def walk(root: Path) -> tuple[list[Entry], dict[tuple[str, ...], str], list[Trouble]]:
    """Return files and folders, the host's path of each file by its names, and what could not be looked at."""
    entries: list[Entry] = []
    places: dict[tuple[str, ...], str] = {}
    troubles: list[Trouble] = []
    waiting: list[tuple[str, tuple[str, ...]]] = [(os.fspath(root), ())]
    while waiting:
        folder, names = waiting.pop()
        inner = []
        try:
            with os.scandir(folder) as listing:
                found = sorted(listing, key=lambda one: one.name)
        except OSError as error:
            troubles.append(Trouble("unreadable", f"{'/'.join(names)}: {error.strerror}", "/".join(names)))
            continue
        for one in found:
            here = (*names, one.name)
            try:
                is_folder = one.is_dir(follow_symlinks=False)
                is_file = one.is_file(follow_symlinks=False)
                size = one.stat(follow_symlinks=False).st_size if is_file else 0
            except OSError:
                is_folder = is_file = False
                size = 0
            if not is_folder and not is_file:
                entry = Entry(here, here, False, 0)
                troubles.append(Trouble("link", f"{entry.path} is no file, and is not followed", entry.path))
                continue
            if len(entries) >= ENTRIES:
                troubles.append(Trouble("bound", f"more than {ENTRIES} files and folders are not looked at"))
                return entries, places, troubles
            entries.append(Entry(here, here, is_folder, size))
            if is_folder:
                if len(here) <= DEPTH:
                    inner.append((one.path, here))
            else:
                places[here] = one.path
        waiting += reversed(inner)
    return entries, places, troubles


__all__ = ["walk"]
