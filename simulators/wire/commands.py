"""DIMSE command sets: the codec and the table of what each message must carry (PS3.7 6.3, 9.3, 10.3, E).

Rules of this file:

* A :class:`Command` is a small dict of elements; :func:`encode_command` writes whatever is in it, so that a
  scenario can leave out or forge anything.
* :func:`decode_command` is strict: implicit VR little endian, group 0000 only, elements ascending and unique, the
  group length right, every element that
  :data:`~simulators.wire.commandtable.MESSAGES` names there, a data set announced where one must follow and
  not where none may.  Anything else is a :class:`RemoteProtocolError`.
* Unknown and retired elements of group 0000 stay as bytes.
"""

from __future__ import annotations

import struct
from typing import Final

from simulators.wire.commandtable import (
    COMMAND_ELEMENTS,
    ELEMENTS,
    MESSAGES,
    NO_DATASET,
    Dataset,
    Field,
    Value,
)
from simulators.wire.errors import LocalProtocolError, RemoteProtocolError
from simulators.wire.limits import DEFAULT_LIMITS, Limits
from simulators.wire.useritems import encode_text, read_uid

_ELEMENT: Final = struct.Struct("<HHI")
_US: Final = struct.Struct("<HHIH")
_UL: Final = struct.Struct("<HHII")
_AT: Final = struct.Struct("<HH")
_SHORTS: Final = frozenset(number for number, (_, vr) in COMMAND_ELEMENTS.items() if vr == "US")
_NAMES: Final[dict[int, str]] = {field: field.name.replace("_", "-") for field in Field}
_FIELDS: Final[dict[str, Field]] = {name: Field(field) for field, name in _NAMES.items()}


