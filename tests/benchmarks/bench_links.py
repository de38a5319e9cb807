"""The links: how true their rates are, how fast they are built, and whether captures keep up with them.

Every figure is a ratio: against the nominal goodput of the line, against everything that passed, or against a peer in
the same run (the same network built with one pyroute2 call per thing; an interpreter started for each sandbox).

``python tests/benchmarks/bench_links.py [--quick] [--json FILE]``
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BODIES = HERE.parent / "integration"
IMAGE = 3072 * 3072 * 2
FRAME = 4096 * 4096 * 2
PRELOAD = ["pyroute2", "numpy", "pydicom", "bench.links.veth", "bench.links.capture", "bench.links.calibrate"]


# ------------------------------------------------------------------------------------ bodies of sandboxes


def build(channel: Any, argument: Any) -> None:
    """Milliseconds for five hosts with all their cables."""
    from bench.links import netns
    from bench.links.spec import standard
    from bench.links.veth import VethNetwork

    began = time.perf_counter()
    spec = standard()
    network = VethNetwork(spec, {host: netns.create() for host in spec.hosts})
    network.up()
    network.verify()
    channel.send((time.perf_counter() - began) * 1000)


def build_with_pyroute2(channel: Any, argument: Any) -> None:
    """Milliseconds for the same network, one IPRoute call per thing (and without switching offloads off)."""
    from pyroute2 import IPRoute

    from bench.links import netns
    from bench.links.spec import standard

    netns.refuse_host()
    began = time.perf_counter()
    spec = standard()
    spaces = {host: netns.create() for host in spec.hosts}
    shape = {"rate": 123_000_000, "burst": 125_000, "limit": 2_500_000}
    with IPRoute() as switch:
        bridges = {}
        for name in ("lan", "cable"):
            switch.link("add", ifname=name, kind="bridge")
            bridges[name] = switch.link_lookup(ifname=name)[0]
            switch.link("set", index=bridges[name], state="up")
        for link in spec.links:
            for end in link.ends:
                port = f"{'lan' if len(link.ends) == 1 else 'det'}-{end.host}"
                peer = {"ifname": end.interface, "net_ns_fd": spaces[end.host], "address": end.mac}
                switch.link("add", ifname=port, kind="veth", peer=peer)
                index = switch.link_lookup(ifname=port)[0]
                switch.link("set", index=index, master=bridges["lan" if len(link.ends) == 1 else "cable"])
                switch.link("set", index=index, state="up")
                switch.tc("add", "tbf", index, 0x10000, **shape)
    for host, space in spaces.items():
        with netns.inside(space), IPRoute() as inside:
            for link in spec.links:
                for end in link.ends:
                    if end.host == host:
                        index = inside.link_lookup(ifname=end.interface)[0]
                        inside.addr("add", index=index, address=end.address, prefixlen=end.prefix)
                        inside.link("set", index=index, state="up")
                        inside.tc("add", "tbf", index, 0x10000, **shape)
    channel.send((time.perf_counter() - began) * 1000)


def goodput(channel: Any, mode: str) -> None:
    """Measured share of the nominal goodput, on the LAN and on the acquisition link, each as (share, attempts)."""
    from sandbox_bodies import Bench

    from bench.links.calibrate import calibrate

    bench = Bench(lan=mode, detector=mode)
    found = [calibrate(bench.network, link) for link in ("modality", "detector")]
    channel.send([[1 + (one.deviation or 0), len(one.attempts)] for one in found])


def capture(channel: Any, argument: Any) -> None:
    """Shares of what passed that are in the file, and how fast it passed."""
    from sandbox_bodies import Bench

    from bench.links.capture import Capture

    bench = Bench()
    network = bench.network
    links = {"lan": "modality", "detector": "detector"}
    before = {name: network.counters(link) for name, link in links.items()}
    recorder = Capture(network, Path(argument["file"]), recorder=argument["recorder"])
    began = time.perf_counter()
    recorder.start()
    started = time.perf_counter()
    bench.send("modality", "pacs", argument["tcp"])
    sent = arrived = 0
    rates = []
    for _ in range(argument["frames"]):
        sending = time.perf_counter()
        more, got = bench.stream(FRAME)
        sent, arrived = sent + more, arrived + got
        rates.append(got * 1472 * 8 / (time.perf_counter() - sending))
    streamed = time.perf_counter()
    report = recorder.stop()
    stopped = time.perf_counter()
    shares = {}
    for each in report.interfaces:
        now = network.counters(links[each.link])
        passed = now.sent_packets + now.received_packets
        passed -= before[each.link].sent_packets + before[each.link].received_packets
        shares[each.link] = each.packets / passed
    channel.send(
        {
            "shares": shares,
            "lost": sent - arrived,
            "rate": max(rates),
            "mean": statistics.fmean(rates),
            "start_ms": (started - began) * 1000,
            "stop_ms": (stopped - streamed) * 1000,
        }
    )


def nothing(channel: Any, argument: Any) -> None:
    """An empty sandbox."""


# ------------------------------------------------------------------------------------ the measurements


def measure(zygote: Any, quick: bool) -> Iterator[tuple[str, float, str]]:
    """Name, ratio and a sentence for each figure."""

    def run(body: str, argument: Any = None) -> Any:
        with zygote.run(f"bench_links:{body}", argument) as handle:
            answer = handle.channel.recv(120)
            ended = handle.wait(30)
            if ended.status:
                raise SystemExit(f"{body}: {ended.error}")
            return answer

    rounds = 3 if quick else 9
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(run("build"))
        theirs.append(run("build_with_pyroute2"))
    mine, other = statistics.median(ours), statistics.median(theirs)
    text = f"5 hosts up in {mine:.1f} ms (best {min(ours):.1f}), one pyroute2 call per thing {other:.1f} ms"
    yield "links.build", other / mine, text

    seconds, plain = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        with zygote.run("bench_links:nothing") as handle:
            handle.wait(10)
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import numpy, pydicom, pyroute2"], check=True)
        plain.append(time.perf_counter() - began)
    up, interpreter = statistics.median(seconds), statistics.median(plain)
    text = (
        f"sandbox up and down {up * 1000:.1f} ms, an interpreter with its imports {interpreter * 1000:.0f} ms"
    )
    yield "links.sandbox", interpreter / up, text

    for mode in ("10BASE-T", "100BASE-T", "1000BASE-T"):
        found = [run("goodput", mode) for _ in range(1 if quick else 5)]
        for name, which in (("lan", 0), ("detector", 1)):
            shares = [one[which][0] for one in found]
            worst = max(shares, key=lambda share: abs(share - 1))
            attempts = max(one[which][1] for one in found)
            text = f"goodput over nominal, worst of {len(shares)} (at most {attempts} attempts each)"
            yield f"links.goodput.{mode}.{name}", 1 - abs(worst - 1), f"{text}: {worst:.4f}"

    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        argument = {"tcp": 33 << 20, "frames": 1 if quick else 20, "recorder": "ring"}
        seen = run("capture", {**argument, "file": f"{folder}/wire.pcapng"})
    for link in ("lan", "detector"):
        yield f"links.captured.{link}", seen["shares"][link], "share of the packets that is in the file"
    text = (
        f"{argument['frames']} frames of 4096x4096 as datagrams, best frame {seen['rate'] / 1e6:.0f} Mbit/s, "
    )
    text += f"mean {seen['mean'] / 1e6:.0f}, {seen['lost']} lost; "
    text += f"capture up in {seen['start_ms']:.0f} ms, down in {seen['stop_ms']:.0f} ms"
    yield "links.stream", seen["rate"] / (1e9 * 1472 / 1538), text


def main() -> int:
    """Measure, print ratios, compare with the committed ones."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, against half of each ratio")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    from bench.links.probe import best_backend
    from bench.zygote import Zygote

    if best_backend() == "loopback":
        print("no network namespaces here: nothing to measure")
        return 0
    wanted = json.loads((HERE / "ratios.json").read_text())
    figures: dict[str, float] = {}
    below = False
    with Zygote(PRELOAD, path=[str(HERE), str(BODIES)]) as zygote:
        for name, ratio, text in measure(zygote, options.quick):
            figures[name] = ratio
            limit = float(wanted[name]) / (2 if options.quick else 1)
            below |= ratio < limit
            mark = "  BELOW" if ratio < limit else ""
            print(f"{name:<34} {ratio:7.3f}  (committed {limit:.2f}){mark}  {text}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    return int(below)


if __name__ == "__main__":
    sys.exit(main())
