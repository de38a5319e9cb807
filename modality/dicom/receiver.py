"""The DICOM Receiver: answers Verification while it is enabled, and nothing else (VX-VER-006, VX-ASC-013, 014).

Rules of this file:

* A wrong called AE title is rejected 1/1/7, any calling title is welcome (VX-D-08).
* Unserved contexts are refused one by one (ruling C5); both uncompressed little endian syntaxes are accepted for
  Verification, since peers such as DCMTK's echoscu offer the implicit one alone.
"""

from __future__ import annotations

import socket
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt

from ..products.vxvue.config import VxvueConfig
from .association import make_ae
from .uids import VERIFICATION


class DicomReceiver:
    """A listening application entity in a thread of its own."""

    def __init__(self, config: VxvueConfig) -> None:
        ae = make_ae(config)
        ae.require_called_aet = True
        ae.maximum_associations = 20
        ae.add_supported_context(VERIFICATION, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        self._server: Any = ae.start_server(
            (config.receiver.host, config.receiver.port),
            block=False,
            evt_handlers=[(evt.EVT_CONN_OPEN, _on_open)],
        )

    @property
    def port(self) -> int:
        """The TCP port listened at."""
        return int(self._server.socket.getsockname()[1])

    def close(self) -> None:
        """Stop listening and end what is open."""
        self._server.shutdown()


def _on_open(event: evt.Event) -> None:
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
