"""Is a link as fast as it claims to be?  Goodput of TCP over it, measured before it is used.

Rules of this file:

* The ideal is 94.15 % of the line (1448 bytes of payload per 1538 on the wire).  More than 5 % off, up or down, is not
  ok: the bench is wrong then (ERROR), never the SUT.
* The measurement leaves out the start (burst of the token bucket, slow start of TCP) and uses the receiver's clock.
* The machine may be busy: measurements are made until one is ok, with a pause of :data:`PAUSES_S` before each, and all
  are reported.  The pauses grow: a cell that starts beside others is busy for seconds.
* Results may be kept per worker, backend and mode, because every bench of a worker builds its cables alike.  What
  is taken from there is still checked: the kernel is asked for the rates and features of this bench's cables
  (``network.verify``).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from bench.links import netns
from bench.links.network import Network, NetworkError
from bench.links.spec import LINE_RATES, TCP_SHARE

TOLERANCE: Final = 0.05
PAUSES_S: Final = (0.0, 0.0, 0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0)
_WARM_UP_BYTES: Final = {"10BASE-T": 50_000, "100BASE-T": 200_000, "1000BASE-T": 3_000_000}
_MEASURED_BYTES: Final = {"10BASE-T": 350_000, "100BASE-T": 900_000, "1000BASE-T": 7_000_000}
"""0.3 s at 10BASE-T, 75 ms at 100BASE-T, 60 ms at 1000BASE-T."""
_PIECE: Final = bytes(1 << 16)
_CONNECT_TIMEOUT_S: Final = 20
"""Longer than three lost SYNs (1, 3 and 7 s)."""


@dataclass(frozen=True)
class Calibration:
    """One calibrated link; rates in Mbit/s of TCP payload, *deviation* as a fraction of the nominal goodput."""

    link: str
    mode: str
    backend: str
    measured_mbps: float | None
    nominal_mbps: float | None
    deviation: float | None
    ok: bool
    cached: bool = False
    attempts: tuple[float, ...] = ()
    note: str = ""


class Calibrations:
    """What was measured so far in this worker."""

    def __init__(self, known: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._known: dict[tuple[str, str], Calibration] = {}
        for value in (known or {}).values():
            one = Calibration(**{**value, "attempts": tuple(value["attempts"])})
            self._known[one.backend, one.mode] = one

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Everything that was ok, for a channel; give it to the constructor on the other side."""
        return {f"{backend} {mode}": asdict(one) for (backend, mode), one in self._known.items()}

    def check(self, network: Network, link: str) -> Calibration:
        """Calibrate a link, or take what is known of its backend and mode.

        Traffic runs between the link's host and another host whose link is not slower, so it must be quiet; call it
        before anything is captured or counted.

        Raises:
            NetworkError: there is no other host to measure with, the network is down, or a cable is not shaped as
                it should be.
        """
        state = network.state(link)
        if state.mode not in LINE_RATES:
            note = "no line, nothing to calibrate"
            return Calibration(
                state.link, state.mode, network.fidelity.backend, None, None, None, True, note=note
            )
        key = (network.fidelity.backend, state.mode)
        if key in self._known:
            network.verify()
            return replace(self._known[key], link=state.link, cached=True)
        result = calibrate(network, link)
        if result.ok:
            self._known[key] = result
        return result


def calibrate(network: Network, link: str) -> Calibration:
    """Measure a link now; see :meth:`Calibrations.check`."""
    state = network.state(link)
    source, sink, cable = _pair(network, state.link)
    nominal = LINE_RATES[state.mode] * TCP_SHARE / 1e6
    attempts: list[float] = []
    best, deviation = 0.0, -1.0
    for pause in PAUSES_S:
        time.sleep(pause)
        rate = goodput(network, source, sink, cable, state.mode)
        attempts.append(round(rate, 3))
        if len(attempts) == 1 or abs(rate / nominal - 1) < abs(deviation):
            best, deviation = rate, rate / nominal - 1
        if abs(deviation) <= TOLERANCE:
            break
    return Calibration(
        state.link,
        state.mode,
        network.fidelity.backend,
        round(best, 3),
        round(nominal, 3),
        round(deviation, 5),
        abs(deviation) <= TOLERANCE,
        attempts=tuple(attempts),
    )


def goodput(network: Network, source: str, sink: str, cable: str | None, mode: str) -> float:
    """TCP payload in Mbit/s from one host to another, for about as long as *mode* needs for a true figure.

    Raises:
        NetworkError: the hosts have no networks of their own, or no connection came about.
    """
    here, there = network.namespace(source), network.namespace(sink)
    if here is None or there is None:
        raise NetworkError("nothing to measure: the hosts have no networks of their own")
    try:
        with contextlib.ExitStack() as stack:
            with netns.inside(there):
                server = stack.enter_context(socket.create_server((network.address(sink, cable), 0)))
            with netns.inside(here):
                client = stack.enter_context(
                    socket.create_connection(server.getsockname(), timeout=_CONNECT_TIMEOUT_S)
                )
            # What is still queued when the figure stands is thrown away (RST): on a line slower than it should be it
            # would take seconds to drain, and the next attempt's SYN would wait behind it or be dropped.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            server.settimeout(_CONNECT_TIMEOUT_S)
            receiver = stack.enter_context(server.accept()[0])
            for sock in (client, receiver):
                sock.settimeout(10)
            wanted = _WARM_UP_BYTES[mode] + _MEASURED_BYTES[mode]
            sender = threading.Thread(target=_send, args=(client, wanted + len(_PIECE)), daemon=True)
            sender.start()
            rate = _receive(receiver, _WARM_UP_BYTES[mode], wanted)
            with contextlib.suppress(OSError):
                receiver.shutdown(socket.SHUT_RDWR)
            sender.join(10)
            return rate
    except OSError as error:
        raise NetworkError(f"no traffic from {source} to {sink}: {error}") from error


def _send(sock: socket.socket, total: int) -> None:
    with contextlib.suppress(OSError):
        for _ in range(0, total, len(_PIECE)):
            sock.sendall(_PIECE)


def _receive(sock: socket.socket, warm_up: int, total: int) -> float:
    buffer = bytearray(1 << 18)
    count, first, began = 0, 0, 0.0
    while count < total:
        got = sock.recv_into(buffer)
        if not got:
            raise ConnectionError("the stream ended early")
        count += got
        if not first and count >= warm_up:
            first, began = count, time.perf_counter()
    return (count - first) * 8 / (time.perf_counter() - began) / 1e6


def _pair(network: Network, link: str) -> tuple[str, str, str | None]:
    """Sending host, receiving host and the cable whose addresses to use, for a measurement that *link* limits."""
    ends = network.spec.link(link).ends
    if len(ends) > 1:
        return ends[1].host, ends[0].host, link
    rate = LINE_RATES[network.state(link).mode]
    for other in network.spec.links:
        if len(other.ends) == 1 and other.name != link and LINE_RATES[network.state(other.name).mode] >= rate:
            return ends[0].host, other.ends[0].host, None
    raise NetworkError(f"no other host is there to measure link {link} with")
