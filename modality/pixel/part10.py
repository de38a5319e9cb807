"""The start of a Part 10 file: preamble, prefix, file meta information (PS3.10 7.1)."""

from __future__ import annotations

import struct

from . import elements as E
from .elements import Element


def file_start(
    sop_class: str,
    sop_instance: str,
    syntax: str,
    implementation: tuple[str, str],
    source_ae: str | None = None,
) -> bytes:
    """Preamble, prefix and file meta information of a Part 10 file (PS3.10 7.1)."""
    meta: list[Element] = [Element(0x00020001, "OB", b"\x00\x01")]
    for tag, vr, value in (
        (0x00020002, "UI", sop_class),
        (0x00020003, "UI", sop_instance),
        (0x00020010, "UI", syntax),
        (0x00020012, "UI", implementation[0]),
        (0x00020013, "SH", implementation[1]),
        (0x00020016, "AE", source_ae),
    ):
        if value:
            E.put(meta, tag, vr, value)
    body = E.write(meta, implicit=False, big=False)
    length = E.write([Element(0x00020000, "UL", struct.pack("<I", len(body)))], implicit=False, big=False)
    return b"\0" * 128 + b"DICM" + length + body
