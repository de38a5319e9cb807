"""scapy layers for GVCP and GVSP, to craft and read single packets.

Rules of this file:

* scapy is imported by :func:`layers` only, at the first call: it takes longer than a whole exposure.
* The layers know fields, not rules; what is right is in ``gvcp.py`` and ``gvsp.py``, which they are tested against.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

from simulators.detector import gvcp, gvsp


@cache
def layers() -> Any:
    """Namespace of the packet classes; binds them to their UDP ports once."""
    from scapy.fields import (
        ByteEnumField,
        FieldLenField,
        FieldListField,
        IntField,
        LongField,
        ShortEnumField,
        ShortField,
        StrLenField,
        ThreeBytesField,
        XByteField,
        XIntField,
        XShortField,
    )
    from scapy.layers.inet import UDP
    from scapy.packet import Packet, bind_layers

    codes = {int(c): c.name for c in gvcp.Code}
    answers = {int(c) + 1: f"{c.name}_ACK" for c in gvcp.Code}
    states = {int(s): s.name for s in gvcp.Status}

    class GvcpCommand(Packet):  # type: ignore[misc]
        """A command: ``GvcpCommand(command="READREG", request_id=1)/GvcpReadReg(addresses=[0xA00])``."""

        name = "GVCP command"
        fields_desc = [  # noqa: RUF012
            XByteField("key", gvcp.KEY),
            XByteField("flags", gvcp.FLAG_ACK),
            ShortEnumField("command", gvcp.Code.DISCOVERY, codes),
            ShortField("length", None),
            ShortField("request_id", 1),
        ]

        def post_build(self, packet: bytes, payload: bytes) -> bytes:
            if self.length is None:
                packet = packet[:4] + len(payload).to_bytes(2, "big") + packet[6:]
            return packet + payload

    class GvcpReadReg(Packet):  # type: ignore[misc]
        name = "GVCP READREG"
        fields_desc = [FieldListField("addresses", [0], XIntField("", 0))]  # noqa: RUF012

    class GvcpWriteReg(Packet):  # type: ignore[misc]
        name = "GVCP WRITEREG"
        fields_desc = [XIntField("address", 0), XIntField("value", 0)]  # noqa: RUF012

    class GvcpReadMem(Packet):  # type: ignore[misc]
        name = "GVCP READMEM"
        fields_desc = [XIntField("address", 0), ShortField("reserved", 0), ShortField("count", 4)]  # noqa: RUF012

    class GvcpResend(Packet):  # type: ignore[misc]
        name = "GVCP PACKETRESEND"
        fields_desc = [  # noqa: RUF012
            ShortField("channel", 0),
            ShortField("block", 1),
            IntField("first", 1),
            IntField("last", 1),
        ]

    class GvcpAnswer(Packet):  # type: ignore[misc]
        """An acknowledge."""

        name = "GVCP acknowledge"
        fields_desc = [  # noqa: RUF012
            ShortEnumField("status", 0, states),
            ShortEnumField("answer", gvcp.Code.DISCOVERY + 1, answers),
            FieldLenField("length", None, length_of="data", fmt="!H"),
            ShortField("request_id", 1),
            StrLenField("data", b"", length_from=lambda p: p.length),
        ]

    class Gvsp(Packet):  # type: ignore[misc]
        """A stream packet's header with standard ids."""

        name = "GVSP"
        fields_desc = [  # noqa: RUF012
            XShortField("status", 0),
            ShortField("block", 1),
            ByteEnumField("format", 3, {int(k): k.name for k in gvsp.Kind}),
            ThreeBytesField("packet", 1),
        ]

    class GvspImageLeader(Packet):  # type: ignore[misc]
        name = "GVSP image leader"
        fields_desc = [  # noqa: RUF012
            ShortField("reserved", 0),
            ShortField("payload_type", 1),
            LongField("timestamp", 0),
            XIntField("pixel_format", gvsp.MONO16),
            IntField("width", 0),
            IntField("height", 0),
            IntField("offset_x", 0),
            IntField("offset_y", 0),
            ShortField("padding_x", 0),
            ShortField("padding_y", 0),
        ]

    class GvspImageTrailer(Packet):  # type: ignore[misc]
        name = "GVSP image trailer"
        fields_desc = [  # noqa: RUF012
            ShortField("reserved", 0),
            ShortField("payload_type", 1),
            IntField("height", 0),
        ]

    bodies = {
        "READREG": GvcpReadReg,
        "WRITEREG": GvcpWriteReg,
        "READMEM": GvcpReadMem,
        "PACKETRESEND": GvcpResend,
    }
    for name, body in bodies.items():
        bind_layers(GvcpCommand, body, command=gvcp.Code[name])
    bind_layers(Gvsp, GvspImageLeader, format=gvsp.Kind.LEADER)
    bind_layers(Gvsp, GvspImageTrailer, format=gvsp.Kind.TRAILER)
    bind_layers(UDP, GvcpCommand, dport=gvcp.PORT)
    bind_layers(UDP, GvcpAnswer, sport=gvcp.PORT)
    return SimpleNamespace(
        GvcpCommand=GvcpCommand,
        GvcpAnswer=GvcpAnswer,
        GvcpReadReg=GvcpReadReg,
        GvcpWriteReg=GvcpWriteReg,
        GvcpReadMem=GvcpReadMem,
        GvcpResend=GvcpResend,
        Gvsp=Gvsp,
        GvspImageLeader=GvspImageLeader,
        GvspImageTrailer=GvspImageTrailer,
    )
