"""The virtual network: addresses, rates, cables that can be pulled, and nothing of it outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.links import netns
from bench.links.network import NetworkError
from bench.links.probe import best_backend
from bench.links.spec import standard
from bench.links.veth import VethNetwork
from bench.zygote import Zygote

pytestmark = [pytest.mark.netns, pytest.mark.alone]


@pytest.fixture(scope="module")
def inside() -> Iterator[Callable[..., Any]]:
    """Run a body of sandbox_bodies in a sandbox and give what it sent."""
    if best_backend() == "loopback":
        pytest.skip("no network namespaces here")
    with Zygote(["pyroute2"], path=[str(Path(__file__).parent)]) as zygote:

        def run(name: str, argument: Any = None) -> Any:
            with zygote.run(f"sandbox_bodies:{name}", argument) as handle:
                try:
                    return handle.channel.recv(60)
                except ConnectionError:
                    pytest.fail(f"{name}: {handle.wait(10)}")

        yield run


@pytest.mark.parametrize("neighbours", [False, True])
def test_every_host_reaches_every_other_from_its_own_address(inside: Any, neighbours: bool) -> None:
    seen = inside("addresses", neighbours)
    lan = {"modality": "10.77.0.10", "ris": "10.77.0.20", "pacs": "10.77.0.21", "printer": "10.77.0.22"}
    expected = [[a, b, lan[b], lan[a]] for a in lan for b in lan if a != b]
    assert seen == [*expected, ["modality", "frontend", "10.78.0.2", "10.78.0.10"]]


@pytest.mark.parametrize(("mode", "line"), [("10BASE-T", 10), ("100BASE-T", 100), ("1000BASE-T", 1000)])
def test_a_link_has_the_goodput_of_its_mode(inside: Any, mode: str, line: int) -> None:
    first, later = inside("calibrations", mode)
    for one in first:
        assert one["nominal_mbps"] == pytest.approx(line * 0.9415, rel=1e-3)
        assert one["measured_mbps"] == pytest.approx(line * 0.9415, rel=0.05), one
        assert one["ok"]
        assert not one["cached"]
    assert [(one["link"], one["cached"]) for one in later] == [
        ("modality", False),
        ("modality", True),
        ("detector", True),
    ]


def test_a_link_may_change_its_mode_while_it_is_up(inside: Any) -> None:
    seen = inside("changed_mode")
    assert [mode for mode, _, _ in seen] == ["1000BASE-T", "100BASE-T", "1000BASE-T"]
    assert [rate for _, rate, _ in seen] == [
        pytest.approx(941.5, rel=0.05),
        pytest.approx(94.15, rel=0.05),
        pytest.approx(941.5, rel=0.05),
    ]
    assert all(ok for _, _, ok in seen)


def test_a_link_may_change_its_mode_while_its_queues_are_full(inside: Any) -> None:
    seen = inside("changed_mode_under_load")
    assert "error" not in seen, "a dead line"
    assert len(seen["took"]) == 12


def test_a_wrong_rate_is_found(inside: Any) -> None:
    seen = inside("miscalibrated")
    assert "link modality is not shaped to 100BASE-T" in seen["verify"]
    assert seen["cached"] == seen["verify"], "an earlier calibration does not hide it"
    assert seen["ok"] is False


@pytest.mark.parametrize(
    ("link", "host", "sink"), [("pacs", "pacs", "modality"), ("detector", "frontend", "modality")]
)
def test_a_pulled_cable_is_seen_by_the_host_and_survived_by_tcp(
    inside: Any, link: str, host: str, sink: str
) -> None:
    seen = inside("pull_and_plug", [link, host, sink])
    assert seen["carrier"] == [True, False, True]
    assert seen["plugged"] == [True, False]
    assert not seen["during"]
    assert seen["after"] == "during"


@pytest.mark.parametrize(("mode", "count"), [("100BASE-T", 2_000_000), ("1000BASE-T", 20_000_000)])
def test_a_cable_is_pulled_at_a_byte_count(inside: Any, mode: str, count: int) -> None:
    seen = inside("pull_at", {"mode": mode, "bytes": count})
    assert seen["fired"]
    assert seen["carrier"] is False
    assert seen["passed"] == seen["reached"] >= count, "the report tells what really passed"
    assert seen["reached"] < 2 * count


def test_a_cancelled_trigger_never_fires(inside: Any) -> None:
    assert inside("pull_never") == {"arrived": 500_000, "fired": False}


def test_frames_are_those_of_a_real_wire(inside: Any) -> None:
    seen = inside("frames_and_ipv6")
    assert 0x86DD not in seen["idle"], "no IPv6 chatter"
    assert seen["longest"] == 1514


def test_nothing_can_be_built_in_the_launchers_namespace() -> None:
    spec = standard(hosts=("modality", "pacs"))
    netns.remember_host()
    with pytest.raises(netns.HostNamespaceError, match="machine itself"):
        VethNetwork(spec, dict.fromkeys(spec.hosts, 0)).up()
    with pytest.raises(netns.HostNamespaceError, match="machine itself"):
        netns.disable_ipv6()


def test_every_host_needs_a_namespace() -> None:
    with pytest.raises(NetworkError, match="pacs"):
        VethNetwork(standard(hosts=("modality", "pacs")), {"modality": 0})
