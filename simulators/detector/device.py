"""A detector as a GigE Vision device: registers wired to the sensor's state machine, and every fault's effect.

Rules of this file:

* :class:`Device` joins the sans-I/O parts under one re-entrant lock (``lock``); it owns no thread and no socket but
  is handed the stream.  Threads live in ``detector.py``.
* Whoever waits for something waits on ``changed`` (a condition of that lock).
* What the modality can know goes through registers; what the journal is told goes through ``emit``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from simulators.base import Emit
from simulators.detector import bootstrap, genicam, gvcp, gvsp
from simulators.detector.bootstrap import Capability, Reg
from simulators.detector.config import Config
from simulators.detector.control import Control, Peer
from simulators.detector.faults import Armed, Book, Plan, plan
from simulators.detector.genicam import XML_ADDRESS
from simulators.detector.gvcp import Status
from simulators.detector.registers import RegisterMap, Span
from simulators.detector.sensor import COOL_C, HOT_C, Sensor, State, Thermometer, Window
from simulators.detector.stream import Frame, Stream, line_share

TRIGGER_LINE1: Final = 0
TRIGGER_SOFTWARE: Final = 1


class Events(Protocol):
    """Sends EVENT datagrams on the message channel."""

    def __call__(self, event: int, block: int, timestamp: int) -> None: ...


class Device:
    """Everything of the detector except threads, sockets and pixels."""

    def __init__(self, config: Config, emit: Emit, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.config = config
        self.emit = emit
        self.clock = clock
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.registers = RegisterMap()
        self.book = Book()
        self.sensor = Sensor(self._state_changed)
        self.thermometer = Thermometer(config.temperature_c, clock())
        self.stream: Stream | None = None
        self.send_event: Events = lambda event, block, timestamp: None
        self.link_mbps = config.link_mbps
        self.block = 0
        self.frames = 0
        self.notify = {genicam.EVENT_EXPOSURE_START: True, genicam.EVENT_EXPOSURE_END: True}
        self.watches: dict[str, dict[str, Any]] = {}
        self.bytes_sent = 0
        self.mac = bootstrap.mac_of(config.serial)
        self.places = self._build()
        self.control = Control(self.registers, self, self.mac)

    # ---------------------------------------------------------------- registers

    def _build(self) -> dict[str, int]:
        c = self.config
        table = genicam.features(c.width, c.height, c.bits, c.sensitivity)
        places = genicam.layout(table)
        xml = genicam.xml(table, places, c.vendor, c.model)
        url = f"Local:{c.model}.xml;{XML_ADDRESS:X};{len(xml):X}"
        bootstrap.build(
            self.registers,
            host=c.host,
            vendor=c.vendor,
            model=c.model,
            serial=c.serial,
            user_name=c.user_name,
            url=url,
        )
        for span, value in genicam.spans(table, places):
            self.registers.add(span)
            self.registers.set(span.address, value)
        self.registers.add(Span(XML_ADDRESS, -(-len(xml) // 4) * 4, "RO", "xml"), xml)
        self.registers.set(places["PixelPitch"], round(c.pixel_pitch_mm * 1e6))
        self.registers.set(Reg.LINK_SPEED, c.link_mbps)
        self._limits = {f.name: f for f in table if isinstance(f, genicam.Int)}
        r, on = self.registers, self.registers.on_write
        for name in ("Width", "Height", "OffsetX", "OffsetY"):
            on(places[name], lambda value, name=name: self._write_size(name, value))  # type: ignore[misc]
        for name in ("PixelFormat", "AcquisitionMode", "TriggerMode", "TriggerSource", "TriggerSelector"):
            choice = next(f for f in table if f.name == name)
            assert isinstance(choice, genicam.Choice)
            allowed = frozenset(choice.entries.values())
            locked = name == "PixelFormat"
            on(places[name], lambda v, a=allowed, k=locked: self._write_choice(v, a, k))  # type: ignore[misc]
        on(places["ExposureTime"], lambda v: None if 100 <= v <= 10_000_000 else Status.INVALID_PARAMETER)
        on(places["AcquisitionStart"], self._write_acquisition)
        on(places["TriggerSoftware"], self._write_software)
        on(places["DetectorPrepare"], lambda v: self.sensor.prepare() if v & 1 else Status.INVALID_PARAMETER)
        on(places["EventSelector"], lambda v: None if v in self.notify else Status.INVALID_PARAMETER)
        on(places["EventNotification"], self._write_notification)
        r.on_read(places["EventNotification"], lambda: int(self.notify[r.get(places["EventSelector"])]))
        r.on_read(places["DetectorState"], lambda: int(self.sensor.state))
        r.on_read(places["DeviceTemperature"], lambda: round((self.temperature() + 100) * 100))
        on(Reg.SCPS, self._write_scps)
        on(Reg.SCP, self._write_scp)
        on(Reg.HEARTBEAT, lambda v: max(500, v))
        on(Reg.TIMESTAMP_CONTROL, self._write_timestamp)
        return places

    def value(self, name: str) -> int:
        """Register of a feature, raw."""
        return self.registers.get(self.places[name])

    def _write_size(self, name: str, value: int) -> Status | None:
        f = self._limits[name]
        assert f.low is not None
        assert f.high is not None
        if self.sensor.acquiring:
            return Status.BUSY
        if not f.low <= value <= f.high or value % f.step:
            return Status.INVALID_PARAMETER
        sizes = {n: self.value(n) for n in ("Width", "Height", "OffsetX", "OffsetY")} | {name: value}
        fits = (
            sizes["Width"] + sizes["OffsetX"] <= self.config.width
            and sizes["Height"] + sizes["OffsetY"] <= self.config.height
        )
        return None if fits else Status.INVALID_PARAMETER

    def _write_choice(self, value: int, allowed: frozenset[int], locked: bool) -> Status | None:
        if value not in allowed:
            return Status.INVALID_PARAMETER
        return Status.BUSY if locked and self.sensor.acquiring else None

    def _write_acquisition(self, value: int) -> Status | None:
        if value == 0:
            self.sensor.stop("AcquisitionStop")
            self.thermometer.use(self.clock(), active=False)
            self.changed.notify_all()
            return None
        if value != 1:
            return Status.INVALID_PARAMETER
        mode = self.value("AcquisitionMode")
        frames = {1: None, 2: 1}.get(mode, self.value("AcquisitionFrameCount"))
        status = self.sensor.start(frames)
        if status is Status.SUCCESS:
            self.thermometer.use(self.clock(), active=True)
            self.changed.notify_all()
        return status

    def _write_software(self, value: int) -> Status | None:
        if value != 1:
            return Status.INVALID_PARAMETER
        if not self.value("TriggerMode") or self.value("TriggerSource") != TRIGGER_SOFTWARE:
            return Status.SUCCESS  # the trigger is not connected to this source: nothing happens
        return self._opened(self.sensor.software(self.clock(), self.exposure_ns()))

    def _opened(self, status: Status) -> Status:
        if status is Status.SUCCESS and self.sensor.window is not None:
            self._event(genicam.EVENT_EXPOSURE_START, self.sensor.window.start)
            self.changed.notify_all()
        return status

    def _write_notification(self, value: int) -> Status | None:
        if value not in (0, 1):
            return Status.INVALID_PARAMETER
        self.notify[self.value("EventSelector")] = bool(value)
        return None

    def _write_scps(self, value: int) -> Status | int:
        size = value & 0xFFFF
        if not 576 <= size <= 9000:
            return Status.INVALID_PARAMETER
        size &= ~3
        if value & bootstrap.SCPS_FIRE and self.stream is not None and self.destination()[1]:
            self.stream.test_packet(self.destination(), size, bool(value & bootstrap.SCPS_DONT_FRAGMENT))
        return size | value & bootstrap.SCPS_DONT_FRAGMENT

    def _write_scp(self, value: int) -> int:
        if not value & 0xFFFF and self.stream is not None:
            self.stream.drop()
        return value & 0xFFFF

    def _write_timestamp(self, value: int) -> None:
        if value & 2:
            now = self.clock()
            self.registers.set(Reg.TIMESTAMP_HIGH, now >> 32)
            self.registers.set(Reg.TIMESTAMP_LOW, now & 0xFFFFFFFF)

    # ---------------------------------------------------------------- control channel tells

    def control_changed(self, owner: Peer | None, how: str) -> None:
        """Somebody took or lost control; losing it ends the acquisition and closes the channels."""
        if owner is None:
            self.sensor.stop(f"control {how}")
            self.thermometer.use(self.clock(), active=False)
            if self.stream is not None:
                self.stream.drop()
            self.changed.notify_all()
        self.emit("detector.control", owner=None if owner is None else f"{owner[0]}:{owner[1]}", how=how)

    def resend(self, request: gvcp.PacketResend) -> None:
        """The application misses packets."""
        offers = self.registers.get(Reg.CAPABILITY) & Capability.PACKETRESEND
        if offers and self.stream is not None:
            self.stream.request(request)

    def force_ip(self, request: gvcp.ForceIp) -> Status:
        """Accept the address we have; others would need a cable that leads elsewhere."""
        if request.address in (0, bootstrap.address(self.config.host)):
            return Status.SUCCESS
        return Status.INVALID_PARAMETER

    def event_acknowledged(self, request_id: int) -> None:
        """Nothing waits for it: events are not repeated."""

    # ---------------------------------------------------------------- sensor

    def exposure_ns(self) -> int:
        """Integration time in ns."""
        return self.value("ExposureTime") * 1000

    def temperature(self) -> float:
        """°C now."""
        return self.thermometer.read(self.clock())

    def _state_changed(self, before: State, after: State, reason: str) -> None:
        self.emit(
            "detector.state",
            **{"from": genicam.STATES[before], "to": genicam.STATES[after], "reason": reason},
        )
        self._watch(state=genicam.STATES[after])
        self.run_due(state=genicam.STATES[after])
        self.changed.notify_all()

    def beam_seen(self, start: int) -> None:
        """Line1: the panel sees X-ray from ``start`` (monotonic ns) on."""
        with self.lock:
            line1 = self.value("TriggerMode") and self.value("TriggerSource") == TRIGGER_LINE1
            if not line1 or self.value("FrameKind") != 0 or self.sensor.state is not State.PREPARED:
                return
            for item in self.book.due("trigger", frame=self.frames + 1):
                self.fired(item, {"frame": self.frames + 1, "beam": start})
                return
            if self.sensor.beam(start, self.exposure_ns()):
                self._opened(Status.SUCCESS)

    def next_window(self, stop: Callable[[], bool]) -> Window | None:
        """Wait for a window to end (the acquisition thread); None when ``stop`` says so."""
        with self.lock:
            while not stop():
                now = self.clock()
                self.check_temperature()
                window = self.sensor.close(now)
                if window is not None:
                    self._event(genicam.EVENT_EXPOSURE_END, window.end)
                    return window
                free = not self.value("TriggerMode")
                room = self.stream is None or self.stream.wait_room(2, 0)
                if free and room and self.sensor.free_run(now, self.exposure_ns()):
                    self._opened(Status.SUCCESS)
                    continue
                if self.sensor.window is not None:
                    wait: float | None = max(0.0, (self.sensor.window.end - now) / 1e9)
                elif free and self.sensor.acquiring:
                    wait = 0.005
                else:
                    wait = None
                self.changed.wait(wait)
        return None

    def check_temperature(self) -> None:
        """Too hot: fault.  Cool again: recovered."""
        celsius = self.temperature()
        if celsius > HOT_C and self.sensor.state is not State.FAULT:
            self.sensor.fail("over-temperature")
            self.emit("detector.fault", what="over-temperature", celsius=round(celsius, 2))
        elif celsius < COOL_C and self.sensor.fault == "over-temperature":
            self.sensor.heal()

    def _event(self, event: int, timestamp: int) -> None:
        if self.registers.get(Reg.MCP) & 0xFFFF and self.notify[event]:
            self.send_event(event, gvsp.next_block(self.block), timestamp)

    # ---------------------------------------------------------------- stream

    def destination(self) -> tuple[str, int]:
        """Where the application wants its frames; port 0: nowhere."""
        return bootstrap.dotted(self.registers.get(Reg.SCDA)), self.registers.get(Reg.SCP) & 0xFFFF

    def apply_pace(self) -> None:
        """Let the stream follow the link's speed."""
        if self.stream is not None:
            self.stream.set_pace(line_share(self.link_mbps, self.config.rate_mbps))

    def set_link(self, mbps: int) -> None:
        """The link negotiated another speed."""
        with self.lock:
            self.link_mbps = mbps
            self.registers.set(Reg.LINK_SPEED, mbps)
            self.apply_pace()

    def stream_plan(self, frame: Frame) -> Plan:
        """What armed stream faults do to this frame."""
        with self.lock:
            self.run_due(frame=frame.number)
            armed = self.book.due("stream", frame=frame.number)
            made = plan(frame.cut.count, frame.block, armed)
            for item in armed:
                if item.id in made.where:
                    self.fired(item, made.where[item.id])
            return made

    def refuse_resend(self, block: int) -> bool:
        """Whether an armed fault makes the device deny a resend."""
        with self.lock:
            for item in self.book.due("resend"):
                if item.block != block:
                    item.block = block
                    self.fired(item, {"block": block})
            return any(i.fault == "resend_refused" and i.block == block for i in self.book.all())

    def stream_progress(self, frame: Frame, packets: int) -> None:
        """Packets went out: faults and watches may be due."""
        if self.book.waiting_for("packet"):
            with self.lock:
                self.run_due(frame=frame.number, packet=packets)

    def stream_sent(self, frame: Frame) -> None:
        """A frame went out."""
        with self.lock:
            self.bytes_sent += frame.cut.size
            self._watch(frame=frame.number, sent_bytes=self.bytes_sent)
            self.changed.notify_all()

    # ---------------------------------------------------------------- faults and watches

    def fired(self, item: Armed, where: dict[str, Any] | Any) -> None:
        """A fault happened."""
        self.book.used(item)
        self.emit("fault.fired", id=item.id, fault=item.fault, where=dict(where))

    def run_due(self, **context: Any) -> None:
        """Make the faults happen that need no packet: link, temperature, control."""
        for item in self.book.due("now", **context):
            if item.fault in ("control_loss", "no_heartbeat") and self.control.owner is None:
                continue  # nobody has what is to be lost: it waits for the next occasion
            item.active = True  # before it acts: what it does may come back here
            where: dict[str, Any] = {"state": genicam.STATES[self.sensor.state], **context}
            if item.fault == "link_fallback":
                where["mbps"] = int(item.args["mbps"])
                self.set_link(where["mbps"])
            elif item.fault == "resend_off":
                offered = self.registers.get(Reg.CAPABILITY)
                self.registers.set(Reg.CAPABILITY, offered & ~Capability.PACKETRESEND)
            elif item.fault == "over_temperature":
                self.thermometer.put(float(item.args["celsius"]), self.clock())
                self.fired(item, where)
                self.check_temperature()
                continue
            else:
                where["owner"] = self.control.owner[0] if self.control.owner else None
                self.control.lose("heartbeat" if item.fault == "no_heartbeat" else "fault")
            self.fired(item, where)

    def undo(self, item: Armed) -> None:
        """A lasting fault was disarmed."""
        if not item.active:
            return
        if item.fault == "link_fallback":
            self.set_link(self.config.link_mbps)
        elif item.fault == "resend_off":
            offered = self.registers.get(Reg.CAPABILITY)
            self.registers.set(Reg.CAPABILITY, offered | Capability.PACKETRESEND)
        elif item.fault == "over_temperature":
            self.thermometer.put(self.config.temperature_c, self.clock())
            self.check_temperature()

    def _watch(self, **facts: Any) -> None:
        for id_, condition in list(self.watches.items()):
            if all(
                k in facts and (facts[k] == v if k == "state" else facts[k] >= v)
                for k, v in condition.items()
            ):
                del self.watches[id_]
                self.emit("trigger.hit", id=id_)
