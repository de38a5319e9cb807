"""What the tests of sandbox and links let run inside a sandbox; imported by the zygote, not by pytest."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.links import netns
from bench.links.calibrate import Calibrations, calibrate
from bench.links.capture import Capture, CaptureError
from bench.links.network import NetworkError, PullReport
from bench.links.rtnl import Rtnl
from bench.links.spec import standard
from bench.links.veth import VethNetwork
from bench.sandbox import isolate
from bench.sandbox.channel import Channel
from bench.volumes.block import Loop, attach

# ------------------------------------------------------------------------------------------- the sandbox


def echo(channel: Channel, argument: Any) -> int:
    """Send the argument back, then whatever comes, and end with the number 7."""
    channel.send(argument)
    channel.send(channel.recv(60))
    return 7


def look_around(channel: Channel, argument: Any) -> None:
    """Tell what the cell runner sees."""
    channel.send(
        {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "processes": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
            "network": netns.current_inode(),
            "interfaces": [name for _, name in socket.if_nameindex()],
            "threads": threading.active_count(),
            "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
            "preloaded": "pyroute2" in sys.modules,
            "environment": {name: os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "PYTHONPATH")},
        }
    )


def mount_something(channel: Channel, argument: Any) -> None:
    """Mount a tmpfs over a directory of the launcher and leave a file in it."""
    isolate.mount("tmpfs", argument, "tmpfs")
    (Path(argument) / "inside").write_text("x")
    channel.send(os.listdir(argument))
    channel.recv(60)


def touch_host_network(channel: Channel, argument: Any) -> None:
    """Try to come to an rtnetlink connection into the launcher's namespace."""
    host = os.open(f"/proc/self/fd/{_host_fd()}", os.O_RDONLY)
    with netns.inside(host):
        try:
            Rtnl()
        except netns.HostNamespaceError as error:
            channel.send(str(error))


def _host_fd() -> int:
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/self/fd/{name}").st_ino in netns.host_inode():
                return int(name)
    raise AssertionError("no descriptor of the launcher's namespace")


def fail(channel: Channel, argument: Any) -> None:
    """Raise."""
    raise ValueError("this body fails")


def die(channel: Channel, argument: Any) -> None:
    """End by a signal."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)


def leave_children(channel: Channel, argument: Any) -> None:
    """Leave processes behind that do not want to end."""
    channel.send([stubborn_grandchild() for _ in range(3)])
    if argument == "stay":
        signal.pause()


def stubborn_grandchild() -> int:
    """An orphan in a session of its own that ignores polite signals; its pid."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        pid = os.fork()
        if pid == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.write(write, str(os.getpid()).encode())
            while True:
                time.sleep(1)
        os._exit(0)
    os.waitpid(child, 0)
    pid = int(os.read(read, 32))
    os.close(read)
    os.close(write)
    return pid


# ------------------------------------------------------------------------------------------- crash load


def bench_like(channel: Channel, argument: Any) -> None:
    """Everything a bench has: namespaces, cables, capture, mount, loop device, orphans, actors; until it is killed."""
    folder = Path(argument["folder"])
    channel.send("begun")
    spec = standard()
    namespaces = {host: netns.create() for host in spec.hosts}
    network = VethNetwork(spec, namespaces)
    network.up()
    mounted = folder / f"mnt-{argument['token']}"
    mounted.mkdir(exist_ok=True)
    isolate.mount(f"tmpfs-{argument['token']}", str(mounted), "tmpfs")
    Capture(network, mounted / "wire.pcapng").start()
    # in memory: before a loop device goes the kernel writes its file, and how long a disk takes for that is not ours
    loop = attach_loop(mounted / f"disk-{argument['token']}") if argument["loop"] else None
    for host, fd in namespaces.items():
        if os.fork() == 0:
            netns.enter(fd)
            stubborn_grandchild()
            with contextlib.suppress(OSError):
                socket.create_server((network.address(host), 104))
            signal.pause()
    stubborn_grandchild()
    channel.send({"up": True, "loop": loop is not None})
    births = 20
    while True:  # stay busy: births, deaths and changes of cables
        network.pull("pacs")
        network.plug("pacs")
        if births:
            births -= 1
            stubborn_grandchild()
        if os.fork() == 0:
            os._exit(0)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        time.sleep(0.01)


