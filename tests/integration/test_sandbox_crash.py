"""Whatever of the bench is killed, at whatever moment: a second later nothing of it remains."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.links.probe import probe

HERE = Path(__file__).parent
GONE_WITHIN_S = 1.0
AVAILABLE = {report.name: report for report in probe()}

# It looks at the loop devices of the whole machine.
pytestmark = [pytest.mark.netns, pytest.mark.alone]


def needs(backend: str) -> None:
    """Skip where this backend cannot be had."""
    if not AVAILABLE[backend].available:
        pytest.skip(f"{backend}: {AVAILABLE[backend].reason}")


class Worker:
    """A launcher process and what it told so far."""

    def __init__(self, backend: str, folder: Path, loop: bool) -> None:
        self.token = f"crash-{uuid.uuid4().hex}"
        self.facts: list[dict[str, Any]] = []
        self._text = b""
        self._held: list[int] = []
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(HERE / "sandbox_launcher.py"),
                backend,
                str(folder),
                self.token,
                str(int(loop)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "MODBENCH_CRASH_TOKEN": self.token},
        )

    def listen(self, until: str | None, seconds: float) -> None:
        """Read facts until one has the key *until*, for at most *seconds*."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while until is None or not any(until in fact for fact in self.facts):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                break
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                break
            *lines, self._text = (self._text + data).split(b"\n")
            self.facts += [json.loads(line) for line in lines]
        assert until is None or any(until in fact for fact in self.facts), f"no {until!r} in {self.facts}"

    def pids(self, what: str) -> list[int]:
        """Pids told under this name."""
        return [fact[what] for fact in self.facts if what in fact]

    def living(self) -> dict[int, str]:
        """Every living process that descends from the worker -> its pid namespace.  A zombie counts as dead."""
        found = {}
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                if self.token.encode() not in Path(f"/proc/{name}/environ").read_bytes():
                    continue
                state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found[int(name)] = os.readlink(f"/proc/{name}/ns/pid")
            except OSError:
                continue
        return found

    def keep_number(self, pid: int) -> None:
        """Hold the pid namespace of a process, so that a new one does not get its number and is taken for it."""
        self._held.append(os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY))

    def end(self) -> None:
        """Kill the worker and wait until everything is gone."""
        for fd in self._held:
            os.close(fd)
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        deadline = time.monotonic() + 3
        while self.living() and time.monotonic() < deadline:
            time.sleep(0.01)
        for pid in self.living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # only after a failed test


def names_of(pid: int) -> list[str]:
    """The pids of a process in all pid namespaces that it is in, from the outside in."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line for line in status.splitlines() if line.startswith("NSpid")).split()[1:]


def leftovers(token: str) -> list[str]:
    """Mounts visible here and loop devices that carry the token, and interfaces of a bench on this machine."""
    found = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if token in line]
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            text = backing.read_text()
        except OSError:
            continue
        if token in text:
            found.append(f"{backing.parent.parent.name}: {text.strip()}")
    names = os.listdir("/sys/class/net") if Path("/sys/class/net").exists() else []
    return found + [name for name in names if name.startswith(("lan-", "det-"))]


@pytest.fixture
def worker_of(tmp_path: Path) -> Iterator[Any]:
    """Make workers that are gone after the test."""
    made: list[Worker] = []

    def make(backend: str, loop: bool) -> Worker:
        made.append(Worker(backend, tmp_path, loop))
        return made[-1]

    yield make
    for worker in made:
        worker.end()


def crash_once(worker: Worker, seed: int, victim: str, moment: str) -> float:
    """Kill *victim* at a moment that *seed* chooses; the seconds until nothing was left."""
    chance = random.Random(seed)
    if moment == "starting":
        # anything between the first import of the zygote and a bench in full work
        worker.listen("init" if victim == "init" else "zygote", 30)
        worker.listen(None, chance.uniform(0.0, 0.9 if victim != "init" else 0.15))
    else:
        worker.listen("up", 30)
        worker.listen(None, chance.uniform(0.0, 0.05))
    if victim == "worker":
        pid, spared = worker.process.pid, lambda pid, space: False
    elif victim == "zygote":
        pid, spared = worker.pids("zygote")[0], lambda pid, space: pid == worker.process.pid
    else:
        pid = worker.pids("init")[0]
        if victim == "cell":  # the cell runner, which is the only child of pid 1 that has children of its own
            inside = [
                each for each, space in worker.living().items() if space == os.readlink(f"/proc/{pid}/ns/pid")
            ]
            pid = next(each for each in inside if names_of(each)[-1] == "2")
        doomed = os.readlink(f"/proc/{pid}/ns/pid")
        spared = lambda pid, space: space != doomed  # noqa: E731
        worker.keep_number(pid)
    if moment == "working":
        ours = [each for each, space in worker.living().items() if not spared(each, space)]
        assert len(ours) >= 10, "the load is not there; the test would prove nothing"
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    while True:
        late = (
            time.monotonic() - killed > GONE_WITHIN_S
        )  # before the look: what was seen then was there too long
        left = {each: space for each, space in worker.living().items() if not spared(each, space)}
        token = worker.token + ("-0" if victim in ("init", "cell") else "")
        things = leftovers(token)
        if not left and not things:
            return time.monotonic() - killed
        if late:
            names = [
                Path(f"/proc/{each}/cmdline").read_bytes() for each in left if Path(f"/proc/{each}").exists()
            ]
            pytest.fail(
                f"after {GONE_WITHIN_S} s of killing the {victim} (seed {seed}): {left} {names} {things}"
            )
        time.sleep(0.005)


QUICK = [
    (seed, victim, moment)
    for seed, (victim, moment) in enumerate(
        [(v, m) for v in ("worker", "zygote", "init") for m in ("starting", "working") for _ in range(2)]
        + [("cell", "working")] * 2
    )
]
MANY = [
    (seed, random.Random(seed).choice(["worker", "zygote", "init"]), "starting" if seed % 2 else "working")
    for seed in range(1000, 1100)
]


@pytest.mark.parametrize(("seed", "victim", "moment"), QUICK)
def test_nothing_remains_after_a_kill(worker_of: Any, seed: int, victim: str, moment: str) -> None:
    needs("veth")
    crash_once(worker_of("veth", loop=True), seed, victim, moment)


@pytest.mark.parametrize("victim", ["worker", "zygote", "init"])
def test_nothing_remains_in_a_user_namespace(worker_of: Any, victim: str) -> None:
    needs("userns")
    crash_once(worker_of("userns", loop=False), 7, victim, "working")


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "victim", "moment"), MANY)
def test_nothing_remains_after_a_hundred_kills(worker_of: Any, seed: int, victim: str, moment: str) -> None:
    needs("veth")
    crash_once(worker_of("veth", loop=True), seed, victim, moment)


def test_a_loop_device_was_part_of_the_load(worker_of: Any) -> None:
    needs("veth")
    worker = worker_of("veth", loop=True)
    worker.listen("up", 30)
    ups = [each for fact in worker.facts for each in fact.get("up", []) if isinstance(each, dict)]
    if not all(each["loop"] for each in ups):
        pytest.skip("no loop device could be had here; the crash tests ran without one")
    assert leftovers(worker.token), (
        "the loop device is not seen from outside: the crash tests would not see it either"
    )
