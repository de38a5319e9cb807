"""What the tests of media as block devices do: ``python volumes_block_bodies.py NAME SYSTEM FOLDER``.

SYSTEM is vfat, or ext4 as a stand-in on kernels without vfat: the disk, the loop device, the page cache and the faults
are the same then, only what is mounted is not what a stick has.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import volumes_bodies
from volumes_bodies import MB, Stick

from bench.volumes import actor, block, mounting
from bench.volumes.backends import Backend
from bench.volumes.blockdisk import own_mounts
from bench.volumes.device import BlockDevice
from bench.volumes.fatcheck import check_device
from simulators.base import CommandError

START = MB
EXT4 = block.System("ext4", "", lambda device: (START, device.size - START))
SAVE = (
    "def save(name, data, sync=True):\n"
    "    f = os.open(P + '/' + name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)\n"
    "    try:\n"
    "        os.write(f, data)\n"
    "        if sync: os.fsync(f)\n"
    "    finally: os.close(f)\n"
    "def cold(name):\n"
    "    f = os.open(P + '/' + name, os.O_RDONLY)\n"
    "    os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)\n"
    "    while os.read(f, 65536): pass\n"
)


def stand_in() -> None:
    """Let the block backend use ext4: for want of a vfat."""

    def prepare(path: Path, *, size: int, fat: str | None, **more: Any) -> None:
        path.unlink(missing_ok=True)
        with path.open("wb") as image:
            image.truncate(size)
        if fat is not None:
            options = ["-q", "-F", "-m", "0", "-E", f"offset={START},lazy_itable_init=0,lazy_journal_init=0"]
            subprocess.run(
                ["mkfs.ext4", *options, str(path), f"{(size - START) >> 10}k"], check=True, timeout=60
            )

    block.VFAT = EXT4  # type: ignore[misc]
    actor.best = lambda wanted=None: Backend("block", True, "a stand-in", ())  # type: ignore[assignment]
    actor.prepare = prepare  # type: ignore[assignment]


class Disk(Stick):
    """A stick behind the kernel's own file system."""

    def __init__(self, folder: Path, **config: Any) -> None:
        super().__init__(folder, **{"backend": "block", **config})

    def loop(self) -> Path:
        """The loop device's folder in sysfs while something uses it."""
        line = next(
            x for x in Path("/proc/self/mountinfo").read_text().splitlines() if f" {self.mount} " in x
        )
        found = re.search(r"/dev/(loop\d+)", line)
        assert found, line
        return Path("/sys/block", found.group(1), "loop")

    def tell(self, code: str) -> Any:
        return self.app(SAVE + code)

    def checked(self, *known: str) -> None:
        """Nothing is wrong on the medium but what is `known` of vfat (ext4 has its journal)."""
        if block.VFAT.name == "vfat":
            device = BlockDevice(self.image)
            try:
                assert check_device(device) == [*known]
            finally:
                device.close()
            return
        where = f"{self.image}?offset={START}"
        done = subprocess.run(
            ["e2fsck", "-fn", where], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout


def vanished(loop: Path) -> None:
    deadline = time.monotonic() + 5
    while loop.exists():
        assert time.monotonic() < deadline, f"{loop} is still in use"
        time.sleep(0.02)


def life(folder: Path) -> None:
    """Written, synced, taken out and put in again; nothing remains."""
    stick = Disk(folder)
    loop = stick.loop()
    assert (loop / "dio").read_text().strip() == "1", "reads of the disk are not held back by a second cache"
    assert (loop / "autoclear").read_text().strip() == "1"
    assert int((loop / "offset").read_text()) > 0
    assert stick.actor._medium.direct
    data = os.urandom(3 * MB)
    (folder / "data").write_bytes(data)
    read = f"data = open({str(folder / 'data')!r}, 'rb').read()\n"
    stick.tell(read + "os.mkdir(P + '/DICOM'); save('DICOM/A', data); save('B', data[:5], False)")
    assert stick.wait("volume.synced")["written"] >= len(data)
    state = stick.do("state")
    assert state["mounted"]
    assert 0 < state["free"] < 60 * MB
    stick.do("remove")
    removed = stick.wait("volume.removed")
    assert (removed["how"], removed["unsynced"], removed["lost"]) == ("clean", 0, 0)
    assert "why" not in removed
    stick.gone()
    vanished(loop)
    stick.checked()
    stick.do("insert")
    told = stick.tell(
        "tell([hashlib.sha256(open(P + '/DICOM/A', 'rb').read()).hexdigest(), open(P + '/B', 'rb').read().hex()])"
    )
    assert told == [hashlib.sha256(data).hexdigest(), data[:5].hex()]
    stick.actor.stop()
    stick.actor.stop()
    stick.gone()
    vanished(loop)
    stick.checked()


def late(folder: Path) -> None:
    """What the application was told to have written, and the kernel had not written back, is lost without a word."""
    stick = Disk(folder)
    stick.tell("save('KEPT', b'k' * 100_000)")
    told = stick.tell("tell(attempt(lambda: save('LOST', b'l' * 1_000_000, False)))")
    assert told is None, "the application saw no error"
    stick.arm("yank", lose="all")
    stick.until_gone()
    assert stick.wait("volume.removed")["how"] == "yanked"
    stick.do("insert")
    told = stick.tell(
        "tell([attempt(lambda: open(P + '/KEPT', 'rb').read() == b'k' * 100_000),\n"
        "  attempt(lambda: open(P + '/LOST', 'rb').read() == b'l' * 1_000_000)])"
    )
    assert told[0] is True
    assert told[1] in (False, "ENOENT", "EIO"), told
    stick.actor.stop()
    stick.gone()


def yank(folder: Path) -> None:
    """Pulled out at a byte; a file that is held open over it never reaches the medium that is put in again."""
    stick = Disk(folder, size=128 * MB)
    first = stick.loop()
    user = stick.user(
        "f = os.open(P + '/OPEN', os.O_CREAT | os.O_WRONLY); os.write(f, b'old'); os.fsync(f); pause()\n"
        "tell(attempt(lambda: os.pwrite(f, b'NEW', 0) and os.fsync(f)))"
    )
    stick.do("watch", id="w", written_bytes=2 * MB)
    stick.arm("yank", at_bytes=5 * MB)
    told = stick.tell(
        "n = 0\ndef go():\n  global n\n  while n < 40: save(f'F{n}', bytes([n]) * 524288); n += 1\n"
        "tell([attempt(go), n])"
    )
    assert told[0] in ("EIO", "EROFS"), told
    assert 6 <= told[1] <= 9, told
    fired = stick.wait("fault.fired")
    assert 5 * MB - 512 < fired["where"]["written_bytes"] <= 5 * MB, fired
    assert stick.wait("trigger.hit")["id"] == "w"
    stick.until_gone()
    stick.do("insert")
    assert first.exists(), "somebody still has a file open on the medium as it was"
    assert stick.loop() != first
    answer = user.communicate("\n", timeout=20)[0].strip()
    assert answer.startswith('"E'), answer
    vanished(first)
    kept = stick.tell(
        "tell([open(P + '/OPEN', 'rb').read().decode(),\n"
        f"  all(open(P + f'/F{{n}}', 'rb').read() == bytes([n]) * 524288 for n in range({told[1]}))])"
    )
    assert kept == ["old", True]
    stick.do("remove")
    # put in dirty, taken out dirty: only a repair takes the bit back
    stick.checked("the volume was not unmounted: its dirty bit is set")
    stick.actor.stop()
    stick.gone()


def faults(folder: Path) -> None:
    """Full, slow, failing, worn, protected: each is felt as behind a kernel, and fires."""
    stick = Disk(folder)
    names = stick.tell("tell(sorted(os.listdir(P)))")
    stick.arm("full", leave=MB)
    told = stick.tell(
        f"v = os.statvfs(P); data = b'x' * {2 * MB}\n"
        "tell([v.f_bavail * v.f_frsize, attempt(lambda: save('A', data) or save('B', data)), sorted(os.listdir(P))])"
    )
    assert told[0] <= MB
    assert told[1] == "ENOSPC"
    assert set(told[2]) <= {*names, "A", "B"}, "what takes the space has no name"
    assert stick.do("disarm", id="id-full") == {"known": 1, "fired": 1}
    assert stick.tell("tell(attempt(lambda: save('C', b'c' * 2_000_000)))") is None
    stick.arm("slow", rate=2 * MB)
    began = time.monotonic()
    assert stick.tell("tell(attempt(lambda: save('D', b'd' * 1_500_000)))") is None
    assert 0.5 < time.monotonic() - began < 20
    stick.do("disarm", id="*")
    stick.arm("wear", after_reads=2)
    told = stick.tell("tell([attempt(lambda: cold('C')) for _ in range(6)])")
    assert told[-1] == "EIO", told
    stick.do("disarm", id="*")
    assert stick.tell("tell(attempt(lambda: cold('C')))") is None
    stick.arm("io_error", on="write", count=0)
    assert stick.tell("tell(attempt(lambda: save('E', b'e' * 100_000)))") in ("EIO", "EROFS")
    stick.do("disarm", id="*")
    fired = [d["fault"] for k, d in stick.events if k == "fault.fired"]
    assert fired == ["full", "slow", "wear", "io_error"]
    stick.do("remove")
    stick.do("insert")
    stick.arm("protect")
    assert stick.tell("tell(attempt(lambda: save('G', b'g' * 100_000)))") in ("EIO", "EROFS")
    assert stick.wait("fault.fired")["fault"] == "protect"
    stick.do("remove")
    stick.do("disarm", id="*")
    stick.do("insert")
    stick.do("remove")
    stick.arm("protect")
    stick.do("insert")
    told = stick.tell(
        "tell([attempt(lambda: save('G', b'g')), os.statvfs(P).f_flag & 1, os.path.exists(P + '/C')])"
    )
    assert told == ["EROFS", 1, True], "put in with the protection on, it is mounted so"
    stick.actor.stop()
    stick.gone()


def ends(folder: Path) -> None:
    """Refused while it is used, and by whom; stopping waits for nobody; an unformatted one gives EIO."""
    stick = Disk(folder)
    user = stick.user("f = open(P + '/OPEN', 'wb'); pause()")
    with pytest.raises(CommandError, match=f"pid {user.pid} .*OPEN"):
        stick.do("remove", timeout=0.2)
    loop = stick.loop()
    stick.arm("slow", rate=200_000)
    stick.tell("save('BIG', b'b' * 20_000_000, False)")
    began = time.monotonic()
    stick.actor.stop()
    assert time.monotonic() - began < 12
    stick.gone()
    assert stick.wait("volume.removed")["by"] == "end"
    user.communicate("\n", timeout=20)
    vanished(loop)
    stick = Disk(folder, format="none")
    assert stick.wait("volume.refused")["why"]
    assert stick.app("tell([os.path.isdir(P), attempt(lambda: os.listdir(P))])") == [True, "EIO"]
    stick.do("format", format="FAT16")
    assert stick.tell("tell(attempt(lambda: save('A', b'a')))") is None
    stick.actor.stop()
    stick.gone()


def killed(folder: Path) -> None:
    """Ends by SIGKILL with much to write back, as the last process in its mount namespace."""
    stick = Disk(folder)
    stick.tell("save('BIG', b'b' * 20_000_000, False)")
    print(stick.loop(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def restless(folder: Path) -> None:
    """As behind FUSE alone; to be killed."""
    volumes_bodies.restless(folder, Disk)


def trial(folder: Path) -> None:
    """The trial that decides whether the backend is offered."""
    image = folder / "trial.img"
    if block.VFAT.name == "vfat":
        assert block.trial(folder) == ""
    else:
        with image.open("wb") as file:
            file.truncate(16 * MB)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, timeout=60)
        assert block.trial(folder, block.System("ext4", "", lambda device: (0, device.size))) == ""
    assert mounting.mounted(folder / "in" / "trial") is None
    assert "nodev" in block.trial(folder, block.System("nodev", "", lambda device: (0, device.size)))
    device = BlockDevice(image)
    try:
        assert any(
            device.read(at, 65536).find(bytes(range(256)) * 16) >= 0 for at in range(0, device.size, 65536)
        )
    finally:
        device.close()


def main() -> None:
    """Enter a mount namespace, do what is asked, and see that nothing is left in it."""
    own_mounts()
    before = Path("/proc/self/mountinfo").read_text()
    if sys.argv[2] == "ext4":
        stand_in()
    globals()[sys.argv[1]](Path(sys.argv[3]))
    if sys.argv[1] != "trial":  # that one has entered another
        assert Path("/proc/self/mountinfo").read_text() == before, "a mount is left"


if __name__ == "__main__":
    main()
