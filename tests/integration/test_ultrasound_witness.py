"""pyigtl, which nobody here wrote, receives the ultrasound stream: every picture, its pixels, geometry and CRC."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from simulators.ultrasound import Config, Ultrasound, crc, create
from simulators.ultrasound.igtl import Decoder, Image, Message, Text, Transform, encode

pytestmark = [
    pytest.mark.witness,
    pytest.mark.skipif(importlib.util.find_spec("pyigtl") is None, reason="pyigtl is not installed"),
]
TIMEOUT = 60.0


class Everything(dict[str, Any]):
    """The client's mailbox keeps the newest message of a device; this one keeps them all."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Any] = []
        self.new = threading.Condition()

    def __setitem__(self, device: str, message: Any) -> None:
        with self.new:
            self.all.append(message)
            self.new.notify_all()
        super().__setitem__(device, message)

    def images(self) -> list[Any]:
        """Pictures so far."""
        return [m for m in self.all if m.device_name == "Image_Probe"]

    def wait(self, count: int) -> list[Any]:
        """So many pictures."""
        with self.new:
            assert self.new.wait_for(lambda: len(self.images()) >= count, TIMEOUT)
            return self.images()[:count]


class Run:
    """A device and pyigtl's client at the other end."""

    def __init__(self, **values: Any) -> None:
        import pyigtl

        self.events: list[tuple[str, dict[str, Any]]] = []
        self.device: Ultrasound = create(Config.from_dict({"port": 0, **values}), self._emit)
        where = self.device.start()
        self.client = pyigtl.OpenIGTLinkClient(where["host"], where["port"], start_now=False)
        self.client.incoming_messages = self.mail = Everything()
        self.client.start()

    def _emit(self, kind: str, /, **data: Any) -> None:
        self.events.append((kind, data))

    def truth(self) -> list[dict[str, Any]]:
        """What the device told of its pictures."""
        return [data for kind, data in self.events if kind == "ultrasound.frame"]

    def stop(self) -> None:
        """End both; the client first, it would connect again and again."""
        self.client.stop()
        self.device.stop()


@pytest.fixture
def make() -> Iterator[Any]:
    """Runs that are ended whatever happens."""
    runs: list[Run] = []

    def start(**values: Any) -> Run:
        runs.append(Run(**values))
        return runs[-1]

    yield start
    for run in runs:
        run.stop()


@pytest.mark.parametrize(
    ("size", "fps", "protocol", "mode", "count"),
    [
        ("640x480", 30, 3, "B", 45),
        ("640x480", 60, 1, "B", 60),
        ("1024x768", 10, 3, "colour", 10),  # 24 MB/s are what its reader takes beside us on a busy machine
        ("1024x768", 30, 1, "PW", 10),
    ],
)
def test_pyigtl_gets_every_picture_as_it_was_told(
    make: Any, size: str, fps: int, protocol: int, mode: str, count: int
) -> None:
    """All pictures in order, pixels equal to the truth, spacing and origin as the settings say."""
    run = make(size=size, fps=fps, protocol=protocol, mode=mode, queue=256)
    images = run.mail.wait(count)
    truth = run.truth()[:count]
    assert [t["sequence"] for t in truth] == list(range(1, count + 1))
    for message, told in zip(images, truth, strict=True):
        pixels = np.ascontiguousarray(message.image)
        assert pixels.dtype == np.uint8
        assert pixels.shape[:3] == (1, told["height"], told["width"])
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == told["sha256"]
        if protocol == 3:
            assert message.message_id == told["sequence"]
            assert message.metadata["mode"] == mode
    first = images[0].ijk_to_world_matrix
    settings = json.loads(next(m.string for m in run.mail.all if m.device_name == "UsSettings"))
    geometry = settings["geometry"]
    step = geometry["spacing_mm"] or 1.0
    assert np.allclose(np.diag(first)[:3], step)
    if geometry["spacing_mm"]:
        region = geometry["regions"][0]
        corner, reference = region["rectangle"], region["reference"]
        face = first @ [corner[0] + reference[0], corner[1] + reference[1], 0.0, 1.0]
        assert np.allclose(face[:2], 0.0, atol=1e-3)
    assert not [kind for kind, _ in run.events if kind in ("ultrasound.dropped", "ultrasound.garbage")]


def test_pyigtl_turns_a_knob(make: Any) -> None:
    """Its STRING is understood; the depth changes in the stream and in the settings."""
    import pyigtl

    run = make(fps=20, bank=False)
    before = run.mail.wait(1)[0].ijk_to_world_matrix[0, 0]
    run.client.send_message(pyigtl.StringMessage("depth=80", device_name="UsSet"))
    with run.mail.new:
        assert run.mail.new.wait_for(
            lambda: any(m.ijk_to_world_matrix[0, 0] < 0.7 * before for m in run.mail.images()), TIMEOUT
        )
    assert [d["depth"] for kind, d in run.events if kind == "ultrasound.set"] == [80.0]


def test_pyigtl_and_our_codec_read_each_other() -> None:
    """Messages of either side, byte by byte where there is one way to write them; and the CRC is the same."""
    from pyigtl import messages

    data = np.random.default_rng(1).integers(0, 256, 100_001, np.uint8).tobytes()
    assert crc.crc64(data) == messages.CRC64(data)
    pixels = np.arange(24, dtype=np.uint8).reshape(1, 4, 6)
    matrix = np.diag([0.5, 0.5, 0.5, 1.0])
    theirs = messages.ImageMessage(pixels, matrix, timestamp=5.0, device_name="Image_Probe")
    decoder = Decoder()
    decoder.receive(theirs.pack())
    ours = decoder.next()
    assert isinstance(ours, Message)
    assert isinstance(ours.body, Image)
    assert (ours.body.size, ours.body.pixels, ours.device) == ((6, 4, 1), pixels.tobytes(), "Image_Probe")
    assert encode(ours) == theirs.pack()
    moved = messages.TransformMessage(np.arange(16.0).reshape(4, 4), timestamp=1.0, device_name="T")
    decoder.receive(moved.pack())
    transform = decoder.next()
    assert isinstance(transform, Message)
    assert isinstance(transform.body, Transform)
    assert transform.body.matrix == (0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11)
    said = messages.StringMessage("gain=3", timestamp=1.0, device_name="UsSet")
    decoder.receive(said.pack())
    text = decoder.next()
    assert isinstance(text, Message)
    assert text.body == Text("gain=3")
    assert encode(text) == said.pack()
