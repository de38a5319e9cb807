"""Verification SCU (VX-VER-001 … 005, MX-VER-001 … 008): one association, one C-ECHO, release.

Rules of this file: success is status 0000H and nothing else; every other end is a :class:`ServiceFailure`.
"""

from __future__ import annotations

import time

from pynetdicom.dimse_primitives import C_ECHO

from ..config import Config, Peer
from ..notices import ServiceFailure
from .association import answered, ask, associate, comment

SERVICE = "verification"
_MESSAGE = 1


def verify(config: Config, peer: Peer) -> float:
    """Ask a peer for an echo; return the seconds it took.

    Raises:
        ServiceFailure: no association, no answer, or a status other than success.
    """
    started = time.monotonic()
    with associate(config, peer, SERVICE) as association:
        ask(association, C_ECHO, _MESSAGE)
        status = association.send_c_echo(_MESSAGE)
        code = answered(config, peer, SERVICE, association, status, "while waiting for the echo")
    if code != 0:
        text = f"{peer.name}: the echo was answered with status {code:04X}{comment(status)}"
        raise ServiceFailure(SERVICE, peer.name, text, status=f"{code:04X}")
    return time.monotonic() - started
