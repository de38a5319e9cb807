"""Whatever is killed, and whenever: a second later nothing of a run is left on the machine.

The quick variant kills at a few seeded moments of a real exam, ``MODBENCH_KILLS=100`` at as many as asked for.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.links.probe import best_backend

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("MODBENCH_KILLS", "6"))
MARK = "MODBENCH_TEST_MARK"

pytestmark = [
    pytest.mark.netns,
    pytest.mark.alone,  # it looks at the mounts and loop devices of the whole machine
    pytest.mark.skipif(sys.platform != "linux" or best_backend() == "loopback", reason="no namespaces here"),
]


def marked(mark: str) -> dict[int, str]:
    """Every living process that inherited the mark: pid -> command line.  Zombies are dead."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() not in (process / "environ").read_bytes():
                continue
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if state != "Z":
            found[int(process.name)] = command
    return found


def machine() -> tuple[list[str], list[str], list[str]]:
    """Mounts, interfaces and loop devices of this machine, as seen from outside of every sandbox."""
    mounts = sorted(Path("/proc/self/mounts").read_text().splitlines())
    interfaces = sorted(os.listdir("/sys/class/net"))
    loops = sorted(p.parent.parent.name for p in Path("/sys/block").glob("loop*/loop/backing_file"))
    return mounts, interfaces, loops


@pytest.mark.parametrize("number", range(KILLS))
def test_kill_at_a_seeded_moment(number: int, tmp_path: Path) -> None:
    """kill -9 of the runner, of the warm process, or of any process of the sandbox."""
    chance = random.Random(number)
    before = machine()
    mark = secrets.token_hex(8)
    command = [
        sys.executable,
        "-m",
        "bench",
        "run",
        "one-exam",
        "--out",
        str(tmp_path),
        "--no-second-witness",
    ]
    runner = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, MARK: mark, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        time.sleep(chance.uniform(0.3, 7.0))  # the seeded moment itself, not a way to wait for anything
        alive = marked(mark)
        others = sorted(pid for pid in alive if pid != runner.pid)
        victim = runner.pid if number % 2 == 0 or not others else chance.choice(others)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass
        if victim != runner.pid:
            runner.kill()  # the run goes on without that process; now it ends as well
        runner.wait(30)
        deadline = time.monotonic() + 1.0
        while True:
            late = time.monotonic() > deadline  # before the look: what was seen then was there too long
            left, now = marked(mark), machine()
            if late or (not left and now == before):
                break
            time.sleep(0.01)
        assert not left, left
        assert now == before
    finally:
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_kill_while_the_warm_process_is_still_importing(tmp_path: Path) -> None:
    """Its imports take a second or more, and then it could not look at anything: it must all the same."""
    (tmp_path / "slow_import.py").write_text(
        "import time\nend = time.monotonic() + 60\nwhile time.monotonic() < end: pass\n"
    )
    code = (
        "import sys, time\n"
        "from bench.zygote import Zygote\n"
        f"warm = Zygote(['slow_import'], sys.argv[1], path=[{str(tmp_path)!r}])\n"
        "print(warm.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code, best_backend()], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    time.sleep(0.5)  # until it is in the middle of its import; before and after, other tests look
    worker.kill()
    worker.wait(30)
    worker.stdout.close()
    deadline = time.monotonic() + 1.0
    late = False
    while not late:
        late = time.monotonic() > deadline
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the warm process outlived its worker")
