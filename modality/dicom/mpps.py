"""MPPS SCU: N-CREATE on one association, N-SET on a second one (VX-MPPS-001 … 008).

Rules of this file:

* The instance UID is ours and is sent (VX-D-17), so that a message whose answer was lost can be sent again: 0111
  (duplicate) to our own UID then means that it arrived the first time (field issue PP-05).
* Warnings (0001, 0107, 0116, Bxxx) are success (PP-08); everything else is a :class:`ServiceFailure` (VX-D-18).
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import N_CREATE, N_SET

from ..config import Config, Peer
from ..notices import ServiceFailure
from .association import answered, ask, associate, comment
from .uids import MPPS

SERVICE = "mpps"
_MESSAGE = 1
_DUPLICATE = 0x0111
_WARNINGS = (0x0001, 0x0107, 0x0116)


def create(config: Config, peer: Peer, sop_instance: str, attributes: Dataset) -> int:
    """Send the N-CREATE; return the status (0 or a warning).

    Raises:
        ServiceFailure: it did not arrive or was refused.
    """
    when = "while waiting for the N-CREATE answer"
    with associate(config, peer, SERVICE) as association:
        ask(association, N_CREATE, _MESSAGE, sop_instance)
        status, _ = association.send_n_create(attributes, MPPS, sop_instance, msg_id=_MESSAGE)
        code = answered(config, peer, SERVICE, association, status, when)
    if code == _DUPLICATE:
        return 0
    return _judge(peer, "N-CREATE", code, status)


def set_final(config: Config, peer: Peer, sop_instance: str, changes: Dataset) -> int:
    """Send the N-SET; return the status (0 or a warning).

    Raises:
        ServiceFailure: it did not arrive or was refused.
    """
    when = "while waiting for the N-SET answer"
    with associate(config, peer, SERVICE) as association:
        ask(association, N_SET, _MESSAGE, sop_instance)
        status, _ = association.send_n_set(changes, MPPS, sop_instance, msg_id=_MESSAGE)
        code = answered(config, peer, SERVICE, association, status, when)
    return _judge(peer, "N-SET", code, status)


def _judge(peer: Peer, request: str, code: int, status: Dataset) -> int:
    if code == 0 or code in _WARNINGS or code & 0xF000 == 0xB000:
        return code
    details = {"status": f"{code:04X}"}
    error_id = status.get("ErrorID")
    if error_id is not None:
        details["error_id"] = f"{int(error_id):04X}"
    text = f"{peer.name}: {request} was answered with status {code:04X}{comment(status)}"
    raise ServiceFailure(SERVICE, peer.name, text, **details)
