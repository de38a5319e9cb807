"""A file of PS3.10: preamble, prefix, file meta information, data set.

Rules of this file:

* The file meta information is walked here (Explicit VR Little Endian, group 0002); the data set by the witness's own
  :class:`Reader`, in the transfer syntax that the file meta information names.
* Every fault has the byte in the file.  Bytes are read once, in pieces; big values pass by.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from bench.witness.dataset import DataSet, Element, Limits, Reader
from bench.witness.medium.model import EXPLICIT_LITTLE, DicomFile, Entry
from bench.witness.vr import ALL, lookup

HEAD: Final = 132
META: Final = 1 << 16
"""Bytes of file meta information that are looked at."""
DIRECTORY_LIMITS: Final = Limits(elements=1_500_000, kept=1 << 28)
OBJECT_LIMITS: Final = Limits(digest=True)
_LONG: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))


def read_file(entry: Entry, chunks: Iterable[bytes], *, directory: bool = False) -> DicomFile:
    """Read a file; without the prefix DICM it is tried as a data set without file meta information."""
    stream = iter(chunks)
    head = b""
    while len(head) < META + HEAD:
        chunk = next(stream, b"")
        if not chunk:
            break
        head += chunk
    magic = head[128:132] == b"DICM"
    start = HEAD if magic else 0
    elements, begin, faults = _meta(head, start)
    meta = DataSet(tuple(elements), transfer_syntax=EXPLICIT_LITTLE, offset=start, length=begin - start)
    syntax = meta.text("TransferSyntaxUID") or ""
    count = len(head)
    dataset = None
    if begin < len(head) and (magic or elements):
        reader = Reader(syntax or EXPLICIT_LITTLE, limits=DIRECTORY_LIMITS if directory else OBJECT_LIMITS)
        for chunk in chain((head[begin:],), stream):
            reader.feed(chunk)
            count += len(chunk)
        count -= len(head[begin:])
        dataset = reader.finish()
    else:
        count += sum(len(chunk) for chunk in stream)
    return DicomFile(entry, magic, meta, begin, dataset, tuple(faults), count)


def _meta(head: bytes, start: int) -> tuple[list[Element], int, list[tuple[str, str, int]]]:
    elements: list[Element] = []
    faults: list[tuple[str, str, int]] = []
    at, last = start, 0
    while at + 8 <= len(head) and len(elements) < 200:
        group, number = struct.unpack_from("<HH", head, at)
        if group != 2:
            break
        tag = group << 16 | number
        vr = head[at + 4 : at + 6].decode("latin-1")
        if vr not in ALL:
            entry = lookup(tag)
            length = struct.unpack_from("<I", head, at + 4)[0]
            if length > len(head):
                faults.append(("unreadable", "the file meta information cannot be read from here on", at))
                break
            faults.append(
                ("syntax", f"(0002,{number:04X}) has no value representation: it must be Explicit VR", at)
            )
            vr, size = (entry.vrs[0] if entry is not None else "UN"), 8
        elif vr in _LONG:
            if at + 12 > len(head):
                break
            length, size = struct.unpack_from("<I", head, at + 8)[0], 12
            if head[at + 6 : at + 8] != b"\0\0":
                text = f"(0002,{number:04X}) has {head[at + 6 : at + 8].hex()} in its reserved bytes instead of 0000"
                faults.append(("reserved", text, at + 6))
        else:
            length, size = struct.unpack_from("<H", head, at + 6)[0], 8
        if length > len(head) - at - size:
            faults.append(("unreadable", f"(0002,{number:04X}) says {length} bytes, and there are fewer", at))
            break
        value = head[at + size : at + size + length]
        if tag <= last:
            faults.append(("order", f"(0002,{number:04X}) stands behind (0002,{last & 0xFFFF:04X})", at))
        if length & 1:
            faults.append(("odd", f"(0002,{number:04X}) has an odd length of {length}", at))
        last = tag
        elements.append(Element(tag, vr, True, length, at, size, value))
        at += size + length
    return elements, at, faults


def pieces(runs: Iterable[tuple[int, int]], read: object, step: int = 1 << 20) -> Iterator[bytes]:
    """Return the bytes of runs of an image in pieces; *read* is ``Source.read``."""
    for offset, length in runs:
        while length > 0:
            data = read(offset, min(length, step))  # type: ignore[operator]
            if not data:
                return
            yield data
            offset += len(data)
            length -= len(data)


__all__ = ["HEAD", "pieces", "read_file"]
