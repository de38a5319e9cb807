"""A synchronous rtnetlink connection into one namespace: pyroute2's messages, our own way of sending them.

Rules of this file:

* A connection belongs to the namespace that the calling thread is in when it is made, for good, whichever
  thread uses it later.  (pyroute2's own ``IPRoute`` acts in the namespace of whoever calls it.)  Making one
  in the launcher's namespace is refused, so nothing can be changed there by accident.
* Requests are sent as one batch, each asking for its acknowledgement: one round trip however many there are.
* One batch at a time: a lock makes a connection usable from several threads.
* pyroute2 takes half a millisecond to encode a message, so each is encoded once per process and kept; a zygote that
  did it (``warm_up`` of :mod:`bench.links.veth`) hands the result down to every sandbox.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from bench.links import netns

NLM_F_REQUEST: Final = 0x1
NLM_F_ACK: Final = 0x4
NLM_F_DUMP: Final = 0x300
NLM_F_REPLACE: Final = 0x100
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400
_NEW: Final = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR: Final = 20
RTM_NEWNEIGH: Final = 28
RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
IFF_UP: Final = 0x1
IFF_LOWER_UP: Final = 0x1_0000
IFLA_IFNAME, IFLA_STATS64, IFLA_CARRIER = 3, 23, 33
TCA_KIND, TCA_OPTIONS, TCA_STATS2 = 1, 2, 7
TC_H_ROOT: Final = 0xFFFF_FFFF

_HEADER: Final = struct.Struct("=IHHII")
_IFINFO: Final = struct.Struct("=BxHiII")
_TC: Final = struct.Struct("=BxxxiIII")

PSCHED_TICK_NS: Final = 64
"""Length of a tick of the kernel's packet scheduler."""


class NetlinkError(OSError):
    """The kernel refused one request of a batch."""


@dataclass(frozen=True)
class Request:
    """One message ready to be sent; *what* names it in errors."""

    what: str
    kind: int
    flags: int
    body: bytes


@dataclass(frozen=True)
class LinkStats:
    """Counters and state of an interface, as its own namespace sees it."""

    index: int
    up: bool
    carrier: bool
    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    rx_dropped: int
    tx_dropped: int


class Rtnl:
    """One rtnetlink socket; see the rules of this file.

    Raises:
        HostNamespaceError: the calling thread is in the launcher's namespace.
    """

    def __init__(self) -> None:
        self._sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        try:
            netns.refuse_host(self._sock)
            self._sock.bind((0, 0))
            self._sock.settimeout(5)
        except BaseException:
            self._sock.close()
            raise
        self._lock = threading.Lock()
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def run(self, requests: Sequence[Request]) -> None:
        """Send all requests in one batch and wait for all acknowledgements.

        Raises:
            NetlinkError: of the first request that was refused; later ones may have been carried out.
        """
        if not requests:
            return
        with self._lock:
            first = self._sequence + 1
            parts = []
            for request in requests:
                self._sequence += 1
                parts.append(self._frame(request.kind, request.flags, request.body))
            self._sock.send(b"".join(parts))
            missing = len(requests)
            failure: NetlinkError | None = None
            while missing:
                for kind, sequence, body in _split(self._sock.recv(65536)):
                    if kind != NLMSG_ERROR or not first <= sequence < first + len(requests):
                        continue
                    missing -= 1
                    code = struct.unpack_from("=i", body)[0]
                    if code and failure is None:
                        failure = NetlinkError(
                            -code, f"{requests[sequence - first].what}: {os.strerror(-code)}"
                        )
            if failure is not None:
                raise failure

    def link(self, name_or_index: str | int) -> LinkStats:
        """State and counters of one interface.

        Raises:
            NetlinkError: there is no such interface.
        """
        if isinstance(name_or_index, int):
            body = _IFINFO.pack(0, 0, name_or_index, 0, 0)
        else:
            body = _IFINFO.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name_or_index.encode() + b"\0")
        with self._lock:
            self._sequence += 1
            sequence = self._sequence
            self._sock.send(self._frame(RTM_GETLINK, NLM_F_REQUEST, body))
            while True:
                for kind, number, answer in _split(self._sock.recv(65536)):
                    if number != sequence:
                        continue
                    if kind == NLMSG_ERROR:
                        code = struct.unpack_from("=i", answer)[0]
                        raise NetlinkError(-code, f"interface {name_or_index}: {os.strerror(-code)}")
                    return _link_stats(answer)

    def index(self, name: str) -> int:
        """The index of an interface of this namespace."""
        return self.link(name).index

    def qdiscs(self) -> dict[int, tuple[str, bytes, int]]:
        """Root queueing of all interfaces: index -> (kind, raw options, packets it dropped)."""
        found: dict[int, tuple[str, bytes, int]] = {}
        with self._lock:
            self._sequence += 1
            sequence = self._sequence
            self._sock.send(self._frame(RTM_GETQDISC, NLM_F_REQUEST | NLM_F_DUMP, _TC.pack(0, 0, 0, 0, 0)))
            done = False
            while not done:
                for kind, number, answer in _split(self._sock.recv(65536)):
                    if number != sequence:
                        continue
                    if kind in (NLMSG_DONE, NLMSG_ERROR):
                        done = True
                        break
                    _, index, _, parent, _ = _TC.unpack_from(answer)
                    if parent == TC_H_ROOT:
                        attributes = dict(attributes_of(answer, _TC.size))
                        name = attributes.get(TCA_KIND, b"").rstrip(b"\0").decode()
                        found[index] = (name, attributes.get(TCA_OPTIONS, b""), _queue_drops(attributes))
        return found

    def _frame(self, kind: int, flags: int, body: bytes) -> bytes:
        return _HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body


