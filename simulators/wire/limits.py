"""The limits on everything that a peer can send, in one place.

Rules of this file:

* Every size, count and length that comes from the wire is compared with a number of this file before
  anything is allocated for it.
* A limit is inclusive: the limit itself is accepted, one more is a :class:`RemoteProtocolError`.
* Where the standard has a number (AE 16, UID 64, 128 contexts), that number is the default.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """What one association may cost.  Lengths are bytes.

    Raises ``ValueError`` for a limit under which no association is possible.
    """

    data_length: int = 1 << 20
    """Length of the variable field of a P-DATA-TF PDU.  The smaller one of this and the maximum length that
    our side announced (PS3.8 D.1; 0 announces no limit) is enforced."""
    associate_length: int = 1 << 18
    """Length of the variable field of an A-ASSOCIATE-RQ or -AC PDU."""
    contexts: int = 128
    """Presentation contexts in an A-ASSOCIATE-RQ or -AC (the odd numbers 1 to 255, PS3.8 9.3.2.2)."""
    transfer_syntaxes: int = 256
    """Transfer syntaxes proposed for one presentation context."""
    user_items: int = 512
    """Items within one User Information item, and other items of an A-ASSOCIATE PDU."""
    related_classes: int = 256
    """Related general SOP classes in one common extended negotiation item."""
    ae_title: int = 16
    """Characters of an AE title in a DIMSE command (in a PDU the field has 16 bytes)."""
    uid: int = 64
    """Characters of a UID."""
    version_name: int = 16
    """Characters of an implementation version name (PS3.7 D.3.3.2)."""
    user_identity: int = 1 << 16
    """Bytes of one field of user identity, or of application information of extended negotiation."""
    pdvs: int = 4096
    """Presentation data values in one P-DATA-TF PDU."""
    command_length: int = 1 << 16
    """Bytes of one DIMSE command set."""
    command_elements: int = 64
    """Elements of one DIMSE command set."""
    dataset_length: int = 1 << 32
    """Bytes of the data set of one DIMSE message (it is streamed, never kept here)."""
    message_pdvs: int = 1 << 24
    """Presentation data values of one DIMSE message (a peer may send empty ones)."""
    receive_buffer: int = 1 << 18
    """Bytes that the receive buffer grows to for speed when a peer sends much.  It grows beyond only for a
    single larger PDU within ``data_length`` or ``associate_length``."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                raise ValueError(f"limit {field.name} must be a positive integer, not {value!r}")
        if self.data_length < 7:
            raise ValueError("data_length below 7 cannot carry a single byte")


DEFAULT_LIMITS = Limits()
