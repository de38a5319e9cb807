"""DIMSE command sets: the codec and the table of what each message must carry (PS3.7 9.3, 10.3, E).

A :class:`Command` is a small mapping of command elements by keyword, e.g.
``Command.new("C-ECHO-RQ", MessageID=1, AffectedSOPClassUID="1.2.840.10008.1.1")``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from simulators.wire.limits import DEFAULT_LIMITS, Limits


class Field(IntEnum):
    """Command Field (0000,0100)."""

    C_STORE_RQ = 0x0001
    C_GET_RQ = 0x0010
    C_FIND_RQ = 0x0020
    C_MOVE_RQ = 0x0021
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_GET_RQ = 0x0110
    N_SET_RQ = 0x0120
    N_ACTION_RQ = 0x0130
    N_CREATE_RQ = 0x0140
    N_DELETE_RQ = 0x0150
    C_CANCEL_RQ = 0x0FFF
    C_STORE_RSP = 0x8001
    C_GET_RSP = 0x8010
    C_FIND_RSP = 0x8020
    C_MOVE_RSP = 0x8021
    C_ECHO_RSP = 0x8030
    N_EVENT_REPORT_RSP = 0x8100
    N_GET_RSP = 0x8110
    N_SET_RSP = 0x8120
    N_ACTION_RSP = 0x8130
    N_CREATE_RSP = 0x8140
    N_DELETE_RSP = 0x8150


Value: TypeAlias = int | str | tuple[int, ...] | bytes
"""US and UL: int; UI, AE, LO: str; AT: tuple of 32-bit tags; unknown elements: bytes."""


class Command:
    """A command set: elements by tag within group 0000, without the group length (which is computed).

    ``elements`` is a plain dict {element number: value}; two commands are equal when these are.
    """

    __slots__ = ("elements",)
    elements: dict[int, Value]

    def __init__(self, elements: dict[int, Value]) -> None:
        self.elements = elements

    @classmethod
    def new(cls, name: str | Field, *, dataset: bool = False, **elements: Value) -> Command:
        """A command by its name ("C-STORE-RQ") and keywords; ``dataset``: whether a data set follows."""
        raise NotImplementedError

    def reply(self, status: int = 0, *, dataset: bool = False, **elements: Value) -> Command:
        """The response to this request: its field, message id, SOP class and instance taken over."""
        raise NotImplementedError

    def get(self, keyword: str) -> Value | None:
        """The value of an element by keyword ("MoveDestination"), or None."""
        raise NotImplementedError

    # properties: field (int), name ("C-STORE-RQ"), is_request, message_id (int), responded_to (int),
    # status (int), priority, has_dataset (bool), sop_class (Affected or Requested; "" if none),
    # sop_instance (likewise)


def encode_command(command: Command) -> bytes:
    """Implicit VR little endian with group length, elements ascending.  Checks nothing."""
    raise NotImplementedError


def decode_command(data: bytes | bytearray | memoryview, limits: Limits = DEFAULT_LIMITS) -> Command:
    """Read a whole command set strictly; raises ``RemoteProtocolError``."""
    raise NotImplementedError
