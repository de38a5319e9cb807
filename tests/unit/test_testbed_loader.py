"""Testbed files: the design's example, the virtual one, and one clear error per fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.scenario.problems import TestbedErrors
from bench.testbed import VIRTUAL, LinkBed, load_testbed, load_testbed_text

EXAMPLE = """\
testbed: bench-3                                    # what stands in the lab
sut: {adapter: operator, product: vxvue, serial: VX-0042, version: 3.8.1, ae: VXVUE, address: 10.0.0.5}
links: {modality: {backend: nic, interface: enp3s0}, detector: {backend: nic, interface: enp4s0}}
serial: {generator: {url: /dev/ttyUSB0}}
volumes: {usb: {backend: usbsdmux, serial: "00048.00643"}}
"""


def faults(text: str) -> list[str]:
    with pytest.raises(TestbedErrors) as caught:
        load_testbed_text(text, file="b.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_the_example_of_the_design(tmp_path: Path) -> None:
    file = tmp_path / "bench-3.yaml"
    file.write_text(EXAMPLE, encoding="utf-8")
    bed = load_testbed(file)
    assert bed.name == "bench-3"
    assert (bed.sut.adapter, bed.sut.version, bed.sut.address) == ("operator", "3.8.1", "10.0.0.5")
    assert bed.links["modality"] == LinkBed("nic", "enp3s0", {})
    assert bed.serial["generator"].url == "/dev/ttyUSB0"
    assert bed.volumes["usb"].options == {"serial": "00048.00643"}


def test_the_virtual_testbed_has_the_reference_modality() -> None:
    assert (VIRTUAL.name, VIRTUAL.sut.adapter, dict(VIRTUAL.links)) == ("virtual", "reference", {})


def test_a_command_adapter_and_configuration() -> None:
    bed = load_testbed_text(
        "testbed: b\n"
        "sut: {adapter: command, command: [python, drive.py], config: {auto_send: false, bits_stored: 12}}\n"
        "links: {modality: {backend: veth, mode: 100BASE-T}}\n"
        "peers: {pacs: {address: 10.0.0.21, port: 104, ae: PACS}}\n"
    )
    assert bed.sut.command == ("python", "drive.py")
    assert bed.sut.config == {"auto_send": "off", "bits_stored": 12}
    assert bed.links["modality"].options == {"mode": "100BASE-T"}
    assert bed.peers["pacs"].port == 104


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "b.yaml:1: the file is empty"),
        ("sut: {adapter: reference}\n", "b.yaml:1: 'testbed' is missing"),
        ("testbed: b\nlinkz: {}\n", "b.yaml:2: unknown key 'linkz' (did you mean 'links'?)"),
        ("testbed: b\nsut:\n", "b.yaml:2: sut: 'adapter' is missing"),
        (
            "testbed: b\nsut: {adapter: refrence}\n",
            "sut: adapter: unknown adapter 'refrence' (did you mean 'reference'?)",
        ),
        ("testbed: b\nsut: {adapter: command}\n", "adapter 'command' needs 'command'"),
        ("testbed: b\nsut: {adapter: reference, command: [x]}\n", "adapter 'reference' runs no 'command'"),
        ("testbed: b\nsut: {adapter: operator, product: mx1, ae: A}\n", "adapter 'operator' needs 'address'"),
        ("testbed: b\nsut: {adapter: reference, address: 10.0.0.500}\n", "'10.0.0.500' is not an IP address"),
        ("testbed: b\nsut: {adapter: reference, ae: ABCDEFGHIJKLMNOPQ}\n", "is not an AE title"),
        (
            "testbed: b\nlinks: {modalty: {backend: veth}}\n",
            "links: unknown name 'modalty' (did you mean 'modality'?)",
        ),
        (
            "testbed: b\nlinks: {modality: {backend: veht}}\n",
            "unknown link backend 'veht' (did you mean 'veth'?)",
        ),
        (
            "testbed: b\nlinks: {modality: {backend: nic}}\n",
            "b.yaml:2: links: modality: backend 'nic' needs 'interface'",
        ),
        (
            "testbed: b\nlinks: {modality: {backend: veth, interface: e}}\n",
            "backend 'veth' has no 'interface'",
        ),
        ("testbed: b\nserial: {generator: {url: ttyUSB0}}\n", "'ttyUSB0' is not a serial line like"),
        ("testbed: b\nserial: {generator: {url: 'socket://h:99999'}}\n", "is not a serial line like"),
        (
            "testbed: b\nvolumes: {usb: {backend: usbsdmux, seriel: x}}\n",
            "unknown key 'seriel' (did you mean 'serial'?)",
        ),
        ("testbed: ${cell.id}\n", "testbed: no reference is possible here"),
        ("testbed: b\ntestbed: c\n", "b.yaml:2: key 'testbed' is there twice"),
    ],
)
def test_a_fault_is_one_clear_error(text: str, message: str) -> None:
    found = faults(text)
    assert len(found) == 1, found
    assert message in found[0]


def test_all_faults_at_once() -> None:
    assert len(faults("testbed: b\nsut: {adapter: x}\nlinks: {y: {}}\nvolumes: {usb: {backend: z}}\n")) == 3


def test_a_missing_file() -> None:
    with pytest.raises(TestbedErrors, match="cannot be read"):
        load_testbed("/nonexistent/bench.yaml")