# ------------------------------------------------------------------------------------------------ requests


_ANY_NAMESPACE: Final = 0x7FED_CBA9
"""Stands for the descriptor in a kept message; no real descriptor is that high."""


def add_veth(
    name: str, index: int, peer: str, peer_index: int, peer_mac: str, peer_namespace: int
) -> Request:
    """A pair of interfaces with chosen indices; the peer is born inside *peer_namespace* (a descriptor)."""
    request = _any_veth(name, index, peer, peer_index, peer_mac)
    mark = struct.pack("=I", _ANY_NAMESPACE)
    assert request.body.count(mark) == 1
    return replace(request, body=request.body.replace(mark, struct.pack("=I", peer_namespace)))


@cache
def _any_veth(name: str, index: int, peer: str, peer_index: int, peer_mac: str) -> Request:
    attributes = [("IFLA_IFNAME", peer), ("IFLA_ADDRESS", peer_mac), ("IFLA_NET_NS_FD", _ANY_NAMESPACE)]
    data = {"attrs": [("VETH_INFO_PEER", {"index": peer_index, "attrs": attributes})]}
    info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
    return _link_request(
        f"veth {name}", _NEW | NLM_F_EXCL, index, [("IFLA_IFNAME", name), ("IFLA_LINKINFO", info)]
    )


