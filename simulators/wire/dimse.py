"""DIMSE on one page: commands, messages, and their way through presentation data values (PS3.7).

Public names of :mod:`simulators.wire.commands` and :mod:`simulators.wire.messages`.
"""

from simulators.wire.commands import Command as Command
from simulators.wire.commands import Field as Field
from simulators.wire.commands import decode_command as decode_command
from simulators.wire.commands import encode_command as encode_command
from simulators.wire.messages import Assembler as Assembler
from simulators.wire.messages import DatasetFragment as DatasetFragment
from simulators.wire.messages import MessageComplete as MessageComplete
from simulators.wire.messages import MessageEvent as MessageEvent
from simulators.wire.messages import MessageStarted as MessageStarted
from simulators.wire.messages import fragments as fragments
