"""The DICOM servers against DCMTK's ``storescp`` in the same run: receiving, C-ECHO, associations, idling.

Each figure is a ratio, more is better, 1 is as fast as the peer.  Rounds of both sides alternate, so that whatever
else the machine does meets both; the median of the rounds' ratios counts.  The peer runs with TCP_NODELAY=1.

* receive: 33 MB DX objects in 16384-byte PDUs from the same ``storescu``, wall time per object: discarding against
  ``storescp --ignore``; keeping (hashed, to tmpfs) against ``storescp`` writing to tmpfs.
* echo, associations: one raw client (``rawclient.py``), one connection at a time.
* idle: 200 associations after a C-ECHO each; goal divided by measured.

SHA-256 is most of the work of keeping an object: where the processor has no SHA instructions, another ratio is
committed (``dicom.receive.keep.plain-sha256``), because the peer hashes nothing.  The table says which one counts.

``python tests/benchmarks/bench_dicom.py [--quick] [--json FILE]``; exit 1 below a committed ratio (``--quick``: below
half of it).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from rawclient import RawClient, associate_rq, association_rate, echo_rate, echo_rq  # noqa: E402

from bench.doctor import dcmtk  # noqa: E402

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
IDLE: Final = 200
IDLE_CPU: Final = 0.01
IDLE_BYTES: Final = 15_000_000
ROWS, COLUMNS = 4096, 4028
"""33 MB of 16-bit pixels."""


def object_file(path: Path) -> None:
    """A DX object of 33 MB; its pixels are noise, so that nothing can compress them."""
    from simulators.dicom.elements import EXPLICIT_LE, encode
    from simulators.dicom.keywords import from_mapping
    from simulators.pacs.store import file_meta

    sop_class, uid = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.826.0.1.3680043.8.498.1"
    stated = {
        "SOPClassUID": sop_class,
        "SOPInstanceUID": uid,
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.4",
        "Modality": "DX",
        "PatientName": "Bench^Mark",
        "PatientID": "1",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": ROWS,
        "Columns": COLUMNS,
        "BitsAllocated": 16,
        "BitsStored": 14,
        "HighBit": 13,
        "PixelRepresentation": 0,
    }
    head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, ROWS * COLUMNS * 2)
    with open(path, "wb") as file:
        file.write(file_meta(sop_class, uid, EXPLICIT_LE, "BENCH"))
        file.write(encode(from_mapping(stated), EXPLICIT_LE))
        file.write(head + os.urandom(ROWS * COLUMNS * 2))


@contextlib.contextmanager
def ours(*arguments: str) -> Iterator[tuple[int, int]]:
    """Our PACS as its user starts it; gives its port and process id."""
    command = [sys.executable, "-m", "simulators", "pacs", "--any-called", "--quiet", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(json.loads(process.stdout.readline().split(" ", 1)[1])["port"]), process.pid
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@functools.cache
def tool(name: str) -> str:
    """DCMTK's program; its absence was reported before anything was measured."""
    return dcmtk(name) or name


@contextlib.contextmanager
def theirs(*arguments: str) -> Iterator[tuple[int, int]]:
    """DCMTK's storescp; gives its port and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [tool("storescp"), *arguments, str(port)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                client = RawClient(port)
                client.ask(associate_rq("ANY"), 2)
                client.close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(20)


def send(port: int, file: Path, count: int) -> float:
    """Seconds per object of one storescu that sends the same file several times."""
    start = time.perf_counter()
    subprocess.run(
        [tool("storescu"), "--repeat", str(count), "-pdu", "16384", "127.0.0.1", str(port), str(file)],
        env=ENVIRONMENT,
        check=True,
    )
    return (time.perf_counter() - start) / count


def alternate(
    rounds: int, mine: Callable[[], float], peer: Callable[[], float]
) -> tuple[float, float, float]:
    """Medians of both, and the median of the rounds' quotients mine/peer; who is first changes from round to round."""
    results: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            results[which].append((mine, peer)[which]())
    quotient = statistics.median(m / p for m, p in zip(*results, strict=True))
    return statistics.median(results[0]), statistics.median(results[1]), quotient


def empty(folder: Path) -> None:
    """Remove received objects: they would fill the memory file system."""
    for entry in folder.iterdir():
        entry.unlink()


