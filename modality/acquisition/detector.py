"""The flat panel detector as a GigE Vision device: connect, arm, receive, notice when it is lost.

Rules of this file:

* One thread keeps the heartbeat for as long as we have control, and looks at the detector's state on the way;
  one thread per exposure receives.  Everything else happens in the caller's thread.
* Losing control, silence, or a fault of the detector ends an exposure in progress with an
  :class:`AcquisitionError` and is told once through ``on_lost``; :meth:`Detector.connect` begins again.
* Features are addressed by their GenICam names; those a detector does not have and does not need are skipped.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import Final

import numpy as np
import numpy.typing as npt

from modality.acquisition import genicam, gvcp
from modality.acquisition.frame import Format, Frame
from modality.acquisition.genicam import FeatureError, NodeMap
from modality.acquisition.gvcp import ControlChannel, ControlError, DeviceInfo, Refused, Silent
from modality.acquisition.gvsp import Receiver
from modality.acquisition.model import AcquisitionError, DetectorSettings
from modality.acquisition.panel import BITS, DetectorEvents, Panel, as_error

PREPARE_S: Final = 3.0
"""How long a detector may take to become prepared."""
HOT_C: Final = 50.0


class Detector:
    """One detector; connect and arm are called by one thread at a time."""

    def __init__(
        self,
        settings: DetectorSettings,
        events: DetectorEvents,
    ) -> None:
        self._settings = settings
        self._events = events
        self._channel: ControlChannel | None = None
        self._receiver: Receiver | None = None
        self._nodes: NodeMap | None = None
        self._panel: Panel | None = None
        self._ended = threading.Event()
        self._beat: threading.Thread | None = None
        self._task: threading.Thread | None = None
        self._cancelled = threading.Event()
        self._done = threading.Event()
        self._frame: Frame | None = None
        self._trouble: AcquisitionError | None = None
        self._temperature: float | None = None

    # ---------------------------------------------------------------- connection

    @property
    def panel(self) -> Panel | None:
        """The connected detector, or None."""
        return self._panel

    @property
    def temperature_c(self) -> float | None:
        """The temperature at the last look, in °C."""
        return self._temperature

    @property
    def receive_buffer_bytes(self) -> int:
        """What the system gave us to bridge the time in which nobody reads."""
        return self._receiver.buffer_bytes if self._receiver else 0

    def connect(self) -> Panel:
        """Take control and learn what the detector is; raises :class:`AcquisitionError`."""
        self.disconnect()
        s = self._settings
        try:
            channel = self._channel = ControlChannel(s.address, s.gvcp_port, s.local_address)
            info = channel.discover()
            try:
                channel.write_register(gvcp.REG_CCP, gvcp.CCP_CONTROL)
            except Refused as error:
                if error.status == 0x8006:
                    raise AcquisitionError(
                        "detector-refused", "The detector is controlled by another station."
                    ) from None
                raise
            channel.write_register(gvcp.REG_HEARTBEAT, s.heartbeat_ms)
            nodes = self._nodes = NodeMap(self._description(channel), channel)
            receiver = self._receiver = Receiver(channel.local_address)
            channel.write_register(gvcp.REG_STREAM_PACKET, s.packet_size | 1 << 30)
            local = struct.unpack(">I", socket.inet_aton(channel.local_address))[0]
            channel.write_register(gvcp.REG_STREAM_ADDRESS, local)
            channel.write_register(gvcp.REG_STREAM_PORT, receiver.port)
            source = channel.read_register(gvcp.REG_STREAM_SOURCE)
            if source:
                receiver.connect(s.address, source)
            self._panel = self._look(channel, nodes, info)
            self._temperature = nodes.get_float("DeviceTemperature") if "DeviceTemperature" in nodes else None
        except (ControlError, FeatureError, OSError) as error:
            self.disconnect()
            raise as_error(error) from error
        except AcquisitionError:
            self.disconnect()
            raise
        self._trouble = None
        self._ended = threading.Event()
        self._beat = threading.Thread(
            target=self._heartbeat, args=(channel, nodes, self._ended), name="detector-heartbeat", daemon=True
        )
        self._beat.start()
        return self._panel

    def _description(self, channel: ControlChannel) -> bytes:
        error: FeatureError | None = None
        for register in gvcp.REG_XML_URL:
            try:
                address, length, zipped = genicam.parse_url(gvcp.text(channel.read_memory(register, 512)))
                data = channel.read_memory(address, length)
                return genicam.unzip(data) if zipped else data
            except FeatureError as problem:
                error = error or problem
        assert error is not None
        raise error

    def _look(self, channel: ControlChannel, nodes: NodeMap, info: DeviceInfo) -> Panel:
        width, height = nodes.get_int("SensorWidth"), nodes.get_int("SensorHeight")
        if not (16 <= width <= 16384 and 16 <= height <= 16384):
            raise FeatureError(f"sensor of {width} x {height} pixels")
        for name, value in (("OffsetX", 0), ("OffsetY", 0), ("Width", width), ("Height", height)):
            if name in nodes and nodes.get_int(name) != value:
                nodes.set_int(name, value)
        pixel_format = nodes.get_int("PixelFormat")
        if pixel_format not in BITS:
            raise FeatureError(f"pixel format 0x{pixel_format:08X} is not one of 16 bits per pixel")
        capability = channel.read_register(gvcp.REG_CAPABILITY)
        return Panel(
            info,
            width,
            height,
            pixel_format,
            nodes.get_float("PixelPitch") if "PixelPitch" in nodes else 0.139,
            nodes.get_float("DetectorSensitivity") if "DetectorSensitivity" in nodes else 0.0,
            bool(capability & gvcp.CAN_RESEND),
            channel.read_register(gvcp.REG_LINK_SPEED),
        )

    def disconnect(self) -> None:
        """Give control back, if we still have it, and forget the detector.  Idempotent."""
        self._ended.set()
        self._cancelled.set()
        beat, task, channel = self._beat, self._task, self._channel
        lost = self._trouble is not None and self._trouble.code == "detector-lost"
        if channel is not None and self._panel is not None and not lost:
            for register in (gvcp.REG_STREAM_PORT, gvcp.REG_CCP):
                try:
                    channel.write_register(register, 0)
                except (ControlError, OSError):
                    break
        for thread in (task, beat):
            if thread is not None and thread is not threading.current_thread():
                thread.join(5.0)
        if channel is not None:
            channel.close()
        if self._receiver is not None:
            self._receiver.close()
        self._channel = self._receiver = self._nodes = self._panel = self._beat = self._task = None
        self._frame = None

    def _heartbeat(self, channel: ControlChannel, nodes: NodeMap, ended: threading.Event) -> None:
        """Keep control and look whether all is well, until told otherwise."""
        pause = min(1.0, self._settings.heartbeat_ms / 4000.0)
        heard = time.monotonic()
        speed = self._panel.link_mbps if self._panel is not None else 0
        faulty = False
        while not ended.wait(pause):
            try:
                privilege = channel.read_register(gvcp.REG_CCP, tries=1)
                heard = time.monotonic()
                if not privilege & gvcp.CCP_CONTROL:
                    self._lose(ended, "detector-lost", "The detector was taken away from this station.")
                    return
                now = channel.read_register(gvcp.REG_LINK_SPEED)
                if now != speed:
                    speed = now
                    self._events.link(speed)
                if "DeviceTemperature" in nodes:
                    self._temperature = nodes.get_float("DeviceTemperature")
                faulty = self._watch_fault(nodes, faulty)
            except Silent:
                if time.monotonic() - heard > self._settings.heartbeat_ms / 1000.0:
                    self._lose(ended, "detector-lost", "The detector does not answer any more.")
                    return
            except (ControlError, FeatureError):
                continue  # one strange answer is no reason to give up
            except OSError as error:
                self._lose(ended, "detector-lost", f"The link to the detector failed: {error}.")
                return

    def _watch_fault(self, nodes: NodeMap, before: bool) -> bool:
        """Look whether the detector reports a fault; a new one ends an exposure in progress."""
        now = "DetectorState" in nodes and nodes.get_enum("DetectorState") == "Fault"
        if now and not before:
            error = self._fault()
            self._trouble_seen(error)
            self._events.fault(error)
        elif before and not now:
            self._events.fault(None)
        return now

    def _lose(self, ended: threading.Event, code: str, text: str) -> None:
        if not ended.is_set():
            self._trouble_seen(AcquisitionError(code, text))
            self._events.lost(code, text)

    def _trouble_seen(self, error: AcquisitionError) -> None:
        """End an exposure in progress with this error."""
        self._trouble = error
        self._cancelled.set()

    def _fault(self) -> AcquisitionError:
        celsius = self._temperature
        if celsius is not None and celsius >= HOT_C:
            return AcquisitionError(
                "detector-hot", f"The detector is too hot ({celsius:.0f} °C). Let it cool down."
            )
        return AcquisitionError("detector-fault", "The detector reports a fault.")

    # ---------------------------------------------------------------- exposure

    def arm(self, window_ms: float, *, dark: bool = False) -> None:
        """Make the detector wait for X-rays (or, for a dark frame, be ready for a software trigger).

        ``window_ms`` is the integration window.  Raises :class:`AcquisitionError`.
        """
        nodes, receiver, panel = self._nodes, self._receiver, self._panel
        if nodes is None or receiver is None or panel is None:
            raise AcquisitionError("detector-absent", "The detector is not connected.")
        self.disarm()
        if self._trouble is not None and self._trouble.code in ("detector-hot", "detector-fault"):
            self._trouble = None  # look again below
        try:
            self._check(nodes)
            for name, entry in (
                ("TriggerSelector", "FrameStart"),
                ("TriggerMode", "On"),
                ("TriggerSource", "Software" if dark else "Line1"),
                ("FrameKind", "Dark" if dark else "Image"),
                ("AcquisitionMode", "SingleFrame"),
            ):
                if name in nodes and entry in nodes.entries(name):
                    nodes.set_enum(name, entry)
            nodes.set_float("ExposureTime", round(window_ms * 1000.0))
            receiver.expect(Format(panel.width, panel.height, panel.pixel_format, self._settings.packet_size))
            self._cancelled.clear()
            self._done.clear()
            self._frame = None
            self._task = threading.Thread(target=self._receive, name="detector-receive", daemon=True)
            self._task.start()
            nodes.execute("AcquisitionStart")
            if not dark and "DetectorPrepare" in nodes:
                nodes.execute("DetectorPrepare")
                self._wait_prepared(nodes)
        except (ControlError, FeatureError, OSError) as error:
            self.disarm()
            raise as_error(error) from error
        except AcquisitionError:
            self.disarm()
            raise

    def _check(self, nodes: NodeMap) -> None:
        if self._trouble is not None:
            raise self._trouble
        if "DeviceTemperature" in nodes:
            self._temperature = nodes.get_float("DeviceTemperature")
        if "DetectorState" in nodes and nodes.get_enum("DetectorState") == "Fault":
            raise self._fault()

    def _wait_prepared(self, nodes: NodeMap) -> None:
        if "DetectorState" not in nodes:
            return
        deadline = time.monotonic() + PREPARE_S
        while True:
            state = nodes.get_enum("DetectorState")
            if state != "Idle":
                break
            if time.monotonic() > deadline:
                raise AcquisitionError("detector-fault", "The detector did not become ready.")
            time.sleep(0.01)
        if state == "Fault":
            raise self._fault()

    def trigger(self) -> None:
        """Trigger by software; raises :class:`AcquisitionError`."""
        assert self._nodes is not None
        try:
            self._nodes.execute("TriggerSoftware")
        except (ControlError, FeatureError, OSError) as error:
            raise as_error(error) from error

    def _receive(self) -> None:
        receiver, channel, panel = self._receiver, self._channel, self._panel
        assert receiver is not None
        assert channel is not None
        assert panel is not None
        s = self._settings
        resend = channel.resend if panel.can_resend else None
        self._frame = receiver.receive(resend, self._cancelled, s.stall_timeout_s, s.frame_timeout_s)
        self._done.set()

    def wait(self, timeout_s: float) -> Frame | None:
        """Wait for the frame; None when it is not there yet.

        Raises :class:`AcquisitionError` when it came incomplete or wrong, or the detector was lost.
        """
        if not self._done.wait(timeout_s):
            if self._trouble is not None:
                raise self._trouble
            return None
        frame = self._frame
        if frame is None:  # it is being connected again
            raise self._trouble or AcquisitionError("detector-lost", "The detector was lost.")
        if not frame.problem:
            return frame
        if self._trouble is not None:
            raise self._trouble
        if frame.problem == "cancelled":
            raise AcquisitionError("cancelled", "The exposure was cancelled.")
        code = {"incomplete": "image-incomplete", "size": "image-size"}.get(frame.problem, "detector-lost")
        raise AcquisitionError(code, f"The image was not received: {frame.text}.")

    @property
    def receiving(self) -> bool:
        """Whether a receive is in progress."""
        return self._task is not None and not self._done.is_set()

    def working(self) -> bool:
        """Whether the detector says that it integrates or reads out: then an image is still to come."""
        nodes = self._nodes
        if nodes is None or "DetectorState" not in nodes:
            return False
        try:
            return nodes.get_enum("DetectorState") in ("Integrating", "Readout")
        except (ControlError, FeatureError, OSError):
            return False

    @property
    def coming(self) -> bool:
        """Whether packets of the awaited frame have come."""
        return self._receiver is not None and self.receiving and self._receiver.begun

    def pixels(self) -> npt.NDArray[np.uint16]:
        """The pixels of the frame that :meth:`wait` returned; good until the next :meth:`arm`."""
        assert self._receiver is not None
        return self._receiver.pixels()

    def has_frame(self) -> bool:
        """Whether the buffer holds the whole frame that :meth:`wait` returned."""
        return self._receiver is not None and self._frame is not None and not self._frame.problem

    def sha256(self) -> str:
        """The SHA-256 of those pixels, little endian, row by row."""
        assert self._receiver is not None
        return self._receiver.sha256()

    def disarm(self) -> None:
        """End an exposure that waits; the detector goes back to idle.  Idempotent."""
        if self._task is None:
            return
        self._cancelled.set()
        if self._task is not threading.current_thread():
            self._task.join(5.0)
        self._task = None
        if self._nodes is not None:
            try:
                self._nodes.execute("AcquisitionStop")
            except (ControlError, FeatureError, OSError):
                pass  # a lost detector stops by itself
