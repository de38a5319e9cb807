"""The description of the network, and what the loopback backend makes of it."""

from __future__ import annotations

import ipaddress
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from bench.links import calibrate as calibrate_module
from bench.links.calibrate import Calibration, Calibrations
from bench.links.loopback import LoopbackNetwork
from bench.links.network import NetworkError, NotSupportedError
from bench.links.spec import LINE_RATES, LinkSpec, UnknownLinkError, standard


def test_the_standard_network_is_the_one_of_the_contracts() -> None:
    spec = standard()
    assert spec.hosts == ("modality", "ris", "pacs", "printer", "frontend")
    ends = {(link.name, end.host): (end.interface, end.address) for link in spec.links for end in link.ends}
    assert ends == {
        ("modality", "modality"): ("eth0", "10.77.0.10"),
        ("ris", "ris"): ("eth0", "10.77.0.20"),
        ("pacs", "pacs"): ("eth0", "10.77.0.21"),
        ("printer", "printer"): ("eth0", "10.77.0.22"),
        ("detector", "modality"): ("eth1", "10.78.0.10"),
        ("detector", "frontend"): ("eth0", "10.78.0.2"),
    }
    macs = [end.mac for link in spec.links for end in link.ends]
    assert len(set(macs)) == len(macs)
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs), "locally administered, unicast"
    assert all(ipaddress.ip_address(end.address).is_private for link in spec.links for end in link.ends)


def test_the_mode_of_the_lan_is_that_of_the_modalitys_cable() -> None:
    spec = standard(lan="10BASE-T", detector="100BASE-T", modes={"pacs": "100BASE-T"})
    assert spec.modes == {
        "modality": "10BASE-T",
        "ris": "1000BASE-T",
        "pacs": "100BASE-T",
        "printer": "1000BASE-T",
        "detector": "100BASE-T",
    }
    assert standard(modes={"lan": "10BASE-T"}).modes["modality"] == "10BASE-T"


@pytest.mark.parametrize(
    ("alias", "name"), [("lan", "modality"), ("link", "modality"), ("frontend", "detector")]
)
def test_aliases(alias: str, name: str) -> None:
    assert standard().link(alias).name == name


def test_mistakes_are_named() -> None:
    with pytest.raises(UnknownLinkError, match=r"'pacs2'.*modality, ris"):
        standard().link("pacs2")
    with pytest.raises(ValueError, match=r"1000BASE-TX.*10BASE-T, 100BASE-T, 1000BASE-T"):
        standard(lan="1000BASE-TX")
    with pytest.raises(ValueError, match="pasc"):
        standard(hosts=("modality", "pasc"))
    with pytest.raises(UnknownLinkError, match="detector"):
        standard(hosts=("modality", "pacs"), modes={"detector": "10BASE-T"})


def test_a_bench_without_a_front_end_has_no_acquisition_cable() -> None:
    assert [link.name for link in standard(hosts=("modality", "pacs", "pacs2")).links] == [
        "modality",
        "pacs",
        "pacs2",
    ]


def test_loopback_gives_each_service_a_free_port_of_its_own() -> None:
    network = LoopbackNetwork(standard())
    network.up()
    ports = {
        network.port("ris", "dicom", 104),
        network.port("pacs", "dicom", 104),
        network.port("pacs", "http", 80),
        network.port("frontend", "gvcp", 3956, udp=True),
    }
    assert len(ports) == 4
    assert network.port("pacs", "dicom", 104) in ports, "the same answer again"
    assert {network.address(host) for host in network.spec.hosts} == {"127.0.0.1"}
    assert network.namespace("pacs") is None
    network.verify()
    network.down()


def test_a_reserved_port_can_be_used_by_its_service_only() -> None:
    network = LoopbackNetwork(standard())
    port = network.port("pacs", "dicom", 104)
    with socket.create_server(("127.0.0.1", port)) as server:
        with socket.create_connection(server.getsockname(), timeout=5) as client:
            assert client.getpeername()[1] == port
    network.down()


@pytest.mark.parametrize(
    "action",
    [
        lambda network: network.pull("pacs"),
        lambda network: network.plug("pacs"),
        lambda network: network.set_mode("lan", "10BASE-T"),
        lambda network: network.counters("pacs"),
        lambda network: network.pull_at("pacs", 1, "sent", print),
    ],
)
def test_loopback_says_what_it_cannot_do(action: Any) -> None:
    with pytest.raises(NotSupportedError, match="on loopback; run as root or allow user namespaces"):
        action(LoopbackNetwork(standard()))


def test_loopback_says_what_it_does_not_prove() -> None:
    network = LoopbackNetwork(standard())
    assert "no link was tested" in network.fidelity.text
    assert any("pulled" in each for each in network.fidelity.cannot_prove)
    result = Calibrations().check(network, "lan")
    assert (result.ok, result.measured_mbps, result.mode) == (True, None, "loopback")
    with pytest.raises(NetworkError, match="pacs2"):
        network.address("pacs2")


def test_calibrations_travel_as_json() -> None:
    one = Calibration("modality", "10BASE-T", "veth", 9.4, 9.415, -0.001, True, attempts=(9.0, 9.4))
    sent = {"veth 10BASE-T": {**one.__dict__, "attempts": [9.0, 9.4]}}
    assert Calibrations(sent).to_json() == {"veth 10BASE-T": one.__dict__}


def test_a_link_is_never_without_a_mode() -> None:
    with pytest.raises(ValueError, match="unknown link mode"):
        LinkSpec("x", "", ())
    assert set(LINE_RATES) == {"10BASE-T", "100BASE-T", "1000BASE-T"}


@pytest.mark.parametrize(("quiet_after", "ok"), [(0, True), (5, True), (99, False)])
def test_a_busy_machine_gets_time_to_become_quiet(
    monkeypatch: pytest.MonkeyPatch, quiet_after: int, ok: bool
) -> None:
    """A link that is slow only while something else runs is calibrated; one that stays slow never is."""
    paused: list[float] = []

    def rate(*_: object) -> float:
        return 941.5 if sum(p > 0 for p in paused) >= quiet_after else 800.0

    monkeypatch.setattr(calibrate_module, "goodput", rate)
    monkeypatch.setattr(calibrate_module, "_pair", lambda *_: ("a", "b", None))
    monkeypatch.setattr(calibrate_module.time, "sleep", paused.append)
    state = SimpleNamespace(link="a", mode="1000BASE-T")
    network = SimpleNamespace(state=lambda _: state, fidelity=SimpleNamespace(backend="veth"))
    found = calibrate_module.calibrate(network, "a")  # type: ignore[arg-type]
    assert found.ok is ok
    assert len(found.attempts) == len(paused) <= len(calibrate_module.PAUSES_S)
    assert quiet_after or len(found.attempts) == 1
