"""The control channel of a GigE Vision device, sans I/O: privilege, heartbeat, registers, acknowledges.

Rules of this file:

* ``handle`` takes any bytes from any peer and returns what to answer (or nothing); it never raises.
* Only the application that holds the control privilege writes; the control channel privilege register itself is
  open to whoever comes when nobody holds it.  With exclusive access others may not even read (GigE Vision 1.2,
  section 10.1); they may always discover, and look who it is (CCP).
* Any command of the owner refreshes the heartbeat (section 10.3).
* A write that arrives twice with the same request id (the acknowledge was lost) is answered again, not done again.
* Not thread-safe by itself: the device holds its lock around every call.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Protocol

from simulators.detector import gvcp
from simulators.detector.bootstrap import Ccp, Reg, address
from simulators.detector.gvcp import Status
from simulators.detector.registers import Refused, RegisterMap

Peer = tuple[str, int]
REMEMBER_NS = 2_000_000_000
"""How long a write's acknowledge is kept for repetition."""


class Listener(Protocol):
    """What the control channel tells the device."""

    def control_changed(self, owner: Peer | None, how: str) -> None:
        """Somebody took (``taken``) or lost control (``released``, ``heartbeat``, ``fault``)."""

    def resend(self, request: gvcp.PacketResend) -> None:
        """The application misses packets."""

    def force_ip(self, request: gvcp.ForceIp) -> Status:
        """Take another address; only called when the MAC is ours and nobody holds control."""

    def event_acknowledged(self, request_id: int) -> None:
        """The application got an EVENT."""


@dataclass(frozen=True)
class Reply:
    """One datagram to send back, and after which command body (None: not understood)."""

    data: bytes
    body: gvcp.Body | None
    request_id: int


