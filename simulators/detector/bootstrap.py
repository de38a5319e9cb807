"""Bootstrap registers that every GigE Vision device has (GigE Vision 1.2, section 28).

Rules of this file:

* Addresses and bits only, and how a fresh device fills them; who may write and what follows is in ``control.py``.
"""

from __future__ import annotations

import hashlib
import socket
import struct
from enum import IntEnum, IntFlag
from typing import Final

from simulators.detector.registers import RegisterMap, Span


class Reg(IntEnum):
    """Addresses of the bootstrap registers that this device implements."""

    GEV_VERSION = 0x0000
    DEVICE_MODE = 0x0004
    MAC_HIGH = 0x0008
    MAC_LOW = 0x000C
    IP_CAPABILITY = 0x0010
    IP_CONFIG = 0x0014
    CURRENT_IP = 0x0024
    CURRENT_MASK = 0x0034
    CURRENT_GATEWAY = 0x0044
    VENDOR = 0x0048
    MODEL = 0x0068
    VERSION = 0x0088
    INFO = 0x00A8
    SERIAL = 0x00D8
    USER_NAME = 0x00E8
    XML_URL_1 = 0x0200
    XML_URL_2 = 0x0400
    INTERFACES = 0x0600
    PERSISTENT_IP = 0x064C
    PERSISTENT_MASK = 0x065C
    PERSISTENT_GATEWAY = 0x066C
    LINK_SPEED = 0x0670
    MESSAGE_CHANNELS = 0x0900
    STREAM_CHANNELS = 0x0904
    MESSAGE_CAPABILITY = 0x0930
    CAPABILITY = 0x0934
    HEARTBEAT = 0x0938
    TICKS_HIGH = 0x093C
    TICKS_LOW = 0x0940
    TIMESTAMP_CONTROL = 0x0944
    TIMESTAMP_HIGH = 0x0948
    TIMESTAMP_LOW = 0x094C
    DISCOVERY_DELAY = 0x0950
    GVCP_CONFIG = 0x0954
    PENDING_TIMEOUT = 0x0958
    CCP = 0x0A00
    PRIMARY_PORT = 0x0A04
    PRIMARY_ADDRESS = 0x0A14
    MCP = 0x0B00
    MCDA = 0x0B10
    MCTT = 0x0B14
    MCRC = 0x0B18
    MCSP = 0x0B1C
    SCP = 0x0D00
    SCPS = 0x0D04
    SCPD = 0x0D08
    SCDA = 0x0D18
    SCSP = 0x0D1C


class Ccp(IntFlag):
    """Bits of the control channel privilege register."""

    EXCLUSIVE = 1
    CONTROL = 2


class Capability(IntFlag):
    """Bits of the GVCP capability register."""

    CONCATENATION = 1 << 0
    WRITEMEM = 1 << 1
    PACKETRESEND = 1 << 2
    EVENT = 1 << 3
    PENDING_ACK = 1 << 5
    LINK_SPEED = 1 << 28
    HEARTBEAT_DISABLE = 1 << 29
    SERIAL = 1 << 30
    USER_NAME = 1 << 31


CAPABILITIES: Final = (
    Capability.CONCATENATION
    | Capability.WRITEMEM
    | Capability.PACKETRESEND
    | Capability.EVENT
    | Capability.PENDING_ACK
    | Capability.LINK_SPEED
    | Capability.HEARTBEAT_DISABLE
    | Capability.SERIAL
    | Capability.USER_NAME
)
SCPS_FIRE: Final = 1 << 31
SCPS_DONT_FRAGMENT: Final = 1 << 30
TICK_HZ: Final = 1_000_000_000
"""The timestamp counts nanoseconds of CLOCK_MONOTONIC."""

_WRITABLE: Final = (
    Reg.IP_CONFIG,
    Reg.PERSISTENT_IP,
    Reg.PERSISTENT_MASK,
    Reg.PERSISTENT_GATEWAY,
    Reg.HEARTBEAT,
    Reg.GVCP_CONFIG,
    Reg.CCP,
    Reg.MCP,
    Reg.MCDA,
    Reg.MCTT,
    Reg.MCRC,
    Reg.SCP,
    Reg.SCPS,
    Reg.SCPD,
    Reg.SCDA,
)
_END: Final = 0x0D40
"""Bootstrap space of a device with one stream channel ends here."""


def mac_of(serial: str) -> bytes:
    """A locally administered MAC address that belongs to a serial number."""
    return b"\x02" + hashlib.sha256(serial.encode()).digest()[:5]


def text(value: str, length: int) -> bytes:
    """A NUL-terminated UTF-8 string of fixed length, cut between characters."""
    return value.encode()[: length - 1].decode(errors="ignore").encode().ljust(length, b"\0")


def address(host: str) -> int:
    """An IPv4 address as a number; raises :class:`OSError` for anything else."""
    return int(struct.unpack(">I", socket.inet_aton(host))[0])


def dotted(value: int) -> str:
    """A number as an IPv4 address."""
    return socket.inet_ntoa(struct.pack(">I", value & 0xFFFFFFFF))


def build(
    registers: RegisterMap, *, host: str, vendor: str, model: str, serial: str, user_name: str, url: str
) -> None:
    """Define the bootstrap spans of a fresh device and fill them."""
    special: dict[int, tuple[int, str]] = {int(r): (4, "RW") for r in _WRITABLE}
    special[Reg.TIMESTAMP_CONTROL] = (4, "WO")
    special[Reg.USER_NAME] = (16, "RW")
    at = 0
    for start in sorted(special):
        length, access = special[start]
        if start > at:
            registers.add(Span(at, start - at))
        registers.add(Span(start, length, access))
        at = start + length
    registers.add(Span(at, _END - at))

    mac = mac_of(serial)
    values = {
        Reg.GEV_VERSION: 0x00010002,
        Reg.DEVICE_MODE: 0x80000001,
        Reg.MAC_HIGH: int.from_bytes(mac[:2], "big"),
        Reg.MAC_LOW: int.from_bytes(mac[2:], "big"),
        Reg.IP_CAPABILITY: 7,
        Reg.IP_CONFIG: 5,
        Reg.CURRENT_IP: address(host),
        Reg.CURRENT_MASK: 0xFFFFFF00,
        Reg.INTERFACES: 1,
        Reg.LINK_SPEED: 1000,
        Reg.MESSAGE_CHANNELS: 1,
        Reg.STREAM_CHANNELS: 1,
        Reg.CAPABILITY: CAPABILITIES,
        Reg.HEARTBEAT: 3000,
        Reg.TICKS_HIGH: TICK_HZ >> 32,
        Reg.TICKS_LOW: TICK_HZ & 0xFFFFFFFF,
        Reg.PENDING_TIMEOUT: 1000,
        Reg.SCPS: 1500,
    }
    for register, value in values.items():
        registers.set(register, value)
    for register, words, length in (
        (Reg.VENDOR, vendor, 32),
        (Reg.MODEL, model, 32),
        (Reg.VERSION, "1.0", 32),
        (Reg.INFO, "simulated X-ray flat panel detector", 48),
        (Reg.SERIAL, serial, 16),
        (Reg.USER_NAME, user_name, 16),
        (Reg.XML_URL_1, url, 512),
    ):
        registers.fill(register, text(words, length))