def attach_loop(image: Path) -> Loop | None:
    """A loop device that frees itself with its last user; None where there are none."""
    backing = os.open(image, os.O_RDWR | os.O_CREAT)
    try:
        os.ftruncate(backing, 1 << 20)
        return attach(backing, 0, 1 << 20, image.name)
    except OSError:
        return None
    finally:
        os.close(backing)


# ------------------------------------------------------------------------------------------- links


class Bench:
    """A network in this sandbox, and traffic over it."""

    def __init__(self, **arguments: Any) -> None:
        spec = standard(**arguments)
        self.namespaces = {host: netns.create() for host in spec.hosts}
        self.network = VethNetwork(spec, self.namespaces)
        self.network.up()

    def connect(self, source: str, sink: str, link: str | None = None) -> tuple[socket.socket, socket.socket]:
        """A TCP connection; the sending and the receiving socket."""
        with (
            netns.inside(self.namespaces[sink]),
            socket.create_server((self.network.address(sink, link), 0)) as server,
        ):
            with netns.inside(self.namespaces[source]):
                client = socket.create_connection(server.getsockname(), timeout=5)
            return client, server.accept()[0]

    def send(self, source: str, sink: str, total: int, link: str | None = None) -> int:
        """Move *total* bytes over TCP; the number of bytes that arrived."""
        client, receiver = self.connect(source, sink, link)

        def work() -> None:
            with client:
                piece = bytes(65536)
                for at in range(0, total, len(piece)):
                    client.sendall(piece[: total - at])

        sender = threading.Thread(target=work)
        sender.start()
        received = 0
        with receiver:
            while data := receiver.recv(1 << 18):
                received += len(data)
        sender.join()
        return received

    def stream(self, total: int, size: int = 1472) -> tuple[int, int]:
        """Datagrams from the front end to the modality as a detector streams them; how many were sent and arrived."""
        with netns.inside(self.namespaces["modality"]):
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with netns.inside(self.namespaces["frontend"]):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with receiver, sender:
            try:
                receiver.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
            except OSError:
                receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
            receiver.bind((self.network.address("modality", "detector"), 0))
            sender.connect(receiver.getsockname())
            count = -(-total // size)
            arrived = 0
            child = os.fork()  # as on a bench, where the detector is a process of its own
            if child == 0:
                datagram = bytes(size)
                for _ in range(count):
                    sender.send(datagram)
                os._exit(0)
            receiver.settimeout(2)
            buffer = bytearray(2048)
            with contextlib.suppress(TimeoutError):
                while arrived < count:
                    receiver.recv_into(buffer)
                    arrived += 1
            os.waitpid(child, 0)
        return count, arrived


def addresses(channel: Channel, argument: Any) -> None:
    """Every host reaches every other one of its network, from the right address."""
    bench = Bench(neighbours=bool(argument))
    seen = []
    for source in ("modality", "ris", "pacs", "printer"):
        for sink in ("modality", "ris", "pacs", "printer"):
            if source != sink:
                client, receiver = bench.connect(source, sink)
                seen.append((source, sink, client.getpeername()[0], receiver.getpeername()[0]))
                client.close()
                receiver.close()
    client, receiver = bench.connect("modality", "frontend", "detector")
    seen.append(("modality", "frontend", client.getpeername()[0], receiver.getpeername()[0]))
    channel.send(seen)


def calibrations(channel: Channel, argument: Any) -> None:
    """Calibrate each mode on both networks; and once more from what is known."""
    bench = Bench(lan=argument, detector=argument)
    known = Calibrations()
    first = [calibrate(bench.network, link) for link in ("modality", "detector")]
    cached = [known.check(bench.network, "lan"), known.check(bench.network, "lan")]
    again = Calibrations(known.to_json()).check(bench.network, "detector")
    channel.send([[each.__dict__ for each in group] for group in (first, [*cached, again])])


def miscalibrated(channel: Channel, argument: Any) -> None:
    """A link whose rate somebody changed behind the bench's back."""
    bench = Bench(lan="100BASE-T")
    known = Calibrations()
    assert known.check(bench.network, "modality").ok
    slower = VethNetwork(standard(lan="10BASE-T"), bench.namespaces)
    slower._switch, slower._hosts = bench.network._switch, bench.network._hosts
    slower.set_mode("modality", "10BASE-T")
    try:
        bench.network.verify()
        text = ""
    except NetworkError as error:
        text = str(error)
    try:
        known.check(bench.network, "modality")
        cached = ""
    except NetworkError as error:
        cached = str(error)
    channel.send({"verify": text, "cached": cached, "ok": calibrate(bench.network, "modality").ok})


def changed_mode(channel: Channel, argument: Any) -> None:
    """A cable that falls back to a slower mode, and comes back."""
    bench = Bench()
    seen = []
    for mode in ("1000BASE-T", "100BASE-T", "1000BASE-T"):
        bench.network.set_mode("detector", mode)
        bench.network.verify()
        one = calibrate(bench.network, "detector")
        seen.append([bench.network.state("detector").mode, one.measured_mbps, one.ok])
    channel.send(seen)


def changed_mode_under_load(channel: Channel, argument: Any) -> None:
    """A cable that changes its mode while its queues are full: how long the next connection takes, each time."""
    bench = Bench()
    took = []
    for _ in range(6):
        for mode in ("10BASE-T", "1000BASE-T"):
            client, receiver = bench.connect("modality", "pacs", None)
            stop = threading.Event()

            def flood(client: socket.socket = client, stop: threading.Event = stop) -> None:
                with contextlib.suppress(OSError):
                    while not stop.is_set():
                        client.sendall(bytes(1 << 16))

            def drain(receiver: socket.socket = receiver) -> None:
                with contextlib.suppress(OSError):
                    while receiver.recv(1 << 18):
                        pass

            threads = [threading.Thread(target=work, daemon=True) for work in (flood, drain)]
            for thread in threads:
                thread.start()
            time.sleep(0.05)  # the queues fill: the load is what is tested, not a moment
            bench.network.set_mode("modality", mode)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stop.set()
            receiver.shutdown(socket.SHUT_RDWR)
            client.close()
            began = time.monotonic()
            try:
                for sock in bench.connect("modality", "pacs", None):
                    sock.close()
            except OSError as error:
                channel.send({"mode": mode, "error": str(error), "took": took})
                return
            took.append(time.monotonic() - began)
    channel.send({"took": took})


def pull_and_plug(channel: Channel, argument: Any) -> None:
    """What a host sees of a pull; TCP survives a short one."""
    bench = Bench(lan="100BASE-T")
    network = bench.network
    link, host, sink = argument
    before = network.state(link)
    client, receiver = bench.connect(host, sink, link if link == "detector" else None)
    network.pull(link)
    pulled = network.state(link)
    counted = network.counters(link).received_packets
    client.sendall(b"during")
    receiver.settimeout(0.1)
    try:
        lost = receiver.recv(100)
    except TimeoutError:
        lost = None
    network.plug(link)
    receiver.settimeout(20)
    channel.send(
        {
            "carrier": [before.carrier, pulled.carrier, network.state(link).carrier],
            "plugged": [before.plugged, pulled.plugged],
            "during": lost is not None,
            "after": receiver.recv(100).decode(),
            "counted": counted,
        }
    )


def pull_at(channel: Channel, argument: Any) -> None:
    """Pull the modality's cable while it sends; what the report says and what really passed."""
    bench = Bench(lan=argument["mode"])
    network = bench.network
    fired = threading.Event()
    reports: list[PullReport] = []

    def on_fired(report: PullReport) -> None:
        reports.append(report)
        fired.set()

    client, receiver = bench.connect("modality", "pacs")
    threading.Thread(target=_swallow, args=(receiver,), daemon=True).start()
    before = network.counters("modality").sent_bytes
    trigger = network.pull_at("modality", argument["bytes"], "sent", on_fired)
    client.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        for _ in range(4 * argument["bytes"] // 65536):
            client.sendall(bytes(65536))
    came = fired.wait(10)
    assert trigger.fired is not None
    channel.send(
        {
            "fired": came,
            "reached": reports[0].reached,
            "passed": network.counters("modality").sent_bytes - before,
            "carrier": network.state("modality").carrier,
        }
    )


def pull_never(channel: Channel, argument: Any) -> None:
    """A trigger that is cancelled leaves the cable alone."""
    bench = Bench()
    trigger = bench.network.pull_at("pacs", 100_000, "received", lambda report: None)
    trigger.cancel()
    arrived = bench.send("modality", "pacs", 500_000)
    channel.send({"arrived": arrived, "fired": trigger.fired is not None})


def _swallow(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while sock.recv(1 << 18):
            pass


def _rest(network: VethNetwork, links: Iterable[str]) -> None:
    """Wait until nothing moves on the cables any more."""
    before, deadline = None, time.monotonic() + 20
    while time.monotonic() < deadline:
        counters = [network.counters(link) for link in links]
        now = [(each.sent_packets, each.received_packets) for each in counters]
        if now == before:
            return
        before = now
        time.sleep(0.1)


def capture(channel: Channel, argument: Any) -> None:
    """Capture a transfer on both networks; what was reported, and what the cables counted."""
    bench = Bench()
    network = bench.network
    links = {"lan": "modality", "detector": "detector"}
    recorder = Capture(
        network,
        Path(argument["file"]),
        snap=argument.get("snap", {}),
        recorder=argument.get("recorder", "auto"),
    )
    extra = threading.Thread(target=time.sleep, args=(0.5,))
    if argument.get("threads"):
        extra.start()
    before = {name: network.counters(link) for name, link in links.items()}
    name = recorder.start()
    if argument.get("pull"):
        bench.send("modality", "pacs", 100_000)
        network.pull("modality")
        network.plug("modality")
    arrived = bench.send("modality", "pacs", argument["tcp"])
    sent, received = bench.stream(argument["udp"]) if argument["udp"] else (0, 0)
    _rest(network, list(links.values()))  # the last acknowledgement may still be on its way
    report = recorder.stop()
    counted = {}
    for each, link in links.items():
        now = network.counters(link)
        counted[each] = now.sent_packets + now.received_packets
        counted[each] -= before[each].sent_packets + before[each].received_packets
    channel.send(
        {
            "recorder": name,
            "arrived": arrived,
            "datagrams": [sent, received],
            "captured": {each.link: each.packets for each in report.interfaces},
            "dropped": {each.link: each.dropped for each in report.interfaces},
            "counted": counted,
        }
    )


def capture_killed(channel: Channel, argument: Any) -> None:
    """The recorder dies while it runs."""
    bench = Bench(hosts=("modality", "pacs"))
    recorder = Capture(bench.network, Path(argument), recorder="ring")
    recorder.start()
    for pid in isolate.children():
        os.kill(pid, signal.SIGKILL)
    try:
        recorder.stop()
    except CaptureError as error:
        channel.send(str(error))


def frames_and_ipv6(channel: Channel, argument: Any) -> None:
    """What is on the LAN while nothing is sent, and how big frames are when something is."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        bench = Bench()
        sock.bind((bench.network.capture_points()[0].interface, 3))
        sock.settimeout(0.3)
        idle = []
        with contextlib.suppress(TimeoutError):
            while True:
                idle.append(struct.unpack("!H", sock.recv(65536)[12:14])[0])
        bench.send("modality", "pacs", 1_000_000)
        longest = 0
        with contextlib.suppress(TimeoutError):
            while True:
                longest = max(longest, len(sock.recv(65536)))
    channel.send({"idle": idle, "longest": longest})
