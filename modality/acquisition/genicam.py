"""Features of a device by name: a GenICam description (GenApi 1.0/1.1) resolved to registers.

Rules of this file:

* The description comes from the network: no DTD, at most :data:`MAX_XML` bytes, bounded nesting; a node
  that is missing, cyclic or of an unknown kind is a :class:`FeatureError` that names it, when it is used.
* Understood: Integer, IntReg, MaskedIntReg, Float, FloatReg, Enumeration, Command, Boolean, StringReg,
  Converter, IntConverter, SwissKnife, IntSwissKnife; Address, pAddress, pValue, Value, pVariable,
  Min/Max (also pMin/pMax).
* 4-byte registers go by READREG/WRITEREG, everything else by READMEM/WRITEMEM.  Nothing is cached.
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Final, Protocol
from xml.etree import ElementTree

from modality.acquisition.formula import FormulaError, Number, evaluate

MAX_XML: Final = 4 << 20
MAX_DEPTH: Final = 24

_REGISTERS: Final = ("IntReg", "MaskedIntReg", "FloatReg", "StringReg", "Register")


class FeatureError(Exception):
    """A feature does not exist, cannot be resolved, or does not take this value."""


class Port(Protocol):
    """How registers are reached."""

    def read_register(self, address: int) -> int: ...
    def write_register(self, address: int, value: int) -> None: ...
    def read_memory(self, address: int, count: int) -> bytes: ...
    def write_memory(self, address: int, data: bytes) -> None: ...


def parse_url(url: str) -> tuple[int, int, bool]:
    """Read ``Local:name.xml;ADDRESS;LENGTH`` (hexadecimal); returns address, length and whether it is zipped.

    Raises :class:`FeatureError` for anything else (files and web addresses are not followed).
    """
    kind, _, rest = url.partition(":")
    parts = rest.split(";")
    if kind.lower() != "local" or len(parts) != 3:
        raise FeatureError(f"device description {url[:80]!r} is not in the device")
    try:
        address, length = int(parts[1], 16), int(parts[2].split("?")[0], 16)
    except ValueError:
        raise FeatureError(f"device description {url[:80]!r} has no address") from None
    if not 0 < length <= MAX_XML or not 0 <= address <= 0xFFFFFFFF:
        raise FeatureError(f"device description of {length} bytes at 0x{address:X}")
    return address, length, parts[0].lower().endswith(".zip")


def unzip(data: bytes) -> bytes:
    """Unpack a zipped description; raises :class:`FeatureError`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entry = archive.infolist()[0]
            if entry.file_size > MAX_XML:
                raise FeatureError(f"device description of {entry.file_size} bytes")
            with archive.open(entry) as stream:
                return stream.read(MAX_XML)
    except (zipfile.BadZipFile, IndexError, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        raise FeatureError(f"device description cannot be unpacked: {error}") from None


def _local(tag: str) -> str:
    return tag.rsplit("}", 1)[-1]


def _integer(text: str | None, what: str) -> int:
    try:
        return int((text or "").strip(), 0)
    except ValueError:
        raise FeatureError(f"{what}: {text!r} is no number") from None


class NodeMap:
    """The features of one device."""

    def __init__(self, xml: bytes, port: Port) -> None:
        """Read a description; raises :class:`FeatureError` when it is none."""
        if len(xml) > MAX_XML:
            raise FeatureError(f"device description of {len(xml)} bytes")
        if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
            raise FeatureError("device description with a document type")
        try:
            root = ElementTree.fromstring(xml.rstrip(b"\0"))  # noqa: S314 (no DTD, bounded: see above)
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise FeatureError(f"device description is no XML: {error}") from None
        if _local(root.tag) != "RegisterDescription":
            raise FeatureError("device description is no RegisterDescription")
        self._port = port
        self._nodes: dict[str, ElementTree.Element] = {}
        for element in root.iter():
            name = element.get("Name")
            if name and _local(element.tag) != "EnumEntry":
                self._nodes.setdefault(name, element)

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    # ---------------------------------------------------------------- reading

    def get_int(self, name: str) -> int:
        """Return the value of an integer, boolean or enumeration (its number)."""
        return int(self._value(name, 0))

    def get_float(self, name: str) -> float:
        """Return the value of a number."""
        return float(self._value(name, 0))

    def get_enum(self, name: str) -> str:
        """Return the entry of an enumeration."""
        value = self.get_int(name)
        for entry, number in self.entries(name).items():
            if number == value:
                return entry
        raise FeatureError(f"{name} has the unknown value {value}")

    def get_text(self, name: str) -> str:
        """Return a string."""
        node = self._node(name)
        if _local(node.tag) == "StringReg":
            address, length = self._address(node, 0), self._length(node, 0)
            raw = self._port.read_memory(address, length)
            return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
        inner = self._child(node, "pValue")
        if inner is not None and _local(node.tag) == "String":
            return self.get_text(inner)
        raise FeatureError(f"{name} is no text")

    def entries(self, name: str) -> dict[str, int]:
        """Return the entries of an enumeration with their numbers."""
        node = self._node(name)
        if _local(node.tag) != "Enumeration":
            raise FeatureError(f"{name} is no enumeration")
        out: dict[str, int] = {}
        for child in node:
            if _local(child.tag) == "EnumEntry":
                out[child.get("Name", "")] = _integer(self._child(child, "Value"), name)
        return out

    # ---------------------------------------------------------------- writing

    def set_int(self, name: str, value: int) -> None:
        """Set an integer; raises :class:`FeatureError` outside its limits."""
        self._check(name, value)
        self._store(name, value, 0)

    def set_float(self, name: str, value: float) -> None:
        """Set a number; raises :class:`FeatureError` outside its limits."""
        self._check(name, value)
        self._store(name, value, 0)

    def set_enum(self, name: str, entry: str) -> None:
        """Set an enumeration by the name of its entry."""
        entries = self.entries(name)
        if entry not in entries:
            raise FeatureError(f"{name} has no entry {entry!r}; it has {', '.join(entries)}")
        self._store(name, entries[entry], 0)

    def execute(self, name: str) -> None:
        """Execute a command."""
        node = self._node(name)
        if _local(node.tag) != "Command":
            raise FeatureError(f"{name} is no command")
        command = self._child(node, "pCommandValue")
        if command is not None:
            value: Number = self._value(command, 1)
        else:
            value = _integer(self._child(node, "CommandValue") or "1", name)
        self._store(name, value, 0)

    def limits(self, name: str) -> tuple[float | None, float | None]:
        """Return the limits of a number, None where there is none."""
        node = self._node(name)
        out: list[float | None] = []
        for tag in ("Min", "Max"):
            text, other = self._child(node, tag), self._child(node, "p" + tag)
            try:
                out.append(float(self._value(other, 1)) if other else None if text is None else _float(text))
            except ValueError:
                raise FeatureError(f"{name}: {tag} {text!r} is no number") from None
        return out[0], out[1]

    # ---------------------------------------------------------------- resolving

    def _node(self, name: str) -> ElementTree.Element:
        node = self._nodes.get(name)
        if node is None:
            raise FeatureError(f"the device has no feature {name}")
        return node

    @staticmethod
    def _child(node: ElementTree.Element, tag: str) -> str | None:
        for child in node:
            if _local(child.tag) == tag:
                return (child.text or "").strip()
        return None

    def _check(self, name: str, value: float) -> None:
        low, high = self.limits(name)
        if (low is not None and value < low) or (high is not None and value > high):
            raise FeatureError(f"{name}: {value:g} is outside {low} to {high}")

    def _value(self, name: str, depth: int) -> Number:
        if depth > MAX_DEPTH:
            raise FeatureError(f"{name}: description is nested too deeply")
        node = self._node(name)
        kind = _local(node.tag)
        if kind in ("IntReg", "MaskedIntReg", "FloatReg"):
            return self._read(node, kind, depth)
        if kind in ("IntSwissKnife", "SwissKnife"):
            return self._formula(name, node, "Formula", {}, depth, integer=kind == "IntSwissKnife")
        if kind in ("Converter", "IntConverter"):
            raw = self._value(self._pointer(name, node), depth + 1)
            return self._formula(
                name, node, "FormulaFrom", {"TO": raw}, depth, integer=kind == "IntConverter"
            )
        inner = self._child(node, "pValue")
        if inner is not None:
            value = self._value(inner, depth + 1)
            if kind == "Boolean":
                return int(value == _integer(self._child(node, "OnValue") or "1", name))
            return value
        text = self._child(node, "Value")
        if text is None:
            raise FeatureError(f"{name} ({kind}) has no value")
        if kind == "Float":
            try:
                return _float(text)
            except ValueError:
                raise FeatureError(f"{name}: {text!r} is no number") from None
        return _integer(text, name)

    def _store(self, name: str, value: Number, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise FeatureError(f"{name}: description is nested too deeply")
        node = self._node(name)
        kind = _local(node.tag)
        if kind in ("IntReg", "MaskedIntReg", "FloatReg"):
            self._write(name, node, kind, value, depth)
        elif kind in ("Converter", "IntConverter"):
            converted = self._formula(
                name, node, "FormulaTo", {"FROM": value}, depth, integer=kind == "IntConverter"
            )
            self._store(self._pointer(name, node), converted, depth + 1)
        elif kind in ("Integer", "Float", "Enumeration", "Command", "Boolean"):
            if kind == "Boolean":
                tag, default = ("OnValue", "1") if value else ("OffValue", "0")
                value = _integer(self._child(node, tag) or default, name)
            inner = self._child(node, "pValue")
            if inner is None and self._child(node, "Value") is not None:
                if self._value(name, depth) != value:
                    raise FeatureError(f"{name} is fixed")
                return
            self._store(self._pointer(name, node), value, depth + 1)
        else:
            raise FeatureError(f"{name} ({kind}) cannot be written")

    def _pointer(self, name: str, node: ElementTree.Element) -> str:
        inner = self._child(node, "pValue")
        if not inner:
            raise FeatureError(f"{name} leads to no register")
        return inner

    def _formula(
        self,
        name: str,
        node: ElementTree.Element,
        tag: str,
        given: dict[str, Number],
        depth: int,
        *,
        integer: bool,
    ) -> Number:
        variables = dict(given)
        formula = None
        for child in node:
            if _local(child.tag) == "pVariable":
                inner = (child.text or "").strip()
                variables[child.get("Name", "")] = self._value(inner, depth + 1)
            elif _local(child.tag) == tag:
                formula = child.text or ""
        if formula is None:
            raise FeatureError(f"{name} has no {tag}")
        try:
            return evaluate(formula, variables, integer=integer)
        except FormulaError as error:
            raise FeatureError(f"{name}: {error}") from None

    # ---------------------------------------------------------------- registers

    def _address(self, node: ElementTree.Element, depth: int) -> int:
        name = node.get("Name", "")
        address, found = 0, False
        for child in node:
            if _local(child.tag) == "Address":
                address += _integer(child.text, name)
                found = True
            elif _local(child.tag) == "pAddress":
                address += int(self._value((child.text or "").strip(), depth + 1))
                found = True
        if not found or not 0 <= address <= 0xFFFFFFFF:
            raise FeatureError(f"{name} has no address")
        return address

    def _length(self, node: ElementTree.Element, depth: int) -> int:
        pointer = self._child(node, "pLength")
        name = node.get("Name", "")
        length = (
            int(self._value(pointer, depth + 1)) if pointer else _integer(self._child(node, "Length"), name)
        )
        if not 0 < length <= 4096:
            raise FeatureError(f"{name}: length {length}")
        return length

    def _little(self, node: ElementTree.Element) -> bool:
        return (self._child(node, "Endianess") or "LittleEndian").lower().startswith("little")

    def _bytes(self, node: ElementTree.Element, depth: int) -> bytes:
        address, length = self._address(node, depth), self._length(node, depth)
        if length == 4 and address % 4 == 0:
            return struct.pack(">I", self._port.read_register(address))
        return self._port.read_memory(address, length)

    def _read(self, node: ElementTree.Element, kind: str, depth: int) -> Number:
        data = self._bytes(node, depth)
        little = self._little(node)
        if kind == "FloatReg":
            if len(data) not in (4, 8):
                raise FeatureError(f"{node.get('Name')}: float of {len(data)} bytes")
            return float(struct.unpack(("<" if little else ">") + ("f" if len(data) == 4 else "d"), data)[0])
        if len(data) > 8:
            raise FeatureError(f"{node.get('Name')}: integer of {len(data)} bytes")
        value = int.from_bytes(data, "little" if little else "big")
        bits = 8 * len(data)
        if kind == "MaskedIntReg":
            shift, bits = self._mask(node, bits, little)
            value = value >> shift & (1 << bits) - 1
        if self._child(node, "Sign") == "Signed" and value >> (bits - 1):
            value -= 1 << bits
        return value

    def _mask(self, node: ElementTree.Element, bits: int, little: bool) -> tuple[int, int]:
        """Return shift and width of a masked register; big endian numbers bits from the most significant."""
        name = node.get("Name", "")
        single = self._child(node, "Bit")
        low = _integer(single or self._child(node, "LSB"), name)
        high = _integer(single or self._child(node, "MSB"), name)
        if not little:
            low, high = bits - 1 - low, bits - 1 - high
        low, high = min(low, high), max(low, high)
        if low < 0 or high >= bits:
            raise FeatureError(f"{name}: bits outside the register")
        return low, high - low + 1

    def _write(self, name: str, node: ElementTree.Element, kind: str, value: Number, depth: int) -> None:
        address, length = self._address(node, depth), self._length(node, depth)
        little = self._little(node)
        if kind == "FloatReg":
            if length not in (4, 8):
                raise FeatureError(f"{name}: float of {length} bytes")
            data = struct.pack(("<" if little else ">") + ("f" if length == 4 else "d"), float(value))
        else:
            whole, bits = round(value), 8 * length
            if kind == "MaskedIntReg":
                shift, width = self._mask(node, bits, little)
                if not 0 <= whole < 1 << width:
                    raise FeatureError(f"{name}: {whole} does not fit {width} bits")
                kept = 0
                if width != bits and self._child(node, "AccessMode") != "WO":
                    kept = int.from_bytes(self._bytes(node, depth), "little" if little else "big")
                whole = kept & ~(((1 << width) - 1) << shift) | whole << shift
            if not -(1 << (bits - 1)) <= whole < 1 << bits:
                raise FeatureError(f"{name}: {whole} does not fit {length} bytes")
            data = (whole & (1 << bits) - 1).to_bytes(length, "little" if little else "big")
        if length == 4 and address % 4 == 0:
            self._port.write_register(address, struct.unpack(">I", data)[0])
        else:
            self._port.write_memory(address, data)


def _float(text: str) -> float:
    return float(int(text, 16)) if text.lower().startswith("0x") else float(text)
