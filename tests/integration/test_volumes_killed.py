"""Who serves a medium is killed at any moment: the product is let go, and neither mount nor loop device stays.

Three times each by default, a whole run once; ``MODBENCH_KILLS`` says how often.  Looks at all loop devices, mounts and
processes of the machine, so it wants it for itself.  An idle core needs about 20 s (30 s where the kernel has vfat) and
works for 9 s of them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.test_volumes_block import BODIES as BLOCK_BODIES
from tests.integration.test_volumes_block import lacking
from tests.integration.test_volumes_mount import BODIES, needed

pytestmark = pytest.mark.alone

_LOOP_GET_STATUS64 = 0x4C05
KILLS = int(os.environ.get("MODBENCH_KILLS", "3"))


def loop_is_of(loop: Path, name: str) -> bool:
    """Whether a loop device is set up for the medium of this name, or for one that nobody serves any more."""
    status = bytearray(232)
    try:
        fd = os.open(f"/dev/{loop.parent.name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.ioctl(fd, _LOOP_GET_STATUS64, status)
    except OSError as error:
        return error.errno == errno.ENOTCONN  # its file is on a FUSE mount whose server is gone
    finally:
        os.close(fd)
    return bytes(status[56:120]).rstrip(b"\0").decode() == name


def state_of(pid: int) -> str:
    """What a process does, for a message."""
    with contextlib.suppress(OSError):
        place = Path(f"/proc/{pid}")
        waits = [(task / "wchan").read_text() for task in (place / "task").iterdir()]
        return f"{(place / 'stat').read_text().rpartition(')')[2][:3]} {waits}"
    return "gone"


def killed(command: list[str], folder: Path, after: float) -> int:
    """Start the body, kill it after so many seconds, see that nothing of it stays; how many loop devices it had."""
    folder.mkdir()
    body = subprocess.Popen(
        [*command, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert body.stdout is not None
    told = body.stdout.readline()
    assert told, body.communicate(timeout=20)[1].decode()
    product = int(told)
    time.sleep(after)
    assert body.poll() is None, body.communicate(timeout=20)[1].decode()
    loops = [loop for loop in Path("/sys/block").glob("loop*/loop") if loop_is_of(loop, folder.name)]
    body.send_signal(signal.SIGKILL)
    try:
        # The product has the other end: it is over when that is closed.
        out, _ = body.communicate(timeout=15)
        assert out == b""
    except subprocess.TimeoutExpired:
        pytest.fail(f"the product is not let go: {state_of(product)}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(body.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while left := [loop for loop in loops if loop.exists() and loop_is_of(loop, folder.name)]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(folder) not in mounts
    return len(loops)


@pytest.mark.netns
@pytest.mark.slow
@pytest.mark.skipif(bool(needed()), reason=needed() or "-")
def test_a_killed_server_lets_the_product_go(tmp_path: Path) -> None:
    chance = random.Random(4)
    for number in range(KILLS):
        command = [sys.executable, str(BODIES), "restless"]
        assert not killed(command, tmp_path / f"u{os.getpid()}n{number}", chance.random() * 3)


@pytest.mark.netns
@pytest.mark.slow
@pytest.mark.parametrize(
    "system",
    [
        pytest.param(name, marks=pytest.mark.skipif(bool(lacking(name)), reason=lacking(name) or "-"))
        for name in ("vfat", "ext4")
    ],
)
def test_a_killed_disk_lets_the_product_go(tmp_path: Path, system: str) -> None:
    chance = random.Random(5)
    seen = 0
    for number in range(KILLS):
        command = [sys.executable, str(BLOCK_BODIES), "restless", system]
        seen += killed(command, tmp_path / f"b{os.getpid()}n{number}", chance.random() * 3)
    assert seen, "no loop device was ever seen"


def marked(text: str) -> list[str]:
    """Processes that were started with this in their environment, and what they do."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if text.encode() in (entry / "environ").read_bytes():
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.append(f"{entry.name} {state_of(int(entry.name))} {command[:100]}")
    return found


@pytest.mark.netns
@pytest.mark.slow
@pytest.mark.skipif(bool(needed()), reason=needed() or "-")
def test_a_killed_run_leaves_nothing(tmp_path: Path) -> None:
    """The process that was started in a terminal, while its cells have media in and write on them."""
    chance = random.Random(6)
    scenarios = [f"scenarios/conformance/mx1/media-{name}.yaml" for name in ("export", "slow-and-broken")]
    for number in range(max(1, KILLS // 2)):
        mark = f"MODBENCH_TEST_MARK={tmp_path}/{number}/"
        name, _, value = mark.partition("=")
        out = tmp_path / str(number)
        run = subprocess.Popen(
            [sys.executable, "-m", "bench", "run", *scenarios, "-n", "2", "--out", str(out)],
            cwd=BODIES.parents[2],
            env={**os.environ, name: value},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 90
            while not list(out.glob("*/cells/*/media/usb.img")):
                assert time.monotonic() < deadline, "no cell has a medium"
                assert run.poll() is None
                time.sleep(0.05)
            time.sleep(chance.random() * 4)
            assert run.poll() is None, "it was over before it was killed"
            assert len(marked(mark)) > 3, "the run and its cells"
        finally:
            run.kill()
            run.wait(10)
        deadline = time.monotonic() + 15
        while left := marked(mark):
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
        mounts = Path("/proc/self/mountinfo").read_text()
        assert "fuse.volume" not in mounts
        assert "fuse.disk" not in mounts
