"""The detector's parts: feature table and XML, state machine, faults, pace, configuration, map files."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.base import CommandError
from simulators.detector import Config, calibration, genicam, gvsp
from simulators.detector.device import Device
from simulators.detector.faults import Armed, Book, plan
from simulators.detector.gvcp import Status
from simulators.detector.registers import Refused, RegisterMap, Span
from simulators.detector.sensor import Sensor, State, Thermometer
from simulators.detector.stream import line_share
from simulators.detector.transmit import CATCH_UP_S, Pacer

NS = "{http://www.genicam.org/GenApi/Version_1_1}"


def silent(kind: str, /, **data: Any) -> None:
    pass


# ---------------------------------------------------------------- genicam


@pytest.fixture(scope="module")
def device() -> Device:
    return Device(Config(width=128, height=64), silent)


@pytest.fixture(scope="module")
def tree(device: Device) -> ElementTree.Element:
    url = device.registers.read(0x200, 512).rstrip(b"\0").decode()
    _, start, size = url.split(";")
    at, length = int(start, 16), int(size, 16)
    return ElementTree.fromstring(device.registers.read(at, -(-length // 4) * 4)[:length])


def test_every_register_of_the_xml_exists_with_that_access(device: Device, tree: ElementTree.Element) -> None:
    registers = [
        e
        for e in tree
        if e.tag[len(NS) :] in ("IntReg", "MaskedIntReg") and e.findtext(f"{NS}pPort") == "Device"
    ]
    assert len(registers) > 25
    for e in registers:
        where, access = int(e.findtext(f"{NS}Address") or "", 16), e.findtext(f"{NS}AccessMode")
        if access in ("RO", "RW"):
            device.registers.read(where, 4)
        if access in ("WO", "RW"):
            device.registers.check_write(where, 4)
        else:
            with pytest.raises(Refused):
                device.registers.check_write(where, 4)


def test_every_reference_of_the_xml_leads_to_a_node(tree: ElementTree.Element) -> None:
    names = [e.get("Name") for e in tree]
    assert len(names) == len(set(names))
    for e in tree.iter():
        if e.tag[len(NS) :] in ("pFeature", "pValue", "pPort", "pVariable"):
            assert e.text in names, e.text


def test_the_contract_s_features_are_there(tree: ElementTree.Element) -> None:
    names = {e.get("Name") for e in tree}
    wanted = (
        "DeviceVendorName DeviceModelName DeviceID DeviceSerialNumber SensorWidth SensorHeight Width Height "
        "PixelFormat "
        "AcquisitionMode AcquisitionStart AcquisitionStop TriggerSelector TriggerMode TriggerSource TriggerSoftware "
        "ExposureTime PayloadSize DeviceTemperature GevSCPSPacketSize GevSCPD DetectorState DetectorPrepare FrameKind"
    )
    assert set(wanted.split()) <= names


def test_registers_do_not_overlap() -> None:
    registers = RegisterMap()
    registers.add(Span(0x10, 8))
    for bad in (Span(0x14, 4), Span(0xC, 8), Span(0x18, 2), Span(0x19, 4)):
        with pytest.raises(ValueError, match=r"overlaps|aligned"):
            registers.add(bad)
    registers.add(Span(0x18, 4))
    assert registers.read(0x10, 12) == bytes(12)


# ---------------------------------------------------------------- state machine


def test_an_exposure_goes_through_all_states() -> None:
    seen: list[str] = []
    sensor = Sensor(lambda before, after, why: seen.append(after.name))
    sensor.start(None)
    assert sensor.prepare() is Status.SUCCESS
    assert sensor.beam(1000, 500)
    assert sensor.prepare() is Status.BUSY
    assert sensor.close(1499) is None
    window = sensor.close(1500)
    assert window is not None
    assert (window.start, window.end, window.cause) == (1000, 1500, "line1")
    sensor.done()
    assert seen == ["PREPARED", "INTEGRATING", "READOUT", "IDLE"]
    assert sensor.acquiring


def test_a_beam_opens_no_window_unless_prepared_and_acquiring() -> None:
    sensor = Sensor(lambda *a: None)
    sensor.prepare()
    assert not sensor.beam(0, 10)
    sensor.start(None)
    assert sensor.beam(0, 10)
    assert not sensor.beam(1, 10)


def test_a_single_frame_ends_the_acquisition() -> None:
    sensor = Sensor(lambda *a: None)
    sensor.start(1)
    assert sensor.software(0, 10) is Status.SUCCESS
    assert sensor.software(0, 10) is Status.BUSY
    sensor.close(10)
    sensor.done()
    sensor.done()
    assert not sensor.acquiring
    assert sensor.software(20, 10) is Status.BUSY


def test_stopping_throws_an_open_window_away() -> None:
    sensor = Sensor(lambda *a: None)
    sensor.start(None)
    sensor.software(0, 10)
    sensor.stop("test")
    assert sensor.state is State.IDLE
    assert sensor.close(100) is None


def test_the_panel_warms_with_use_and_cools_again() -> None:
    minute = 60_000_000_000
    t = Thermometer(30.0, 0)
    assert t.read(minute) == 30.0
    t.use(minute, active=True, frames=10)
    warm = t.read(30 * minute)
    assert 31 < warm < 35
    t.use(30 * minute, active=False)
    assert 30 < t.read(60 * minute) < warm


# ---------------------------------------------------------------- faults


def armed(fault: str, **args: Any) -> Armed:
    return Book().arm("f", fault, args, {})


def test_dropped_packets_are_those_listed() -> None:
    made = plan(20, 1, [armed("drop", packets=[2, [5, 7], 99])])
    assert made.dropped.tolist() == [2, 5, 6, 7]
    assert set(made.order) == set(range(1, 21)) - {2, 5, 6, 7}
    assert made.where["f"] == {"block": 1, "count": 4, "packets": [2, 5, 6, 7]}


def test_a_percentage_is_seeded_and_differs_between_blocks() -> None:
    first, again, other, next_ = (
        plan(10_000, block, [armed("drop", percent=1, seed=seed)]).dropped.tolist()
        for block, seed in ((1, 5), (1, 5), (1, 6), (2, 5))
    )
    assert first == again
    assert first != other
    assert first != next_
    assert 50 < len(first) < 160


def test_late_packets_leave_the_order_and_come_after_it() -> None:
    made = plan(10, 1, [armed("late", packets=[3], ms=30)])
    assert made.order.tolist() == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    assert made.late == ((3, 0.03),)


def test_reordered_packets_are_all_there() -> None:
    made = plan(12, 1, [armed("reorder", packets=[2], distance=3)])
    assert made.order.tolist() == [1, 3, 4, 5, 2, 6, 7, 8, 9, 10, 11, 12]


def test_faults_combine() -> None:
    book = Book()
    book.arm("a", "drop", {"packets": [1]}, {})
    book.arm("b", "duplicate", {"packets": [1, 2]}, {})
    book.arm("c", "missing_trailer", {}, {})
    made = plan(4, 9, book.due("stream"))
    assert made.order.tolist() == [2, 2, 3, 4]
    assert not made.trailer
    assert made.leader
    assert made.where["b"]["packets"] == [2]
    assert made.where["c"]["packets"] == [5]


@pytest.mark.parametrize(
    ("fault", "args", "when", "word"),
    [
        ("explode", {}, {}, "no fault"),
        ("drop", {}, {}, "either percent or packets"),
        ("drop", {"percent": 0}, {}, "percent"),
        ("drop", {"packets": []}, {}, "packets"),
        ("drop", {"packets": [[5, 2]]}, {}, r"\[5, 2\]"),
        ("drop", {"percent": 1, "colour": 2}, {}, "colour"),
        ("drop", {"percent": 1, "count": -1}, {}, "count"),
        ("link_fallback", {"mbps": 50}, {}, "mbps"),
        ("missing_trailer", {}, {"moon": 1}, "moon"),
        ("drop", {"percent": 1}, {"packet": 5}, "packet"),
        ("over_temperature", {"celsius": 45}, {}, "above 50"),
    ],
)
def test_nonsense_is_refused_when_armed(
    fault: str, args: dict[str, Any], when: dict[str, Any], word: str
) -> None:
    with pytest.raises(CommandError, match=word):
        Book().arm("x", fault, args, when)


def test_a_fault_fires_as_often_as_armed_and_when_its_condition_holds() -> None:
    book = Book()
    item = book.arm("x", "missing_trailer", {"count": 2}, {"frame": 3})
    assert book.due("stream", frame=2) == []
    assert book.due("stream", frame=3) == [item]
    book.used(item)
    book.used(item)
    assert book.due("stream", frame=3) == []
    with pytest.raises(CommandError, match="armed already"):
        book.arm("x", "missing_trailer", {}, {})


# ---------------------------------------------------------------- pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def test_the_pacer_keeps_the_line_rate() -> None:
    clock = Clock()
    pacer = Pacer(1e8, clock=clock.read, sleep=clock.sleep)
    pacer.begin()
    for _ in range(1000):
        pacer.spend(100_000)
    assert clock.now - 100 == pytest.approx(1.0, abs=0.001)


def test_a_late_sender_catches_up_only_a_little() -> None:
    clock = Clock()
    pacer = Pacer(1e8, clock=clock.read, sleep=clock.sleep)
    pacer.spend(100_000)
    clock.now += 5
    before = clock.now
    for _ in range(100):
        pacer.spend(100_000)
    assert clock.now - before == pytest.approx(0.1 - CATCH_UP_S, abs=0.002)


def test_the_inter_packet_delay_is_added() -> None:
    clock = Clock()
    pacer = Pacer(1e8, 0.001, clock=clock.read, sleep=clock.sleep)
    pacer.begin()
    pacer.spend(10_000, 10)
    pacer.spend(10_000, 10)
    assert clock.now - 100 == pytest.approx(0.0202, abs=1e-6)


def test_the_share_of_the_line_follows_the_link() -> None:
    assert line_share(1000, 0) == 970
    assert line_share(100, 0) == 97
    assert line_share(1000, 500) == 500
    assert line_share(100, 500) == 97


def test_goodput_of_a_full_line() -> None:
    assert gvsp.goodput(1000) == pytest.approx(118.99e6, rel=1e-4)
    assert gvsp.goodput(10) == pytest.approx(1.1899e6, rel=1e-4)


def test_block_ids_skip_zero() -> None:
    assert gvsp.next_block(0) == 1
    assert gvsp.next_block(65534) == 65535
    assert gvsp.next_block(65535) == 1


# ---------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"hieght": 5}, "hieght"),
        ({"width": 100}, "width"),
        ({"width": "3072"}, "width"),
        ({"bits": 12}, "bits"),
        ({"link_mbps": 42}, "link_mbps"),
        ({"gvcp_port": 70000}, "gvcp_port"),
        ({"serial": "x" * 16}, "serial"),
        ({"pixel_pitch_mm": 0}, "pixel_pitch_mm"),
        ({"broadcast": 1}, "broadcast"),
        ({"cache_dir": 3}, "cache_dir"),
    ],
)
def test_a_wrong_configuration_names_the_key(values: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Config.from_dict(values)


def test_a_right_configuration() -> None:
    config = Config.from_dict({"host": "10.0.0.2", "bits": 14, "rate_mbps": 500, "cache_dir": None})
    assert config.sensitivity == pytest.approx(16383 / 60)
    assert genicam.PIXEL_FORMATS["Mono14"] == 0x01100025


# ---------------------------------------------------------------- factory calibration


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    folder = tmp_path_factory.mktemp("cal")
    config = Config(width=256, height=192, serial="CAL-1", seed=3, cache_dir=str(folder / "cache"))
    calibration.write(config, folder / "disc")
    return config, folder


def test_map_files_have_the_documented_header(maps: tuple[Config, Path]) -> None:
    _, folder = maps
    raw = (folder / "disc" / "offset.map").read_bytes()
    assert raw[:4] == b"XM\x01\x01"
    assert raw[4:20] == b"CAL-1".ljust(16, b"\0")
    assert int.from_bytes(raw[24:26], "big") == 256
    assert int.from_bytes(raw[26:28], "big") == 192
    assert len(raw) == 32 + 2 * 256 * 192
    kind, serial, pixels = calibration.decode(raw)
    assert (kind, serial, pixels.shape) == ("offset", "CAL-1", (192, 256))


def test_the_measured_maps_agree_with_the_panel(maps: tuple[Config, Path]) -> None:
    from simulators.detector.imaging import Imager

    config, folder = maps
    offset, gain, bad = (
        calibration.decode((folder / "disc" / f"{k}.map").read_bytes())[2]
        for k in ("offset", "gain", "defect")
    )
    panel = Imager(config).panel
    truly = (panel.gain < 0.5) | (panel.offset > 1e5)
    assert truly.sum() > 100
    assert (bad.astype(bool) == truly).all()
    good = ~truly
    assert np.abs(offset[good] - panel.offset[good]).mean() < 3 * panel.unit
    inverse = gain[good] * panel.gain[good]
    assert inverse.std() / inverse.mean() < 0.04  # heel effect of the flats included
    assert not np.array_equal(offset[good], np.rint(panel.offset[good]))  # measured, not copied


def test_the_second_disc_is_the_first_one(maps: tuple[Config, Path], tmp_path: Path) -> None:
    config, folder = maps
    calibration.write(config, tmp_path)
    for kind in calibration.TYPES:
        assert (tmp_path / f"{kind}.map").read_bytes() == (folder / "disc" / f"{kind}.map").read_bytes()


@pytest.mark.parametrize("spoil", [b"", b"XM", b"YM" + bytes(30)])
def test_what_is_no_map_file_is_refused(spoil: bytes) -> None:
    with pytest.raises(ValueError, match=r"map|short"):
        calibration.decode(spoil)


def test_a_spoiled_body_is_refused() -> None:
    raw = bytearray(calibration.encode("defect", "S", np.zeros((4, 4), np.uint8)))
    raw[-1] ^= 1
    with pytest.raises(ValueError, match="CRC"):
        calibration.decode(bytes(raw))
