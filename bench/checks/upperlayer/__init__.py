"""The rules of the upper layer: association requests and answers, P-DATA, states, ends (STD-UL-…).

What the witness finds unreadable becomes a rule by its code (:data:`RULES_OF_CODES`), when the SUT sent it.
"""

from __future__ import annotations

from typing import Final

WALKED: Final = "STD-UL-001 to -033: the bytes of association PDUs are walked again by the checks"

RULES_OF_CODES: Final[dict[str, str]] = {
    "pdu-type": "STD-UL-050",
    "pdu-garbage": "STD-UL-050",
    "pdu-length": "STD-UL-051",
    "pdu-cut": "STD-UL-051, or -056 on an established association",
    "pdu-too-long": "STD-UL-040",
    "pdu-unexpected": "STD-UL-052, -053, -055: the order of PDUs is judged by the checks",
    "pdu-after-end": "STD-UL-058, -053",
    "reserved": "STD-UL-023",
    "item-length": WALKED,
    "item-unexpected": WALKED,
    "item-missing": WALKED,
    "item-unknown": WALKED,
    "item-order": WALKED,
    "uid-padding": WALKED,
    "associate-value": WALKED,
    "pdv-length": "STD-UL-041",
    "pdv-empty": "STD-UL-041",
    "pdv-control": "STD-UL-042",
    "pdv-odd": "STD-UL-044, unless the whole command or data set is odd",
    "pdu-mixed": "STD-UL-046",
    "context-unknown": "STD-UL-043",
    "context-refused": "STD-UL-043",
    "context-changed": "STD-UL-045",
    "command-in-dataset": "STD-UL-045",
    "dataset-without-command": "STD-UL-045, or STD-DIMSE-020",
    "dataset-unannounced": "STD-DIMSE-020",
    "dataset-missing": "STD-DIMSE-020",
    "command-cut": "STD-UL-047",
    "message-cut": "STD-UL-047",
    "command-long": "STD-DIMSE-001",
    "command-undecodable": "STD-DIMSE-001",
    "command-field": "STD-DIMSE-005",
    "command-dataset-type": "STD-DIMSE-006",
    "dataset-undecodable": "the rules of data sets (STD-DS)",
}
"""Code of the witness -> rule of the standard."""