class Command:
    """A command set: ``elements`` is a plain dict {element number in group 0000: value}, without the group length.

    Two commands are equal when their elements are.  Properties give 0 or "" for what is not there.
    """

    __slots__ = ("elements",)

    def __init__(self, elements: dict[int, Value]) -> None:
        self.elements = elements

    @classmethod
    def new(cls, name: str | Field, *, dataset: bool | None = None, **elements: Value | None) -> Command:
        """A command by its name ("C-STORE-RQ") and keywords, e.g. ``MessageID=1``.

        ``dataset``: whether a data set follows; by default as the message must have it, and not where it may.
        Priority is 0 (medium) where the message needs one.  None leaves an element out.  Raises
        :class:`LocalProtocolError` for an unknown name or keyword.
        """
        try:
            field = _FIELDS[name] if isinstance(name, str) else Field(name)
        except (KeyError, ValueError):
            raise LocalProtocolError(f"no DIMSE message is called {name!r}") from None
        kind = MESSAGES[field]
        if dataset is None:
            dataset = kind.dataset is Dataset.ALWAYS
        values: dict[int, Value] = {0x0100: int(field), 0x0800: 0x0001 if dataset else NO_DATASET}
        if 0x0700 in kind.required:
            values[0x0700] = 0
        for keyword, value in elements.items():
            number = ELEMENTS.get(keyword)
            if number is None:
                raise LocalProtocolError(f"{keyword} is not a command element")
            if value is None:
                values.pop(number, None)
            else:
                values[number] = value
        return cls(values)

    def reply(self, status: int = 0, *, dataset: bool = False, **elements: Value | None) -> Command:
        """The response to this request: its message id, SOP class and instance, event or action taken over."""
        mine = self.elements
        values: dict[int, Value] = {
            0x0100: self.field | 0x8000,
            0x0120: self.message_id,
            0x0800: 0x0001 if dataset else NO_DATASET,
            0x0900: status,
        }
        if sop_class := mine.get(0x0002) or mine.get(0x0003):
            values[0x0002] = sop_class
        if sop_instance := mine.get(0x1000) or mine.get(0x1001):
            values[0x1000] = sop_instance
        for number in (0x1002, 0x1008):
            if number in mine:
                values[number] = mine[number]
        for keyword, value in elements.items():
            if keyword not in ELEMENTS:
                raise LocalProtocolError(f"{keyword} is not a command element")
            if value is None:
                values.pop(ELEMENTS[keyword], None)
            else:
                values[ELEMENTS[keyword]] = value
        return Command(values)

    def get(self, keyword: str) -> Value | None:
        """The value of an element by keyword ("MoveDestination"), or None; ``KeyError`` for an unknown keyword."""
        return self.elements.get(ELEMENTS[keyword])

    def _number(self, element: int) -> int:
        value = self.elements.get(element, 0)
        return value if type(value) is int else 0

    def _text(self, element: int, other: int) -> str:
        value = self.elements.get(element) or self.elements.get(other)
        return value if type(value) is str else ""

    @property
    def field(self) -> int:
        """Command Field; one of :class:`Field` in every command that was received."""
        return self._number(0x0100)

    @property
    def name(self) -> str:
        """The message's name, "C-STORE-RQ"."""
        return _NAMES.get(self.field, f"{self.field:04X}H")

    @property
    def is_request(self) -> bool:
        """Whether this is a request (C-CANCEL-RQ too)."""
        return not self.field & 0x8000

    @property
    def message_id(self) -> int:
        """Message ID of a request."""
        return self._number(0x0110)

    @property
    def responded_to(self) -> int:
        """Message ID Being Responded To, of a response and of C-CANCEL-RQ."""
        return self._number(0x0120)

    @property
    def status(self) -> int:
        """Status of a response."""
        return self._number(0x0900)

    @property
    def priority(self) -> int:
        """Priority: 0 medium, 1 high, 2 low."""
        return self._number(0x0700)

    @property
    def has_dataset(self) -> bool:
        """Whether a data set follows."""
        return self.elements.get(0x0800, NO_DATASET) != NO_DATASET

    @property
    def sop_class(self) -> str:
        """Affected, else Requested SOP Class UID."""
        return self._text(0x0002, 0x0003)

    @property
    def sop_instance(self) -> str:
        """Affected, else Requested SOP Instance UID."""
        return self._text(0x1000, 0x1001)

    def __eq__(self, other: object) -> bool:
        return self.elements == other.elements if isinstance(other, Command) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # elements may change

    def __repr__(self) -> str:
        parts = []
        for number, value in sorted(self.elements.items()):
            keyword = COMMAND_ELEMENTS[number][0] if number in COMMAND_ELEMENTS else f"{number:04X}"
            if keyword not in ("CommandField", "CommandDataSetType"):
                parts.append(f"{keyword}={value!r}")
        return f"<{self.name} {', '.join(parts)}{' + data set' if self.has_dataset else ''}>"


# -- writing ------------------------------------------------------------------------------------------------


def encode_command(command: Command) -> bytes:
    """Implicit VR little endian, group length first, elements ascending.  Checks nothing.

    Raises :class:`LocalProtocolError` only for a number that has no place in its element.
    """
    parts = [b""]
    elements = command.elements
    try:
        for number in sorted(elements):
            value = elements[number]
            if isinstance(value, int):
                if number in _SHORTS:
                    parts.append(_US.pack(0, number, 2, value))
                else:
                    parts.append(_UL.pack(0, number, 4, value))
            else:
                data = _value_bytes(number, value)
                parts.append(_ELEMENT.pack(0, number, len(data)))
                parts.append(data)
    except struct.error as error:
        raise LocalProtocolError(f"{command!r} cannot be written: {error}") from None
    parts[0] = _UL.pack(0, 0, 4, sum(map(len, parts)))
    return b"".join(parts)


def _value_bytes(number: int, value: str | bytes | tuple[int, ...]) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, tuple):
        return b"".join(_AT.pack(tag >> 16, tag & 0xFFFF) for tag in value)
    data = encode_text(value)
    if len(data) & 1:
        data += b"\0" if number in COMMAND_ELEMENTS and COMMAND_ELEMENTS[number][1] == "UI" else b" "
    return data


