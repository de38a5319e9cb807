"""Interface features that would make a virtual cable carry what no real one can.

A veth passes 64 KB "frames" and leaves checksums empty unless told otherwise.  With these features off every
frame is at most 1514 bytes and its checksums are true, in the capture as on the receiver.
"""

from __future__ import annotations

import ctypes
import fcntl
import struct
from typing import Final

from bench.links.netns import HasFileno

SIOCETHTOOL: Final = 0x8946
_OFF: Final = {
    "tx-checksum": 0x17,  # ETHTOOL_STXCSUM
    "tcp-segmentation": 0x1F,  # ETHTOOL_STSO
    "generic-segmentation": 0x24,  # ETHTOOL_SGSO
    "generic-receive": 0x2C,  # ETHTOOL_SGRO
}
_ASK: Final = {
    "tx-checksum": 0x16,
    "tcp-segmentation": 0x1E,
    "generic-segmentation": 0x23,
    "generic-receive": 0x2B,
}


def switch_off(sock: HasFileno, interface: str) -> None:
    """Switch the features off for an interface of the namespace that *sock* (any AF_INET socket) belongs to.

    Raises:
        OSError: no such interface, or no rights.
    """
    for command in _OFF.values():
        _ethtool(sock, interface, command, 0)


def switched_on(sock: HasFileno, interface: str) -> list[str]:
    """Names of the features that are (still) on."""
    return [name for name, command in _ASK.items() if _ethtool(sock, interface, command, 0)]


def _ethtool(sock: HasFileno, interface: str, command: int, value: int) -> int:
    argument = ctypes.create_string_buffer(struct.pack("=II", command, value), 8)
    request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(argument))
    fcntl.ioctl(sock.fileno(), SIOCETHTOOL, request)
    return int(struct.unpack("=II", argument.raw)[1])
