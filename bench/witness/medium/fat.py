"""FAT12, FAT16 and FAT32, read from raw sectors: entries with their 8.3 bytes, long names, cluster chains.

Rules of this file:

* Read-only and bounded: no chain is followed further than there are clusters, no folder is opened twice, and the number
  of entries and of clusters that are looked at has an end.
* Nothing is repaired: a chain that ends too early gives what it has, and a :class:`Trouble`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from bench.witness.medium.fatform import Geometry
from bench.witness.medium.fathints import hints
from bench.witness.medium.fattable import Table, differing, tally
from bench.witness.medium.model import Entry, FileSystem, Trouble
from bench.witness.medium.source import Source

ENTRIES: Final = 200_000
TROUBLES: Final = 200
DEPTH: Final = 64
TABLE: Final = 1 << 24
WORK: Final = 1 << 24
"""Steps along cluster chains in all: 512 GB in clusters of 32 KB."""
_LABEL, _FOLDER, _LONG = 0x08, 0x10, 0x0F
_ORDER: Final = ((1, 10), (14, 12), (28, 4))


class Fat:
    """One FAT file system in an image."""

    def __init__(self, source: Source, start: int, form: Geometry) -> None:
        self._source, self._start, self.form = source, start, form
        self.troubles: list[Trouble] = []
        self.entries: list[Entry] = []
        self.label = form.label
        self._taken = bytearray((form.clusters + 2 + 7) // 8)
        self._folders: list[tuple[str, tuple[tuple[int, int], ...]]] = []
        self._going_on: list[tuple[int, list[tuple[int, int]], str]] = []
        self._work = 0
        self._stray = 0
        """Long names whose entry is another one, or gone."""
        self._width = {"FAT12": 12, "FAT16": 16, "FAT32": 32}[form.kind]
        self._end = {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}[self._width]

    def facts(self, partition: int = 0) -> FileSystem:
        """Return what a report says of it."""
        form = self.form
        return FileSystem(
            form.kind,
            self.label,
            self._start,
            form.sector,
            form.cluster,
            form.clusters,
            self._counts[0] if self._counts is not None else None,
            partition,
            form.size,
        )

    def trouble(self, code: str, text: str, path: str = "", offset: int | None = None) -> None:
        """Note something, not for ever."""
        if len(self.troubles) < TROUBLES:
            self.troubles.append(Trouble(code, text, path, offset))

    # Clusters

    def _link(self, cluster: int) -> int:
        if self._width == 12:
            raw = self._source.read(self._start + self.form.table + cluster * 3 // 2, 2)
            value = int.from_bytes(raw, "little")
            return value >> 4 if cluster & 1 else value & 0xFFF
        size = self._width // 8
        raw = self._source.read(self._start + self.form.table + cluster * size, size)
        return int.from_bytes(raw, "little") & 0x0FFFFFFF

    def _table(self, copy: int = 0) -> Table:
        form = self.form
        holds = form.table_size * 8 // self._width - 2
        start = self._start + form.table + copy * form.table_size
        return Table(start, self._width, max(min(form.clusters, holds), 0))

    @cached_property
    def _counts(self) -> tuple[int, int] | None:
        """Free and bad clusters; None where the table is too big to be read for numbers only, or not there."""
        table = self._table()
        return tally(self._source, table) if table.length <= TABLE else None

    def _chain(self, first: int, most: int, path: str) -> tuple[list[tuple[int, int]], int]:
        """Follow a chain of at most *most* clusters: runs of (cluster, count), and how many clusters in all."""
        runs: list[tuple[int, int]] = []
        count, cluster = 0, first
        while count < most:
            if not 2 <= cluster < self.form.clusters + 2:
                if cluster < self._end or not count:
                    what = "a free cluster" if not cluster else f"cluster {cluster}, which does not exist"
                    self.trouble("chain-bad", f"the cluster chain of {path} leads to {what}", path)
                break
            self._work += 1
            if self._work > WORK:
                self.trouble(
                    "bound", f"the chain of {path} is not followed: there is too much on this medium", path
                )
                break
            if self._taken[cluster >> 3] & 1 << (cluster & 7):
                if any(begin <= cluster < begin + length for begin, length in runs):
                    text = f"the cluster chain of {path} comes back to cluster {cluster}"
                    self.trouble("chain-loop", text, path)
                else:
                    text = f"{path} shares cluster {cluster} with another file or folder"
                    self.trouble("cross-link", text, path)
                break
            self._taken[cluster >> 3] |= 1 << (cluster & 7)
            if runs and runs[-1][0] + runs[-1][1] == cluster:
                runs[-1] = (runs[-1][0], runs[-1][1] + 1)
            else:
                runs.append((cluster, 1))
            count += 1
            cluster = self._link(cluster)
        else:
            if 2 <= cluster < self.form.clusters + 2 and most:
                self._going_on.append((cluster, runs, path))
        return runs, count

    def _behind(self, cluster: int, runs: list[tuple[int, int]], path: str) -> None:
        """Say where a chain goes that does not end with its file: on, back, or into another one.

        Asked when every file is known: until then, clusters of a later one look free.
        """
        steps = 0
        while 2 <= cluster < self.form.clusters + 2 and steps <= self.form.clusters and self._work < WORK:
            if self._taken[cluster >> 3] & 1 << (cluster & 7):
                break
            steps += 1
            self._work += 1
            cluster = self._link(cluster)
        else:
            if steps <= self.form.clusters:
                self.trouble("chain-long", f"the cluster chain of {path} goes on behind its end", path)
            else:
                self.trouble("chain-loop", f"the cluster chain of {path} never ends", path)
            return
        if any(begin <= cluster < begin + length for begin, length in runs):
            text = f"the cluster chain of {path} comes back to cluster {cluster} behind its end"
            self.trouble("chain-loop", text, path)
        else:
            text = f"the cluster chain of {path} goes on behind its end into cluster {cluster} of another"
            self.trouble("cross-link", text, path)

    def _bytes(self, runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        size = self.form.cluster
        base = self._start + self.form.data
        return [(base + (cluster - 2) * size, count * size) for cluster, count in runs]

    def _file(self, first: int, size: int, path: str) -> tuple[tuple[tuple[int, int], ...], bool]:
        """Where the bytes of a file are, and whether they end before its size."""
        if not size:
            if first:
                self.trouble("chain-long", f"{path} has no bytes, and a first cluster {first}", path)
            return (), False
        wanted = -(-size // self.form.cluster)
        runs, count = self._chain(first, min(wanted, self.form.clusters), path)
        if count < wanted:
            have = count * self.form.cluster
            self.trouble("chain-short", f"{path} says {size} bytes, and its clusters hold {have}", path)
        left, found = size, []
        for offset, length in self._bytes(runs):
            found.append((offset, min(length, left)))
            left -= min(length, left)
        return tuple(found), left > 0

    # Folders

    def walk(self) -> None:
        """Read every folder."""
        form = self.form
        if form.kind == "FAT32":
            root, _ = self._chain(form.root_cluster, 1 << 16, "the root folder")
            areas = self._bytes(root)
            self._folders.append(("the root folder", tuple(areas)))
        else:
            areas = [(self._start + form.root, form.root_size)]
        waiting: list[tuple[list[tuple[int, int]], tuple[str, ...], tuple[str, ...], int]] = [
            (areas, (), (), 0)
        ]
        opened: set[int] = set()
        while waiting:
            areas, short, names, cluster = waiting.pop()
            inner = []
            for entry, first in self._folder(areas, short, names):
                if len(self.entries) >= ENTRIES:
                    self.trouble("bound", f"more than {ENTRIES} files and folders are not looked at")
                    return
                self.entries.append(entry)
                if not entry.folder:
                    continue
                if first in opened or (first and first == form.root_cluster) or len(entry.short) > DEPTH:
                    self.trouble(
                        "folder-loop", f"the folder {entry.path} is one of those around it", entry.path
                    )
                    continue
                opened.add(first)
                runs, _ = self._chain(first, 1 << 16, entry.path)
                inside = self._bytes(runs)
                self._dots(inside, first, cluster, entry.path)
                inner.append((inside, entry.short, entry.names, first))
                self._folders.append((entry.path, tuple(inside)))
            waiting += reversed(inner)
        for cluster, runs, path in self._going_on[:TROUBLES]:
            self._behind(cluster, runs, path)
        if self._stray:
            self.trouble("long-name", f"{self._stray} long names belong to no entry")
        self._tables()
        for trouble in hints(
            self._source, self._start, form.table, self._counts[0] if self._counts else None
        ):
            self.trouble(trouble.code, trouble.text, offset=trouble.offset)

    # The tables as a whole

    def _tables(self) -> None:
        """Compare the copies of the table, count what belongs to nothing, read the marks in cluster 1."""
        form = self.form
        if self._width > 12:
            top = 1 << (self._width - 1 if self._width == 16 else 27)
            marks = self._link(1)
            if not marks & top:
                self.trouble("dirty", "the file system is marked as not taken out cleanly")
            if not marks & top >> 1:
                self.trouble("dirty", "the file system is marked as having met errors of the medium")
        if self._counts is not None and self._work < WORK:
            lost = self._table().clusters - sum(self._counts) - sum(byte.bit_count() for byte in self._taken)
            if lost > 0:
                text = f"{lost} clusters are taken and belong to no file, or lie behind the end of one"
                self.trouble("lost", text)
        if form.tables == 2 and form.mirrored and form.table_size <= TABLE:
            self._compare()

    def _compare(self) -> None:
        wrong = differing(self._source, self._table(0), self._table(1))
        if not wrong:
            return
        size, base = self.form.cluster, self._start + self.form.data
        places = [base + (cluster - 2) * size for cluster in wrong]
        told = 0
        for path, runs in (*((e.path, e.runs) for e in self.entries), *self._folders):
            for offset, length in runs:
                at = bisect_left(places, offset)
                if at < len(places) and places[at] < offset + length:
                    text = f"the two allocation tables differ in cluster {wrong[at]}, which belongs to {path}"
                    self.trouble("tables", text, path, self._start + self.form.table)
                    told += 1
                    break
        if not told:
            text = f"the two allocation tables differ in {len(wrong)} clusters that belong to no file"
            self.trouble("tables", text, offset=self._start + self.form.table)

    def _dots(self, areas: list[tuple[int, int]], own: int, above: int, path: str) -> None:
        """Compare the first two entries of a folder with where it is and what it is in."""
        begin = next(iter(areas), None)
        if begin is None:
            return
        data = self._source.read(begin[0], 64)
        if len(data) < 64:
            return
        roots = {0, self.form.root_cluster}  # the root is 0, also where it has a cluster; some write that
        for raw, name, right in ((data[:32], b".", {own}), (data[32:], b"..", {above} if above else roots)):
            if raw[:11].rstrip(b" ") != name or not raw[11] & _FOLDER:
                self.trouble("dots", f"the folder {path} has no entry {name.decode()!r}", path, begin[0])
            elif self._first(raw) not in right:
                text = f"the entry {name.decode()!r} of the folder {path} leads to cluster {self._first(raw)}"
                self.trouble("dots", text, path, begin[0])

    def _first(self, raw: bytes) -> int:
        """The first cluster that an entry names."""
        high = int.from_bytes(raw[20:22], "little") << 16 if self._width == 32 else 0
        return high | int.from_bytes(raw[26:28], "little")

    def _folder(
        self, areas: list[tuple[int, int]], short: tuple[str, ...], names: tuple[str, ...]
    ) -> Iterator[tuple[Entry, int]]:
        parts: list[bytes] = []
        check = -1
        seen: set[bytes] = set()
        for at, raw in self._raw(areas):
            if raw[0] == 0:
                break
            if raw[0] == 0xE5:
                self._stray += bool(parts)
                parts, check = [], -1
                continue
            attributes = raw[11]
            if attributes & 0x3F == _LONG:
                if raw[0] & 0x40:
                    self._stray += bool(parts)
                    parts, check = [], raw[13]
                parts.insert(0, b"".join(raw[a : a + n] for a, n in _ORDER))
                continue
            long = _long(parts) if parts and check == _checksum(raw[:11]) else ""
            self._stray += bool(parts) and not long
            parts, check = [], -1
            if attributes & _LABEL:
                if not short:
                    self.label = raw[:11].decode("latin-1").rstrip() or self.label
                continue
            if raw[:11].rstrip(b" ") in (b".", b".."):
                continue
            own, first = _short(raw), self._first(raw)
            size = int.from_bytes(raw[28:32], "little")
            folder = bool(attributes & _FOLDER)
            here = (*short, own)
            entry = Entry(here, (*names, long or own), folder, 0 if folder else size, raw[:11], attributes)
            if raw[:11] in seen:
                text = (
                    f"{entry.path} stands twice in its folder: which of the two is opened is anybody's guess"
                )
                self.trouble("twice", text, entry.path, at)
            seen.add(raw[:11])
            if folder and size:
                text = f"the folder {entry.path} says {size} bytes; a folder says 0"
                self.trouble("folder-size", text, entry.path, at)
            if any(byte < 0x20 for byte in raw[:11]) and raw[0] != 0x05:
                self.trouble("entry", f"the name of {entry.path} holds control characters", entry.path, at)
            if not folder:
                runs, cut = self._file(first, size, entry.path)
                entry = Entry(here, entry.names, False, size, raw[:11], attributes, runs, cut)
            yield entry, first
        self._stray += bool(parts)

    def _raw(self, areas: list[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
        count = 0
        for offset, length in areas:
            data = self._source.read(offset, min(length, 1 << 22))
            for at in range(0, len(data) - 31, 32):
                count += 1
                if count > 1 << 16:
                    return
                yield offset + at, data[at : at + 32]


def _short(raw: bytes) -> str:
    body = b"\xe5" + raw[1:8] if raw[0] == 0x05 else raw[:8]
    name, extension = body.rstrip(b" ").decode("latin-1"), raw[8:11].rstrip(b" ").decode("latin-1")
    return f"{name}.{extension}" if extension else name


def _checksum(raw: bytes) -> int:
    total = 0
    for byte in raw:
        total = ((total >> 1) + ((total & 1) << 7) + byte) & 0xFF
    return total


def _long(parts: list[bytes]) -> str:
    text = b"".join(parts).decode("utf-16-le", "replace")
    return text.split("\0", 1)[0].rstrip("\uffff")


__all__ = ["Fat"]