# -- reading ------------------------------------------------------------------------------------------------


def decode_command(data: bytes | bytearray | memoryview, limits: Limits = DEFAULT_LIMITS) -> Command:
    """Read a whole command set strictly; raises :class:`RemoteProtocolError`."""
    data = bytes(data)
    end = len(data)
    if end > limits.command_length:
        raise RemoteProtocolError(f"command set of {end} bytes, at most {limits.command_length} allowed")
    if end < 12 or _ELEMENT.unpack_from(data) != (0, 0, 4):
        raise RemoteProtocolError("a command set must begin with its group length")
    if int.from_bytes(data[8:12], "little") != end - 12:
        raise RemoteProtocolError(
            f"command group length {int.from_bytes(data[8:12], 'little')}, the set has {end - 12} bytes after it"
        )
    elements: dict[int, Value] = {}
    position, previous = 12, 0
    unpack = _ELEMENT.unpack_from
    while position < end:
        if end - position < 8:
            raise RemoteProtocolError("an element header ends beyond the command set")
        group, number, length = unpack(data, position)
        position += 8
        after = position + length
        if group != 0 or number <= previous:
            raise RemoteProtocolError(f"element ({group:04X},{number:04X}) after (0000,{previous:04X})")
        if after > end or length & 1:
            raise RemoteProtocolError(f"element (0000,{number:04X}) has length {length}")
        if number in _SHORTS and length == 2:
            elements[number] = data[position] | data[position + 1] << 8
        else:
            elements[number] = _read_value(number, data[position:after], limits)
        position, previous = after, number
    if len(elements) > limits.command_elements:
        raise RemoteProtocolError(f"more than {limits.command_elements} elements in a command set")
    return _checked(Command(elements))


def _read_value(number: int, data: bytes, limits: Limits) -> Value:
    known = COMMAND_ELEMENTS.get(number)
    if known is None:
        return data
    keyword, vr = known
    if vr == "UI":
        # An empty UID is no UID, but only elements that must be there must have a value.
        return read_uid(data[:-1] if data.endswith(b"\0") else data, limits.uid) if data else ""
    if vr == "US":
        raise RemoteProtocolError(f"{keyword} has {len(data)} bytes instead of 2")
    if vr == "AT":
        if len(data) % 4:
            raise RemoteProtocolError(f"{keyword} has {len(data)} bytes, not a multiple of 4")
        words = struct.unpack(f"<{len(data) // 2}H", data)
        return tuple(group << 16 | element for group, element in zip(words[::2], words[1::2], strict=True))
    return _read_text(keyword, data, limits.ae_title if vr == "AE" else 64, title=vr == "AE")


def _read_text(keyword: str, data: bytes, limit: int, *, title: bool) -> str:
    text = data.decode("latin-1").rstrip(" ")
    if title:
        text = text.lstrip(" ")
    if len(text) > limit or any(c < " " or c == "\\" for c in text) or (title and not text.isascii()):
        raise RemoteProtocolError(f"{keyword} is not a text of at most {limit} characters: {data[:80]!r}")
    return text


def _checked(command: Command) -> Command:
    elements = command.elements
    kind = MESSAGES.get(command.field)
    if kind is None:
        raise RemoteProtocolError(f"unknown command field {elements.get(0x0100)!r}")
    if not kind.required <= elements.keys():
        missing = ", ".join(COMMAND_ELEMENTS[number][0] for number in sorted(kind.required - elements.keys()))
        raise RemoteProtocolError(f"{command.name} lacks {missing}")
    if "" in elements.values():
        for number in kind.required:
            if elements[number] == "":
                raise RemoteProtocolError(f"{command.name} has an empty {COMMAND_ELEMENTS[number][0]}")
    if kind.dataset is not Dataset.MAYBE and command.has_dataset is not bool(kind.dataset):
        raise RemoteProtocolError(
            f"{command.name} {'without' if kind.dataset else 'with'} a data set "
            f"(Command Data Set Type {elements[0x0800]!r})"
        )
    return command
