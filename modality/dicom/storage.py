"""Storage SCU: one association for one set of images to one destination (VX-STO-001 … 007).

Rules of this file:

* 0000H and Bxxx count as sent, everything else as failed, and the set goes on (VX-D-11).
* An image without its own answer is *not sent*, whatever left this machine (field issues ST-02, M8); the rest of the
  set stays queued with it.
* Files are sent as they lie on the disk, piece by piece; nothing is decoded on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pynetdicom.dimse_primitives import C_STORE

from ..config import Config, Peer
from ..notices import ServiceFailure
from .association import answered, ask, associate, comment

SERVICE = "storage"

Report = Callable[[str, int | None, str], None]
"""Called for each answered image: SOP instance, status, the peer's comment.  Status None: not offered, and why."""
Begin = Callable[[], None]
"""Called when the association stands and the first request goes out."""


def send_set(
    config: Config, peer: Peer, images: Sequence[tuple[str, Path]], begin: Begin, report: Report
) -> None:
    """Send a set of images over one association.

    Args:
        images: SOP instance UID and Part 10 file of each.
        begin: told once, before the first request.
        report: told of each answer at once, before the next request.

    Raises:
        ServiceFailure: the association could not be made or was lost; what was not reported is still to be sent.
    """
    with associate(config, peer, SERVICE) as association:
        begin()
        for number, (sop_instance, path) in enumerate(images, 1):
            when = f"in image {number} of {len(images)}"
            ask(association, C_STORE, number, sop_instance)
            try:
                status = association.send_c_store(path, msg_id=number)
            except (OSError, ValueError, AttributeError, RuntimeError) as error:
                if not association.is_established:
                    raise ServiceFailure(
                        SERVICE, peer.name, f"{peer.name}: the association was lost before image {number}",
                        connection="lost",
                    ) from error  # fmt: skip
                raise ServiceFailure(
                    SERVICE, peer.name, f"{peer.name}: image {number} cannot be sent: {error}"
                ) from error
            code = answered(config, peer, SERVICE, association, status, when)
            report(sop_instance, code, comment(status))
