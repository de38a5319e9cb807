"""DIMSE on one page: commands, messages, and their way through presentation data values (PS3.7).

Public names of :mod:`simulators.wire.commandtable`, ``commands``, ``messages`` and ``status``.
"""

from simulators.wire.commands import Command, decode_command, encode_command
from simulators.wire.commandtable import (
    COMMAND_ELEMENTS,
    ELEMENTS,
    MESSAGES,
    NO_DATASET,
    Dataset,
    Field,
    MessageType,
    Value,
)
from simulators.wire.messages import (
    Assembler,
    DatasetFragment,
    MessageComplete,
    MessageEvent,
    MessageStarted,
    fragments,
)
from simulators.wire.status import STATUS_TEXT, Category, category, describe

__all__ = [
    "COMMAND_ELEMENTS",
    "ELEMENTS",
    "MESSAGES",
    "NO_DATASET",
    "STATUS_TEXT",
    "Assembler",
    "Category",
    "Command",
    "Dataset",
    "DatasetFragment",
    "Field",
    "MessageComplete",
    "MessageEvent",
    "MessageStarted",
    "MessageType",
    "Value",
    "category",
    "decode_command",
    "describe",
    "encode_command",
    "fragments",
]
