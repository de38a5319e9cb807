"""The simulated detector: threads and sockets around the sans-I/O device.

Rules of this file:

* Three threads: control (GVCP, heartbeat), acquisition (windows, frames), stream (packets, resends).
* It sees photons only from the world; it never looks at the generator.
* Loopback by default; broadcast discovery only when configured, which only a bench in a namespace of its own does.
"""

from __future__ import annotations

import hashlib
import heapq
import selectors
import socket
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from simulators.base import CommandError, Emit
from simulators.detector import gvcp, gvsp
from simulators.detector.bootstrap import Reg, dotted
from simulators.detector.config import Config
from simulators.detector.device import Device
from simulators.detector.gvsp import Packets
from simulators.detector.sensor import Window
from simulators.detector.stream import Frame, Hooks, Stream

if TYPE_CHECKING:
    from simulators.detector.imaging import Imager
    from simulators.world import Signal, World

TICK_S: Final = 0.1
BUFFERS: Final = 4
"""Frame buffers that are used again; more than the stream keeps."""
CONDITIONS: Final = ("state", "frame", "sent_bytes")


class Detector:
    """A flat panel detector on the network."""

    def __init__(self, config: Config, emit: Emit, world: World, imager: Imager | None = None) -> None:
        self.config = config
        self.world = world
        self.device = Device(config, emit, world.clock)
        self._emit = emit
        self._imager = imager
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._unsubscribe: Any = None
        self._buffers: list[npt.NDArray[np.uint16]] = []
        self._event_id = 0
        self._started = False

    # ---------------------------------------------------------------- life

    def start(self) -> Mapping[str, Any]:
        """Open the sockets and begin to serve; returns host, gvcp_port, serial and model."""
        if self._started:
            raise RuntimeError("the detector runs already")
        self._started = True
        if self._imager is None:
            from simulators.detector.imaging import Imager

            self._imager = Imager(self.config)
        main = self._bind(self.config.host, self.config.gvcp_port)
        if self.config.broadcast:
            self._bind("255.255.255.255", self.config.gvcp_port, shared=True)
        device = self.device
        hooks = Hooks(device.stream_plan, device.refuse_resend, device.stream_progress, device.stream_sent)
        device.stream = Stream(self.config.host, self._emit, hooks, plain=self.config.plain_send)
        device.registers.set(Reg.SCSP, device.stream.port)
        device.registers.set(Reg.MCSP, main.getsockname()[1])
        device.send_event = self._send_event
        device.apply_pace()
        self._wake = socket.socketpair()
        self._unsubscribe = self.world.subscribe(self._signal)
        device.stream.start()
        for work, name in ((self._serve, "control"), (self._acquire, "acquisition")):
            thread = threading.Thread(target=work, name=f"detector-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)
        if self.config.warm:
            # Nobody waits for its end: an exposure that needs the scene does, and a stop need not.
            threading.Thread(
                target=self._imager.scene, args=(self.world.phantom,), name="detector-scene", daemon=True
            ).start()
        return {
            "host": self.config.host,
            "gvcp_port": main.getsockname()[1],
            "serial": self.config.serial,
            "model": self.config.model,
            "mac": device.mac.hex(":"),
        }

    def _bind(self, host: str, port: int, *, shared: bool = False) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sockets.append(sock)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.setblocking(False)
        return sock

    def stop(self) -> None:
        """End threads and sockets; may be called again."""
        self._stopping.set()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self._wake is not None:
            self._wake[1].send(b"x")
        if self.device.stream is not None:
            self.device.stream.drop()  # the acquisition thread may be waiting for room
        with self.device.lock:
            self.device.changed.notify_all()
        for thread in self._threads:
            thread.join(5)
        self._threads.clear()
        if self.device.stream is not None:
            self.device.stream.stop()
            self.device.stream = None
        for sock in (*self._sockets, *(self._wake or ())):
            sock.close()
        self._sockets.clear()
        self._wake = None

    # ---------------------------------------------------------------- control thread

    def _serve(self) -> None:
        device = self.device
        main = self._sockets[0]
        assert self._wake is not None
        later: list[tuple[float, int, bytes, tuple[str, int]]] = []
        number = 0
        with selectors.DefaultSelector() as selector:
            for sock in (*self._sockets, self._wake[0]):
                selector.register(sock, selectors.EVENT_READ)
            while not self._stopping.is_set():
                idle = device.control.owner is None and not later
                wait = None if idle else TICK_S
                if later:
                    wait = min(TICK_S, max(0.0, later[0][0] - time.monotonic()))
                ready = selector.select(wait)
                with device.lock:
                    device.control.tick(device.clock())
                while later and later[0][0] <= time.monotonic():
                    _, _, data, peer = heapq.heappop(later)
                    self._send(main, data, peer)
                for key, _ in ready:
                    if key.fileobj is self._wake[0]:
                        continue
                    assert isinstance(key.fileobj, socket.socket)
                    for data, peer in self._receive(key.fileobj):
                        for delay, answer in self._answer(data, peer):
                            if delay:
                                number += 1
                                heapq.heappush(later, (time.monotonic() + delay, number, answer, peer))
                            else:
                                self._send(main, answer, peer)

    @staticmethod
    def _receive(sock: socket.socket) -> list[tuple[bytes, tuple[str, int]]]:
        got: list[tuple[bytes, tuple[str, int]]] = []
        for _ in range(64):
            try:
                got.append(sock.recvfrom(2048))
            except OSError:
                break
        return got

    @staticmethod
    def _send(sock: socket.socket, data: bytes, peer: tuple[str, int]) -> None:
        try:
            sock.sendto(data, peer)
        except OSError:
            pass  # the way back is gone; GVCP is repeated by the application

    def _answer(self, data: bytes, peer: tuple[str, int]) -> list[tuple[float, bytes]]:
        """What to send back, and how much later (s)."""
        device = self.device
        with device.lock:
            reply = device.control.handle(data, peer, device.clock())
            if reply is None:
                return []
            if reply.body is None or isinstance(reply.body, gvcp.Discovery):
                return [(0.0, reply.data)]
            name = type(reply.body).__name__.upper()
            for item in device.book.due("answer"):
                if item.args["command"] not in (None, name):
                    continue
                where = {"command": name, "request_id": reply.request_id}
                device.fired(item, where)
                if item.fault == "no_answer":
                    return []
                ms = int(item.args["ms"])
                return [
                    (0.0, gvcp.encode_pending(reply.request_id, min(ms * 2, 0xFFFF))),
                    (ms / 1000, reply.data),
                ]
            return [(0.0, reply.data)]

    def _send_event(self, event: int, block: int, timestamp: int) -> None:
        registers = self.device.registers
        where = (dotted(registers.get(Reg.MCDA)), registers.get(Reg.MCP) & 0xFFFF)
        self._event_id = self._event_id % 0xFFFF + 1
        flags = gvcp.FLAG_ACK if registers.get(Reg.MCTT) else 0
        body = gvcp.Event(event, 0, block, timestamp)
        self._send(self._sockets[0], gvcp.encode_command(gvcp.Command(body, self._event_id, flags)), where)

    # ---------------------------------------------------------------- acquisition thread

    def _signal(self, signal: Signal) -> None:
        if signal.kind == "xray_on":
            self.device.beam_seen(signal.t)

    def _acquire(self) -> None:
        while (window := self.device.next_window(self._stopping.is_set)) is not None:
            try:
                self._read_out(window)
            except Exception as error:
                self._emit(
                    "bench.error", where="detector acquisition", message=f"{type(error).__name__}: {error}"
                )
                with self.device.lock:
                    self.device.sensor.done()

    def _buffer(self, pixels: int) -> npt.NDArray[np.uint16]:
        """A frame buffer that nobody uses any more."""
        if self._buffers and self._buffers[0].size != pixels:
            self._buffers.clear()
        if len(self._buffers) < BUFFERS:
            self._buffers.append(np.empty(pixels, "<u2"))
            return self._buffers[-1]
        self._buffers.append(self._buffers.pop(0))
        return self._buffers[-1]

    def _read_out(self, window: Window) -> None:
        device, imager, stream = self.device, self._imager, self.device.stream
        assert imager is not None
        assert stream is not None
        with device.lock:
            device.frames += 1
            number = device.frames
            device.block = gvsp.next_block(device.block)
            block = device.block
            x, y, w, h = (device.value(n) for n in ("OffsetX", "OffsetY", "Width", "Height"))
            pixel_format = device.value("PixelFormat")
            kind = "Dark" if device.value("FrameKind") else "Image"
            celsius = device.temperature()
            device.thermometer.use(device.clock(), active=device.sensor.acquiring, frames=1)
            cut = Packets(w * h * 2, device.registers.get(Reg.SCPS) & 0xFFFF)
            gap = device.registers.get(Reg.SCPD) / 1e9
            destination = device.destination()
        stream.wait_room(2, None)
        bits = 14 if pixel_format == gvsp.MONO14 else 16
        out = self._buffer(w * h).reshape(h, w)
        beams = self.world.photons(window.start, window.end)
        picture = imager.expose(
            beams,
            number=number,
            region=(x, y, w, h),
            bits=bits,
            integration_s=(window.end - window.start) / 1e9,
            out=out,
        )
        frame = Frame(
            block,
            number,
            out.reshape(-1).view(np.uint8),
            cut,
            gvsp.encode(gvsp.Leader(block, window.end, pixel_format, w, h, x, y)),
            gvsp.encode(gvsp.Trailer(block, cut.trailer, h)),
            destination,
            gap,
        )
        with device.lock:  # control may have been lost meanwhile, and the stream with it
            streamed = bool(destination[1]) and device.destination() == destination
            if streamed:
                stream.put(frame)
            device.sensor.done()
        truth = imager.write_truth(number)
        self._emit(
            "detector.frame",
            block=block,
            number=number,
            sha256=hashlib.sha256(frame.pixels.data).hexdigest(),
            width=w,
            height=h,
            format="Mono14" if bits == 14 else "Mono16",
            bytes=cut.size,
            seed=self.config.seed,
            frame_kind=kind,
            cause=window.cause,
            exposure_ms=(window.end - window.start) / 1e6,
            celsius=round(celsius, 2),
            truth=truth,
            streamed=streamed,
            **picture.facts(),
        )
        frame.told.set()

    # ---------------------------------------------------------------- commands

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Verbs: status, set_temperature, link_mbps, phantom, arm, disarm, watch."""
        verbs = {
            "status": self._status,
            "set_temperature": self._set_temperature,
            "link_mbps": self._link_mbps,
            "phantom": self._phantom,
            "arm": self._arm,
            "disarm": self._disarm,
            "watch": self._watch,
        }
        if verb not in verbs:
            raise CommandError(f"a detector cannot {verb!r}; it can {', '.join(verbs)}")
        return verbs[verb](args)

    def _status(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        device = self.device
        with device.lock:
            owner = device.control.owner
            return {
                "state": device.sensor.state.name.capitalize(),
                "owner": None if owner is None else f"{owner[0]}:{owner[1]}",
                "acquiring": device.sensor.acquiring,
                "frames": device.frames,
                "temperature_c": round(device.temperature(), 2),
                "link_mbps": device.link_mbps,
                "phantom": self.world.phantom,
                "armed": [{"id": i.id, "fault": i.fault, "fired": i.fired} for i in device.book.all()],
            }

    def _set_temperature(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        celsius = args.get("celsius")
        if not isinstance(celsius, int | float) or not -50 <= celsius <= 150:
            raise CommandError(f"set_temperature wants celsius from -50 to 150, not {celsius!r}")
        device = self.device
        with device.lock:
            device.thermometer.put(float(celsius), device.clock())
            device.check_temperature()
        return {"celsius": float(celsius)}

    def _link_mbps(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        mbps = args.get("mbps")
        if mbps not in (10, 100, 1000):
            raise CommandError(f"link_mbps wants mbps 10, 100 or 1000, not {mbps!r}")
        self.device.set_link(mbps)
        return {"mbps": mbps}

    def _phantom(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        from simulators.world.phantom import PHANTOMS

        name = args.get("name")
        if name not in PHANTOMS:
            raise CommandError(f"there is no phantom {name!r}; there are {', '.join(PHANTOMS)}")
        self.world.place(phantom=name)
        return {"name": name}

    def _arm(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        device = self.device
        with device.lock:
            item = device.book.arm(
                str(args.get("id") or ""),
                str(args.get("fault")),
                args.get("args") or {},
                args.get("when") or {},
            )
            self._emit("fault.armed", id=item.id, fault=item.fault)
            device.run_due()
        return {"id": item.id}

    def _disarm(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        device = self.device
        with device.lock:
            item = device.book.disarm(str(args.get("id")))
            if item is None:
                raise CommandError(f"no fault {args.get('id')!r} is armed")
            device.undo(item)
        return {"id": item.id, "fired": item.fired}

    def _watch(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        condition = {k: v for k, v in args.items() if k != "id"}
        if not args.get("id") or not condition or set(condition) - set(CONDITIONS):
            raise CommandError(f"watch wants an id and conditions of {', '.join(CONDITIONS)}")
        with self.device.lock:
            self.device.watches[str(args["id"])] = condition
        return {"id": args["id"]}
