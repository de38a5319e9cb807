"""What an association knows about one message, how it may end, and what a status fault answers.

Rules of this file:

* Values and small pure functions only; :mod:`simulators.dicom.association` does things with them.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from typing import Any, Final

from simulators.dicom.faults import Fault
from simulators.dicom.service import Answer, Refused, Request, Sink
from simulators.wire import dimse

CANCEL: Final = int(dimse.Field.C_CANCEL_RQ)
NAMES: Final = {int(field): field.name.replace("_", "-") for field in dimse.Field}
"""Command field -> the message's name."""
_TIMEVAL: Final = struct.Struct("@ll")


def timeval(seconds: float) -> bytes:
    """A kernel time-out; never zero, which would mean none."""
    whole = int(seconds)
    return _TIMEVAL.pack(whole, max(int((seconds - whole) * 1e6), 0 if whole else 1000))


class Ended(Exception):
    """The association is over; ``how`` says why, the socket is still open."""

    def __init__(self, how: str, by: str = "peer") -> None:
        super().__init__(how)
        self.how = how
        self.by = by


class Message:
    """A message that is arriving, or waits for its answer."""

    __slots__ = (
        "asks",
        "byte_faults",
        "bytes",
        "context_id",
        "faults",
        "field",
        "msgid",
        "refused",
        "request",
        "sink",
        "sop_class",
        "sop_instance",
        "started",
        "told",
    )

    def __init__(self, request: Request, field: int, sink: Sink) -> None:
        elements = request.command.elements
        self.request = request
        self.context_id = request.context_id
        self.sink = sink
        self.started = time.monotonic_ns()
        self.field = field
        # A response and C-CANCEL name the message that they are about (0000,0120).
        self.msgid = elements.get(0x0110) if 0x0110 in elements else elements.get(0x0120)
        self.sop_class = str(elements.get(0x0002) or elements.get(0x0003) or "")
        self.sop_instance = str(elements.get(0x1000) or elements.get(0x1001) or "")
        self.asks = not field & 0x8000 and field != CANCEL
        self.told = False
        self.bytes = 0
        self.refused: Refused | None = None
        self.faults: Sequence[Fault] = ()
        self.byte_faults: list[Fault] | None = None


def performs(fault: Fault) -> bool:
    """Whether the request is performed although its status is replaced: for success and warnings, unless said."""
    stated = fault.args.get("perform")
    if stated is not None:
        return bool(stated)
    status = int(fault.args["status"])
    return status in (0x0000, 0x0001, 0x0107, 0x0116) or status & 0xF000 == 0xB000


def extra_elements(fault: Fault) -> dict[str, Any]:
    """Command elements that a status fault adds to the response."""
    extra: dict[str, Any] = {}
    if "comment" in fault.args:
        extra["ErrorComment"] = fault.args["comment"]
    if "error_id" in fault.args:
        extra["ErrorID"] = fault.args["error_id"]
    return extra


def fault_answer(fault: Fault) -> Answer:
    """The response to a request that a status fault keeps from being performed."""
    return Answer(int(fault.args["status"]), None, extra_elements(fault))
