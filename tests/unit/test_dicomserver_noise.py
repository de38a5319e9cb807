"""PACS and RIS under seeded noise: broken conversations leave nothing behind, and the next peer is served."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators import pacs, ris
from simulators.dicom.client import AssociationLost, NotEstablished, Requestor
from simulators.dicom.elements import EXPLICIT_LE, IMPLICIT_LE, encode
from simulators.dicom.keywords import from_mapping
from simulators.wire import AssociateRequest, dimse
from simulators.wire import encode as encode_pdu

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted by /proc")

DX, ECHO = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.1.1"
WORKLIST, MPPS = "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"
WAIT_S = 20.0
SHORTEST_S = 1.0
"""The shortest time-out of the servers here."""
ROUNDS = int(os.environ.get("MODBENCH_NOISE", "120"))
"""Conversations with each simulator; ``MODBENCH_NOISE=2000`` for the long run."""


class Events:
    """What was told, of the kinds that matter here."""

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []

    def __call__(self, kind: str, /, **data: Any) -> None:
        if kind == "bench.error":
            self.errors.append(data)


def _pacs(events: Events, folder: Path) -> tuple[Any, list[str]]:
    times = {"artim_s": SHORTEST_S, "dimse_s": SHORTEST_S, "idle_s": 2.0}
    return pacs.create({"store": str(folder), **times}, events), [DX]


def _ris(events: Events, folder: Path) -> tuple[Any, list[str]]:
    items = [{"PatientID": f"{n}", "PatientName": "Doe^J"} for n in range(20)]
    times = {"artim_s": SHORTEST_S, "dimse_s": SHORTEST_S, "idle_s": 2.0}
    return ris.create({"ae_title": "PACS", "items": items, **times}, events), [WORKLIST, MPPS]


def _command(noise: random.Random, context: str) -> dimse.Command:
    name = noise.choice(
        ["C-STORE-RQ", "C-FIND-RQ", "N-CREATE-RQ", "N-SET-RQ", "C-ECHO-RQ", "C-GET-RQ", "N-ACTION-RQ"]
    )
    store = {
        "C-STORE-RQ": {"AffectedSOPInstanceUID": "1.2.3"},
        "N-CREATE-RQ": {"AffectedSOPInstanceUID": "1.2.4"},
    }
    set_ = {
        "N-SET-RQ": {"RequestedSOPInstanceUID": "1.2.4"},
        "N-ACTION-RQ": {"RequestedSOPInstanceUID": "1.2.4"},
    }
    which = "RequestedSOPClassUID" if name in set_ else "AffectedSOPClassUID"
    more: dict[str, Any] = {**store.get(name, {}), **set_.get(name, {})}
    if name == "N-ACTION-RQ":
        more["ActionTypeID"] = 1
    return dimse.Command.new(name, MessageID=1, dataset=name != "C-ECHO-RQ", **{which: context}, **more)


def _dataset(noise: random.Random) -> bytes:
    """A data set with its lengths, tags and VRs knocked about, or nothing like one."""
    kind = noise.randrange(4)
    if kind == 0:
        return noise.randbytes(noise.randrange(2000))
    if kind == 1:  # sequences in sequences, never closed
        return struct.pack("<HH2sHI", 0x0040, 0x0100, b"SQ", 0, 0xFFFFFFFF) * noise.randrange(1, 3000)
    if kind == 2:  # an item that claims gigabytes
        return struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 0xFFFFFFF0) + noise.randbytes(100)
    stated = {
        "SOPClassUID": DX,
        "SOPInstanceUID": "1.2.3",
        "PatientID": "1",
        "ScheduledProcedureStepSequence": [
            {"Modality": "DX", "ScheduledProcedureStepStartDate": "20260101-"}
        ],
    }
    data = bytearray(encode(from_mapping(stated), noise.choice([EXPLICIT_LE, IMPLICIT_LE])))
    for _ in range(noise.randrange(6)):
        data[noise.randrange(len(data))] = noise.randrange(256)
    return bytes(data)


def _conversation(noise: random.Random, port: int, contexts: list[str]) -> None:
    """One broken conversation: knocked about at any layer, cut anywhere, ended in any way."""
    request = encode_pdu(
        AssociateRequest.build(
            called="PACS", calling="NOISE", contexts=[(uid, [EXPLICIT_LE, IMPLICIT_LE]) for uid in contexts]
        )
    )
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as sock:
        layer = noise.randrange(3)
        if layer == 0:  # the association itself
            data = bytearray(request)
            for _ in range(noise.randrange(1, 8)):
                data[noise.randrange(len(data))] = noise.randrange(256)
            sock.sendall(bytes(data[: noise.randrange(1, len(data) + 1)]))
        else:
            sock.sendall(request)
            head = sock.recv(6, socket.MSG_WAITALL)
            if len(head) == 6:
                sock.recv(int.from_bytes(head[2:6], "big"), socket.MSG_WAITALL)
            for _ in range(noise.randrange(1, 4)):
                number = noise.randrange(len(contexts))
                message = b"".join(
                    dimse.fragments(
                        2 * number + 1,
                        _command(noise, contexts[number]),
                        _dataset(noise),
                        noise.choice([64, 16384]),
                    )
                )
                data = bytearray(message)
                if layer == 2:  # P-DATA-TF and command set too
                    for _ in range(noise.randrange(1, 6)):
                        data[noise.randrange(min(len(data), 400))] = noise.randrange(256)
                if not noise.randrange(4):
                    del data[noise.randrange(1, len(data)) :]
                sock.sendall(bytes(data))
        how = noise.randrange(4)
        if how == 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset
        elif how == 1:
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        elif how == 2:
            sock.sendall(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")
            sock.recv(65536)


def _left() -> tuple[int, int]:
    """Threads and descriptors of this process."""
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def _resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@contextlib.contextmanager
def _running(
    make: Callable[[Events, Path], tuple[Any, list[str]]], folder: Path
) -> Iterator[tuple[int, list[str], Events]]:
    events = Events()
    simulator, contexts = make(events, folder)
    port = simulator.start()["port"]
    try:
        yield port, contexts, events
        _until(lambda: simulator._server.associations == 0)
    finally:
        simulator.stop()


def _echo(port: int) -> int:
    """An echo by a peer in time; where the machine stood still for longer than the server bears, once more."""
    while True:
        begun = time.monotonic()
        try:
            return _echo_once(port)
        except (NotEstablished, AssociationLost, OSError):
            if time.monotonic() - begun < SHORTEST_S:
                raise


def _echo_once(port: int) -> int:
    with Requestor("127.0.0.1", port, timeout_s=WAIT_S) as peer:
        peer.associate("PACS", "TEST", {ECHO: [IMPLICIT_LE]})
        status: int = peer.ask("C-ECHO-RQ", AffectedSOPClassUID=ECHO).status
        peer.release()
        return status


@pytest.mark.parametrize("make", [_pacs, _ris])
def test_noise_leaves_nothing_and_the_next_peer_is_served(
    make: Callable[[Events, Path], tuple[Any, list[str]]], tmp_path: Path
) -> None:
    before = _left()
    noise = random.Random(20261122)
    with _running(make, tmp_path) as (port, contexts, events):
        for _ in range(ROUNDS // 4):  # what is made once, is made
            with contextlib.suppress(OSError):
                _conversation(noise, port, contexts)
        gc.collect()
        resident = _resident()
        for number in range(ROUNDS):
            with contextlib.suppress(OSError):
                _conversation(noise, port, contexts)
            if number % 40 == 0:
                assert _echo(port) == 0
        assert _echo(port) == 0
        gc.collect()
        grown = _resident() - resident
    assert events.errors == []
    assert grown < 24_000_000, f"{grown} bytes more after {ROUNDS} conversations"
    _until(lambda: all(now <= then for now, then in zip(_left(), before, strict=True)))
    assert not list(tmp_path.glob(".incoming-*"))
