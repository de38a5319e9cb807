"""Command sets as they were sent (PS3.7 6.3.1, E.1): tolerant, nothing is repaired.

Rules of this file: elements are read by the witness's own walk (:class:`bench.witness.dataset.Reader`) as Implicit VR
Little Endian; values are given where the bytes allow it; only what keeps the command from being understood at all is
a fault here, everything else is judged by the checks.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from bench.witness.dataset import Reader
from bench.witness.encodings import IMPLICIT_LITTLE
from bench.witness.model import Command, CommandValue
from simulators.wire.commandtable import COMMAND_ELEMENTS, Field

NAMES: Final = {int(field): field.name.replace("_", "-") for field in Field}
LONGEST: Final = 1 << 17
"""Bytes of a command set that is believed."""
_VRS: Final = {0: "UL", **{number: vr for number, (_, vr) in COMMAND_ELEMENTS.items()}}


@lru_cache(maxsize=256)
def read_command(raw: bytes) -> tuple[Command, tuple[tuple[str, str, int], ...]]:
    """Read a command set; faults are ``(code, text, offset in the command set)``."""
    faults: list[tuple[str, str, int]] = []
    reader = Reader(IMPLICIT_LITTLE)
    reader.feed(raw)
    data = reader.finish()
    values: dict[int, CommandValue] = {}
    for element in data.elements:
        if element.tag >> 16 or element.value is None or element.tag in values:
            continue
        value = _value(_VRS.get(element.tag, "UN"), element.value)
        if value is not None:
            values[element.tag] = value
    broken = next((problem for problem in data.problems if problem.structural), None)
    if broken is not None or not data.elements:
        text = broken.text if broken is not None else "it has no element"
        faults.append(
            ("command-undecodable", f"the command set cannot be read: {text}", broken.offset if broken else 0)
        )
    number = values.get(0x0100)
    name = NAMES.get(number) if isinstance(number, int) else None
    if name is None:
        shown = f"{number:04X}H" if isinstance(number, int) else "missing"
        faults.append(("command-field", f"Command Field (0000,0100) is {shown}", 0))
        name = f"unknown {shown}"
    if 0x0800 not in values:
        faults.append(("command-dataset-type", f"{name} has no Command Data Set Type (0000,0800)", 0))
    return Command(name=name, elements=data.elements, data=data, raw=raw, values=values), tuple(faults)


def _value(vr: str, data: bytes) -> CommandValue | None:
    if vr == "US":
        return int.from_bytes(data, "little") if len(data) == 2 else None
    if vr == "UL":
        return int.from_bytes(data, "little") if len(data) == 4 else None
    if vr == "AT":
        if not data or len(data) % 4:
            return None
        words = struct.unpack(f"<{len(data) // 2}H", data)
        return tuple(group << 16 | element for group, element in zip(words[::2], words[1::2], strict=True))
    if vr == "UN":
        return None
    text = data.decode("latin-1")
    return text.rstrip("\0 ") if vr == "UI" else text.strip(" ")