@cache
def add_bridge(name: str, index: int) -> Request:
    """A plain switch with a chosen index: no spanning tree, no multicast snooping; it forwards at once."""
    options = [("IFLA_BR_STP_STATE", 0), ("IFLA_BR_MCAST_SNOOPING", 0), ("IFLA_BR_FORWARD_DELAY", 0)]
    info = {"attrs": [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", {"attrs": options})]}
    attributes = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", info)]
    return _link_request(f"bridge {name}", _NEW | NLM_F_EXCL, index, attributes, up=True)


@cache
def set_link(index: int, *, up: bool | None = None, master: int | None = None) -> Request:
    """Switch an interface on or off, or make it a port of a bridge."""
    attributes = [] if master is None else [("IFLA_MASTER", master)]
    return _link_request(f"interface {index}", NLM_F_REQUEST | NLM_F_ACK, index, attributes, up=up)


def delete_link(index: int) -> Request:
    """Delete an interface (of a veth pair: both)."""
    return Request(f"delete {index}", RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, _IFINFO.pack(0, 0, index, 0, 0))


@cache
def add_address(index: int, address: str, prefix: int) -> Request:
    """Give an interface an IPv4 address."""
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

    message = ifaddrmsg()
    message["family"] = socket.AF_INET
    message["prefixlen"] = prefix
    message["index"] = index
    broadcast = _broadcast(address, prefix)
    message["attrs"] = [("IFA_LOCAL", address), ("IFA_ADDRESS", address), ("IFA_BROADCAST", broadcast)]
    return Request(f"address {address}", RTM_NEWADDR, _NEW | NLM_F_EXCL, _body(message))


@cache
def add_neighbour(index: int, address: str, mac: str) -> Request:
    """A permanent ARP entry."""
    from pyroute2.netlink.rtnl.ndmsg import ndmsg

    message = ndmsg()
    message["family"] = socket.AF_INET
    message["ifindex"] = index
    message["state"] = 0x80  # NUD_PERMANENT
    message["attrs"] = [("NDA_DST", address), ("NDA_LLADDR", mac)]
    return Request(f"neighbour {address}", RTM_NEWNEIGH, _NEW | NLM_F_REPLACE, _body(message))


@cache
def set_rate(
    index: int, rate: int, burst: int, limit: int, overhead: int, minimum: int, handle: int = 1
) -> Request:
    """Shape what leaves an interface to a line of *rate* bit/s (token bucket); replaces an earlier shape.

    A token bucket that is changed in place while frames wait in it can stop for good.  With another *handle* than that
    of the earlier one it is replaced by a new one, and the frames that waited are lost.

    Args:
        index: the interface.
        rate: bits per second on the wire.
        burst: bytes that may leave at once.
        limit: bytes that may wait; more are dropped.
        overhead: bytes per frame that the wire carries beyond what the kernel counts.
        minimum: bytes on the wire of the shortest frame.
        handle: name of the new token bucket, from 1.
    """
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

    parameters = {
        "rate": rate // 8,
        "rate___reserved": 1,  # link layer Ethernet: the kernel then needs no rate table
        "rate_overhead": overhead,
        "rate_mpu": minimum,
        "limit": limit,
        "buffer": -(-burst * 8_000_000_000 // rate // PSCHED_TICK_NS),
        "mtu": 0,
    }
    message = tcmsg()
    message["index"] = index
    message["parent"] = TC_H_ROOT
    message["handle"] = handle << 16
    message["attrs"] = [("TCA_KIND", "tbf"), ("TCA_OPTIONS", {"attrs": [("TCA_TBF_PARMS", parameters)]})]
    return Request(f"rate of {index}", RTM_NEWQDISC, _NEW | NLM_F_REPLACE, _body(message))


def rate_of(options: bytes) -> int:
    """The rate in bit/s that raw options of a token bucket (:meth:`Rtnl.qdiscs`) hold."""
    parameters = dict(attributes_of(options, 0)).get(1, b"")
    return int(struct.unpack_from("=I", parameters, 8)[0]) * 8


# ------------------------------------------------------------------------------------------------ bytes


def attribute(kind: int, value: bytes) -> bytes:
    """One netlink attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def attributes_of(data: bytes, offset: int) -> list[tuple[int, bytes]]:
    """All attributes from *offset* on, as (kind, value)."""
    found = []
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found.append((kind & 0x3FFF, data[offset + 4 : offset + length]))
        offset += (length + 3) & ~3
    return found


def _split(data: bytes) -> list[tuple[int, int, bytes]]:
    """The messages of one datagram as (kind, sequence number, body)."""
    found = []
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            break
        found.append((kind, sequence, data[offset + _HEADER.size : offset + length]))
        offset += (length + 3) & ~3
    return found


def _link_request(
    what: str, flags: int, index: int, attributes: list[tuple[str, Any]], *, up: bool | None = None
) -> Request:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    message = ifinfmsg()
    message["index"] = index
    if up is not None:
        message["flags"] = IFF_UP if up else 0
        message["change"] = IFF_UP
    message["attrs"] = attributes
    return Request(what, RTM_NEWLINK, flags, _body(message))


def _body(message: Any) -> bytes:
    """What pyroute2 makes of a message, without its header."""
    message["header"]["type"] = 0
    message.encode()
    data = bytes(message.data)[_HEADER.size :]
    return data + b"\0" * (-len(data) % 4)


def _link_stats(answer: bytes) -> LinkStats:
    _, _, index, flags, _ = _IFINFO.unpack_from(answer)
    attributes = dict(attributes_of(answer, _IFINFO.size))
    rxp, txp, rxb, txb, _, _, rxd, txd = struct.unpack_from("=8Q", attributes[IFLA_STATS64])
    carrier = attributes.get(IFLA_CARRIER, b"\1")[0] == 1 and bool(flags & IFF_UP)
    return LinkStats(index, bool(flags & IFF_UP), carrier, rxp, txp, rxb, txb, rxd, txd)


def _queue_drops(attributes: dict[int, bytes]) -> int:
    nested = dict(attributes_of(attributes.get(TCA_STATS2, b""), 0))
    queue = nested.get(3, b"")  # TCA_STATS_QUEUE: qlen, backlog, drops, requeues, overlimits
    return int(struct.unpack_from("=III", queue)[2]) if len(queue) >= 12 else 0


def _broadcast(address: str, prefix: int) -> str:
    number = struct.unpack("!I", socket.inet_aton(address))[0] | (0xFFFF_FFFF >> prefix)
    return socket.inet_ntoa(struct.pack("!I", number))