class Table:
    """The figures so far."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.ratios: dict[str, float] = {}
        self.notes: dict[str, str] = {}

    def add(self, name: str, ratio: float, note: str) -> None:
        self.ratios[name] = ratio
        self.notes[name] = note
        print(f"{name:<34} {ratio:8.2f}   {note}", flush=True)


def receive(table: Table, scratch: Path) -> None:
    """Objects of 33 MB."""
    rounds, count = (3, 4) if table.quick else (15, 5)
    file = scratch / "dx.dcm"
    object_file(file)
    with ours("--discard", "--no-hash") as (port, _), theirs("--ignore") as (other, _):
        send(port, file, 1)
        send(other, file, 1)
        mine, peer, quotient = alternate(
            rounds, lambda: send(port, file, count), lambda: send(other, file, count)
        )
    table.add(
        "dicom.receive.discard", 1 / quotient, f"{mine * 1e3:.1f} ms per object, storescp {peer * 1e3:.1f} ms"
    )

    kept, written = scratch / "ours", scratch / "theirs"
    written.mkdir()
    with ours("--store", str(kept)) as (port, _), theirs("-od", str(written)) as (other, _):

        def one(port: int, folder: Path) -> float:
            seconds = send(port, file, count)
            empty(folder)
            return seconds

        mine, peer, quotient = alternate(rounds, lambda: one(port, kept), lambda: one(other, written))
    name = "dicom.receive.keep" if sha_instructions() else "dicom.receive.keep.plain-sha256"
    note = f"{mine * 1e3:.1f} ms per object, storescp {peer * 1e3:.1f} ms; SHA-256 here {sha_rate():.0f} MB/s"
    table.add(name, 1 / quotient, note)

    with ours("--store", str(kept), "--no-hash") as (port, _), theirs("-od", str(written)) as (other, _):
        mine, peer, quotient = alternate(rounds, lambda: one(port, kept), lambda: one(other, written))
    table.add(
        "dicom.receive.keep.no-hash",
        1 / quotient,
        f"{mine * 1e3:.1f} ms per object, storescp {peer * 1e3:.1f} ms",
    )


def sha_instructions() -> bool:
    """Whether the processor computes SHA-256 in hardware."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return sha_rate() > 800
    return " sha_ni" in flags or " sha2" in flags


def sha_rate() -> float:
    """MB of SHA-256 per second on one core."""
    data = bytes(16_000_000)
    start = time.perf_counter()
    hashlib.sha256(data).digest()
    return 16 / (time.perf_counter() - start)


def rates(table: Table) -> None:
    """C-ECHO and association set-up."""
    rounds, echoes, associations = (3, 300, 100) if table.quick else (15, 1000, 300)
    with (
        ours("--discard") as (port, _),
        theirs("--ignore") as (other, _),
        theirs("--fork", "--ignore") as (forks, _),
    ):
        for warm in (port, other):
            echo_rate(warm, "ANY", 200)
            association_rate(warm, "ANY", 50)
        mine, peer, quotient = alternate(
            rounds, lambda: echo_rate(port, "ANY", echoes), lambda: echo_rate(other, "ANY", echoes)
        )
        table.add("dicom.echo", quotient, f"{mine:.0f} per second, storescp {peer:.0f}")
        mine, peer, quotient = alternate(
            rounds,
            lambda: association_rate(port, "ANY", associations),
            lambda: association_rate(other, "ANY", associations),
        )
        table.add("dicom.associations", quotient, f"{mine:.0f} per second, storescp {peer:.0f}")
        mine, peer, quotient = alternate(
            max(3, rounds // 3),
            lambda: association_rate(port, "ANY", associations),
            lambda: association_rate(forks, "ANY", max(20, associations // 5)),
        )
        table.add("dicom.associations.fork", quotient, f"{mine:.0f} per second, storescp --fork {peer:.0f}")


def idle(table: Table) -> None:
    """What 200 associations cost that do nothing."""
    if not Path("/proc/self/status").exists():
        print("idle: skipped, needs /proc")
        return

    def resident(pid: int) -> int:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024

    def ticks(pid: int) -> int:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    seconds = 2.0 if table.quick else 10.0
    with ours("--discard") as (port, pid):
        echo_rate(port, "ANY", 100)
        before = resident(pid)
        clients = []
        for _ in range(IDLE):
            client = RawClient(port)
            client.ask(associate_rq("ANY"), 2)
            client.ask(echo_rq(), 4)
            clients.append(client)
        time.sleep(1.5)  # buffers are given back after a second of silence
        first, start = ticks(pid), time.monotonic()
        time.sleep(seconds)
        share = (ticks(pid) - first) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - start)
        growth = max(resident(pid) - before, 1)
        for client in clients:
            client.close()
    table.add("dicom.idle.cpu", IDLE_CPU / max(share, 1e-4), f"{share:.2%} of a core for {IDLE} associations")
    table.add("dicom.idle.memory", IDLE_BYTES / growth, f"{growth / IDLE / 1000:.0f} kB per association")


def main() -> int:
    """Measure, compare, report."""
    parser = argparse.ArgumentParser(description="DICOM servers against DCMTK's storescp.")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, half of each ratio")
    parser.add_argument("--json", metavar="FILE", help="write the ratios there")
    args = parser.parse_args()
    missing = [name for name in ("storescp", "storescu") if dcmtk(name) is None]
    if missing:
        print(f"skipped: {' and '.join(missing)} of DCMTK not installed")
        return 0
    table = Table(args.quick)
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        receive(table, Path(folder))
    rates(table)
    idle(table)
    committed: dict[str, float] = json.loads((Path(__file__).parent / "ratios.json").read_text())
    below = []
    for name, ratio in table.ratios.items():
        wanted = committed.get(name, 0.0) * (0.5 if args.quick else 1.0)
        if ratio < wanted:
            below.append(f"{name} {ratio:.2f} is below {wanted:.2f}")
    if args.json:
        Path(args.json).write_text(
            json.dumps({"ratios": table.ratios, "notes": table.notes}, indent=2) + "\n"
        )
    print("\n".join(below) if below else "all at or above the committed ratios")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
