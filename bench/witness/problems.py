"""Everything that the witness may find unreadable, as a closed list of codes.

Rules of this file:

* A code names what is wrong with the *bytes or their order*; who may be blamed, and by which rule of the standard,
  is decided by the checks.
* ``EVIDENCE`` codes say that the capture has a hole; they never speak against anybody.
"""

from __future__ import annotations

from typing import Final

EVIDENCE: Final[dict[str, str]] = {
    "capture-cut": "the capture file ends within a record",
    "capture-broken": "a record of the capture file is impossible; what follows it in that file is not read",
    "capture-link": "frames of a link layer that is not decoded",
    "capture-fragments": "IP fragments that never became whole",
    "frame-cut": "frames were captured only in part (snap length), so bytes of the stream are missing",
    "gap": "bytes of the TCP stream are not in the capture",
    "stray": "segments far outside of the stream's window were left out",
    "mid-stream": "the conversation began before the capture",
    "one-direction": "only one direction of the conversation was captured",
    "resynchronised": "after a gap, bytes were skipped up to the next plausible PDU",
    "context-unseen": "the negotiation of this presentation context is not in the capture",
    "transfer-syntax-guessed": "no transfer syntax was accepted for this context: the one used was guessed",
    "reader-failed": "the witness itself failed on these bytes",
    "pdu-open": "the capture ends within a PDU",
    "message-open": "the capture ends, or has a gap, within a message",
    "pdu-stopped": "the other side ended the association or connection within a PDU",
    "message-stopped": "the other side ended the association or connection within a message",
    "left-out": "more of the same was found than is listed",
}
"""Holes in the evidence, and ends for which the sender is not to blame: no fault of anybody."""

FOREIGN: Final[dict[str, str]] = {
    "not-dicom": "a conversation on a port that speaks DICOM is not DICOM",
}

UPPER_LAYER: Final[dict[str, str]] = {
    "pdu-type": "a PDU type that PS3.8 does not know (9.3.1)",
    "pdu-length": "a PDU length that its type cannot have (PS3.8 9.3)",
    "pdu-cut": "the sender closed the connection within a PDU",
    "pdu-too-long": "a P-DATA-TF PDU longer than the receiver announced (PS3.8 D.1)",
    "pdu-unexpected": "a PDU in a state that does not allow it (PS3.8 9.2)",
    "pdu-after-end": "bytes after the association had ended (released, rejected or aborted)",
    "pdu-garbage": "bytes that are no PDU at all",
    "reserved": "a reserved field that is not zero (PS3.8 9.3)",
    "item-length": "an item whose length does not fit what holds it (PS3.8 9.3.2, D)",
    "item-unexpected": "an item where it has no place (PS3.8 9.3.2)",
    "item-missing": "an item that must be there is missing (PS3.8 9.3.2)",
    "item-unknown": "an item of a type that PS3.8 and PS3.7 do not know",
    "item-order": "items in another order than PS3.8 9.3.2 lists them",
    "uid-padding": "a UID of an association item with trailing NUL or space (PS3.8 F)",
    "associate-value": "a field of an association PDU that holds what it cannot hold",
}

PRESENTATION_DATA: Final[dict[str, str]] = {
    "pdv-length": "a presentation data value whose length does not fit its PDU (PS3.8 9.3.5.1)",
    "pdv-control": "a message control header with other bits than 0 and 1 (PS3.8 E.2)",
    "pdv-empty": "a P-DATA-TF PDU without any presentation data value (PS3.8 9.3.5)",
    "pdv-odd": "a fragment of an odd number of bytes",
    "pdu-mixed": "one P-DATA-TF PDU holds parts of two messages",
    "context-unknown": "a presentation context id that was never proposed (PS3.8 9.3.5.1)",
    "context-refused": "a presentation context that was not accepted",
    "context-changed": "the fragments of one message have different presentation context ids (PS3.8 E.2)",
    "command-in-dataset": "a command fragment where the data set was to follow (PS3.7 6.3.1)",
    "dataset-without-command": "a data set fragment that belongs to no command (PS3.7 6.3.1)",
    "dataset-unannounced": "a data set behind a command that said there is none (PS3.7 E.1)",
    "dataset-missing": "a command said that a data set follows, and another command came (PS3.7 E.1)",
    "command-cut": "the sender ended within a command set",
    "message-cut": "the sender ended within a message",
    "command-long": "a command set that is too long to be one",
    "command-undecodable": "a command set that is no Implicit VR Little Endian data set of group 0000 (PS3.7 6.3.1)",
    "command-field": "an unknown or missing Command Field (PS3.7 E.1)",
    "command-dataset-type": "Command Data Set Type is missing (PS3.7 E.1)",
    "dataset-undecodable": "a data set of which nothing could be read",
}

CODES: Final[dict[str, str]] = {**EVIDENCE, **FOREIGN, **UPPER_LAYER, **PRESENTATION_DATA}
"""Code -> what it says."""

PER_CODE: Final = 40
"""Problems of one code that are listed for one association; the rest is counted ("left-out")."""
