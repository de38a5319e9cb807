"""The command elements and messages of DIMSE, as PS3.7 lists them (9.1, 9.3, 10.1, 10.3, E.1).

Rules of this file: facts of the standard and no code that acts on them; that is :mod:`simulators.wire.commands`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias


class Field(IntEnum):
    """Command Field (0000,0100), PS3.7 E.1."""

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

NO_DATASET: Final = 0x0101
"""Command Data Set Type that says: no data set follows.  Every other value says one does."""

COMMAND_ELEMENTS: Final[dict[int, tuple[str, str]]] = {
    0x0002: ("AffectedSOPClassUID", "UI"),
    0x0003: ("RequestedSOPClassUID", "UI"),
    0x0100: ("CommandField", "US"),
    0x0110: ("MessageID", "US"),
    0x0120: ("MessageIDBeingRespondedTo", "US"),
    0x0600: ("MoveDestination", "AE"),
    0x0700: ("Priority", "US"),
    0x0800: ("CommandDataSetType", "US"),
    0x0900: ("Status", "US"),
    0x0901: ("OffendingElement", "AT"),
    0x0902: ("ErrorComment", "LO"),
    0x0903: ("ErrorID", "US"),
    0x1000: ("AffectedSOPInstanceUID", "UI"),
    0x1001: ("RequestedSOPInstanceUID", "UI"),
    0x1002: ("EventTypeID", "US"),
    0x1005: ("AttributeIdentifierList", "AT"),
    0x1008: ("ActionTypeID", "US"),
    0x1020: ("NumberOfRemainingSuboperations", "US"),
    0x1021: ("NumberOfCompletedSuboperations", "US"),
    0x1022: ("NumberOfFailedSuboperations", "US"),
    0x1023: ("NumberOfWarningSuboperations", "US"),
    0x1030: ("MoveOriginatorApplicationEntityTitle", "AE"),
    0x1031: ("MoveOriginatorMessageID", "US"),
}
"""Element number within group 0000 -> keyword and VR.  The group length is not among them: it is computed."""
ELEMENTS: Final[dict[str, int]] = {keyword: number for number, (keyword, _) in COMMAND_ELEMENTS.items()}
"""Keyword -> element number within group 0000 (PS3.7 E.1)."""


class Dataset(IntEnum):
    """Whether a data set follows the command set of a message."""

    NEVER = 0
    ALWAYS = 1
    MAYBE = 2


@dataclass(frozen=True, slots=True)
class MessageType:
    """What PS3.7 says about one message: the elements that must be there, and whether a data set follows.

    Elements that the services of PS3.7 9.1 and 10.1 call mandatory are required; conditional and user-option ones
    are not.
    """

    required: frozenset[int]
    dataset: Dataset


def _message(dataset: Dataset, *keywords: str) -> MessageType:
    return MessageType(
        frozenset(ELEMENTS[k] for k in ("CommandField", "CommandDataSetType", *keywords)), dataset
    )


_CLASS, _INSTANCE = "AffectedSOPClassUID", "AffectedSOPInstanceUID"
_REQUESTED: Final = ("MessageID", "RequestedSOPClassUID", "RequestedSOPInstanceUID")
_RESPONSE: Final = ("MessageIDBeingRespondedTo", "Status")

MESSAGES: Final[dict[int, MessageType]] = {
    Field.C_STORE_RQ: _message(Dataset.ALWAYS, "MessageID", _CLASS, _INSTANCE, "Priority"),
    Field.C_STORE_RSP: _message(Dataset.NEVER, *_RESPONSE),
    Field.C_FIND_RQ: _message(Dataset.ALWAYS, "MessageID", _CLASS, "Priority"),
    Field.C_FIND_RSP: _message(Dataset.MAYBE, *_RESPONSE),
    Field.C_GET_RQ: _message(Dataset.ALWAYS, "MessageID", _CLASS, "Priority"),
    Field.C_GET_RSP: _message(Dataset.MAYBE, *_RESPONSE),
    Field.C_MOVE_RQ: _message(Dataset.ALWAYS, "MessageID", _CLASS, "Priority", "MoveDestination"),
    Field.C_MOVE_RSP: _message(Dataset.MAYBE, *_RESPONSE),
    Field.C_ECHO_RQ: _message(Dataset.NEVER, "MessageID", _CLASS),
    Field.C_ECHO_RSP: _message(Dataset.NEVER, *_RESPONSE),
    Field.C_CANCEL_RQ: _message(Dataset.NEVER, "MessageIDBeingRespondedTo"),
    Field.N_EVENT_REPORT_RQ: _message(Dataset.MAYBE, "MessageID", _CLASS, _INSTANCE, "EventTypeID"),
    Field.N_EVENT_REPORT_RSP: _message(Dataset.MAYBE, *_RESPONSE),
    Field.N_GET_RQ: _message(Dataset.NEVER, *_REQUESTED),
    Field.N_GET_RSP: _message(Dataset.MAYBE, *_RESPONSE),
    Field.N_SET_RQ: _message(Dataset.ALWAYS, *_REQUESTED),
    Field.N_SET_RSP: _message(Dataset.MAYBE, *_RESPONSE),
    Field.N_ACTION_RQ: _message(Dataset.MAYBE, *_REQUESTED, "ActionTypeID"),
    Field.N_ACTION_RSP: _message(Dataset.MAYBE, *_RESPONSE),
    Field.N_CREATE_RQ: _message(Dataset.MAYBE, "MessageID", _CLASS),
    Field.N_CREATE_RSP: _message(Dataset.MAYBE, *_RESPONSE),
    Field.N_DELETE_RQ: _message(Dataset.NEVER, *_REQUESTED),
    Field.N_DELETE_RSP: _message(Dataset.NEVER, *_RESPONSE),
}
"""Every message of PS3.7 by its command field."""