class Control:
    """Privilege and register access of one device."""

    def __init__(self, registers: RegisterMap, listener: Listener, mac: bytes) -> None:
        self.registers = registers
        self.owner: Peer | None = None
        self.exclusive = False
        self.refused = 0
        self._listener = listener
        self._mac = mac
        self._seen = 0
        self._peer: Peer = ("", 0)
        self._now = 0
        self._done: tuple[Peer, bytes, int, Reply] | None = None
        registers.on_write(Reg.CCP, self._write_ccp)

    # ---------------------------------------------------------------- time

    def heartbeat_ns(self) -> int:
        """The heartbeat timeout in ns; 0 when the application switched it off."""
        if self.registers.get(Reg.GVCP_CONFIG) & 1:
            return 0
        return max(500, self.registers.get(Reg.HEARTBEAT)) * 1_000_000

    def tick(self, now: int) -> None:
        """Take control away from an owner that has been silent for too long (monotonic ns)."""
        timeout = self.heartbeat_ns()
        if self.owner is not None and timeout and now - self._seen > timeout:
            self.lose("heartbeat")

    def lose(self, how: str) -> None:
        """The owner has control no longer."""
        self.owner = None
        self.exclusive = False
        self.registers.set(Reg.CCP, 0)
        for register in (Reg.PRIMARY_PORT, Reg.PRIMARY_ADDRESS, Reg.SCP, Reg.MCP):
            self.registers.set(register, 0)
        self._listener.control_changed(None, how)

    # ---------------------------------------------------------------- commands

    def handle(self, data: bytes, peer: Peer, now: int) -> Reply | None:
        """Do what a datagram says; return the answer, if one is due."""
        command = gvcp.decode_command(data)
        if isinstance(command, gvcp.Refusal):
            if not command.answer:
                self._event_ack(data)
                return None
            self.refused += 1
            packet = gvcp.encode_answer(command.status, command.ack, command.request_id)
            return Reply(packet, None, command.request_id)
        self._peer, self._now = peer, now
        if peer == self.owner:
            self._seen = now
        body = command.body
        writes = isinstance(body, gvcp.WriteReg | gvcp.WriteMem)
        if writes and self._done is not None:
            who, what, when, reply = self._done
            if who == peer and what == data and now - when < REMEMBER_NS:
                return reply if command.wants_answer else None
        code, _ = gvcp.encode_body(body)
        status, payload = self._do(body)
        if status is not Status.SUCCESS:
            self.refused += 1
        if status is None:
            return None
        reply = Reply(
            gvcp.encode_answer(status, code + 1, command.request_id, payload), body, command.request_id
        )
        if writes:
            self._done = (peer, bytes(data), now, reply)
        return reply if command.wants_answer else None

    def _event_ack(self, data: bytes) -> None:
        answer = gvcp.decode_answer(data)
        if answer is not None and answer.ack in (gvcp.Code.EVENT + 1, gvcp.Code.EVENTDATA + 1):
            self._listener.event_acknowledged(answer.request_id)

    def _do(self, body: gvcp.Body) -> tuple[Status | None, bytes]:
        """Status and payload of the acknowledge; a status of None means that none is due."""
        mine = self._peer == self.owner
        if isinstance(body, gvcp.Discovery):
            return Status.SUCCESS, self.registers.read(0, gvcp.DISCOVERY_SIZE)
        if isinstance(body, gvcp.PacketResend):
            # It comes from the stream's socket, so not from the owner's port (aravis and others do so).
            if self.owner is not None and self._peer[0] == self.owner[0]:
                self._listener.resend(body)
            return None, b""
        if isinstance(body, gvcp.ForceIp):
            if body.mac != self._mac:
                return None, b""
            return (Status.ACCESS_DENIED if self.owner else self._listener.force_ip(body)), b""
        if isinstance(body, gvcp.ReadReg | gvcp.ReadMem):
            looks = isinstance(body, gvcp.ReadReg) and body.addresses == (Reg.CCP,)
            if self.exclusive and not mine and not looks:
                return Status.ACCESS_DENIED, b""
            return self._read(body)
        if isinstance(body, gvcp.WriteReg):
            return self._write_registers(body)
        if isinstance(body, gvcp.WriteMem):
            return self._write_memory(body)
        return Status.NOT_IMPLEMENTED, b""

    def _read(self, body: gvcp.ReadReg | gvcp.ReadMem) -> tuple[Status, bytes]:
        try:
            if isinstance(body, gvcp.ReadReg):
                return Status.SUCCESS, b"".join(self.registers.read(a, 4) for a in body.addresses)
            return Status.SUCCESS, struct.pack(">I", body.address) + self.registers.read(
                body.address, body.count
            )
        except Refused as error:
            return error.status, b""

    def _may_write(self, where: int) -> bool:
        return self._peer == self.owner or (where == Reg.CCP and self.owner is None)

    def _write_registers(self, body: gvcp.WriteReg) -> tuple[Status, bytes]:
        status, index = Status.SUCCESS, 0
        for where, value in body.pairs:
            if not self._may_write(where):
                status = Status.ACCESS_DENIED
                break
            try:
                self.registers.write(where, value)
            except Refused as error:
                status = error.status
                break
            index += 1
        return status, struct.pack(">HH", 0, index)

    def _write_memory(self, body: gvcp.WriteMem) -> tuple[Status, bytes]:
        status, done = Status.SUCCESS, 0
        if not self._may_write(body.address):
            return Status.ACCESS_DENIED, struct.pack(">HH", 0, 0)
        try:
            self.registers.check_write(body.address, len(body.data))
            for (value,) in struct.iter_unpack(">I", body.data):
                self.registers.write(body.address + done, value)
                done += 4
        except Refused as error:
            status = error.status
        return status, struct.pack(">HH", 0, done)

    def _write_ccp(self, value: int) -> Status | int | None:
        wanted = value & (Ccp.EXCLUSIVE | Ccp.CONTROL)
        if self.owner is not None and self._peer != self.owner:
            return Status.ACCESS_DENIED
        if not wanted:
            if self.owner is not None:
                self.lose("released")
            return 0
        fresh = self.owner is None
        self.owner, self.exclusive, self._seen = self._peer, bool(wanted & Ccp.EXCLUSIVE), self._now
        self.registers.set(Reg.PRIMARY_PORT, self._peer[1])
        self.registers.set(Reg.PRIMARY_ADDRESS, address(self._peer[0]))
        if fresh:
            self._listener.control_changed(self.owner, "exclusive" if self.exclusive else "taken")
        return wanted
