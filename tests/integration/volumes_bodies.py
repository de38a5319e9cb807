"""What the tests of mounted media do inside a mount namespace of their own: ``python volumes_bodies.py NAME FOLDER``.

The product's part is always played by another process, as on a bench.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.kinds import KINDS
from bench.links import netns
from bench.sandbox import isolate
from bench.volumes import fatback, fusechannel, mounting
from bench.volumes.actor import Config, create
from bench.volumes.device import BlockDevice
from bench.volumes.fat import FatVolume
from bench.volumes.fatcheck import check_device
from simulators.base import CommandError

MB = 1 << 20


class Stick:
    """An actor with its events and a second process that uses the medium."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.mount = folder / "in" / str(config.get("name", "usb"))
        self.mount.parent.mkdir(exist_ok=True)
        self.image = folder / "usb.img"
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._changed = threading.Condition()
        values = {
            "name": "usb",
            "mount": str(self.mount),
            "image": str(self.image),
            "size": 64 * MB,
            "backend": "fuse",
            **config,
        }
        self.actor = create(Config.from_dict(values), self.emit)
        self.actor.start()

    def emit(self, kind: str, /, **data: Any) -> None:
        assert kind in KINDS, kind
        json.dumps(data)
        with self._changed:
            self.events.append((kind, data))
            self._changed.notify_all()

    def do(self, verb: str, **args: Any) -> Any:
        return self.actor.command(verb, args)

    def arm(self, fault: str, **args: Any) -> None:
        self.do("arm", id=f"id-{fault}", fault=fault, args=args)

    def wait(self, kind: str, seconds: float = 10) -> dict[str, Any]:
        with self._changed:
            assert self._changed.wait_for(lambda: any(k == kind for k, _ in self.events), seconds), (
                kind,
                self.events,
            )
            return next(data for k, data in reversed(self.events) if k == kind)

    def app(self, code: str) -> Any:
        """Run Python in another process, in the medium's folder; ``tell`` prints its answer, errno on OSError."""
        done = subprocess.run(
            [sys.executable, "-c", self._head() + code],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def user(self, code: str) -> subprocess.Popen[str]:
        """Start Python in another process, as :meth:`app`, and return when it has come to its ``pause()``."""
        user = subprocess.Popen(
            [sys.executable, "-c", self._head() + code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert user.stdout is not None
        assert user.stdout.readline() == "here\n"
        return user

    def _head(self) -> str:
        return (
            "import errno, json, os, sys, hashlib\n"
            "def tell(value): print(json.dumps(value)); sys.exit(0)\n"
            f"P = {str(self.mount)!r}\n"
            "def attempt(what):\n"
            "    try: return what()\n"
            "    except OSError as error: return errno.errorcode[error.errno]\n"
            "def pause(): print('here', flush=True); sys.stdin.readline()\n"
        )

    def until_gone(self) -> None:
        """Wait until a medium that was pulled out has vanished."""
        deadline = time.monotonic() + 8
        while self.mount.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def gone(self) -> None:
        """Nothing of the medium is left."""
        assert not self.mount.exists()
        assert mounting.mounted(self.mount) is None

    def files(self) -> dict[str, bytes]:
        """What lies on the medium, read from its image."""
        device = BlockDevice(self.image)
        try:
            volume = FatVolume.mount(device, read_only=True)
            found = {}
            for name in volume.listdir("/"):
                if not volume.stat("/" + name).is_dir:
                    handle = volume.open("/" + name)
                    found[name] = volume.read(handle, 0, volume.stat("/" + name).size)
            return found
        finally:
            device.close()

    def sound(self) -> None:
        device = BlockDevice(self.image)
        try:
            found = check_device(device)
            assert found == [], found
        finally:
            device.close()


def life(folder: Path) -> None:
    """Written, renamed, cut, removed, read again; taken out and put in; nothing remains."""
    stick = Stick(folder, label="BENCH", content=["files:8"])
    data = hashlib.sha256(b"x").digest() * 100_000
    (folder / "data").write_bytes(data)
    told = stick.app(
        f"os.chdir(P); data = open({str(folder / 'data')!r}, 'rb').read()\n"
        "os.makedirs('DICOM/PA000001')\n"
        "with open('DICOM/PA000001/US000001', 'wb') as f: f.write(data); f.flush(); os.fsync(f.fileno())\n"
        "open('DICOMDIR.NEW', 'wb').write(b'new'); open('DICOMDIR', 'wb').write(b'older')\n"
        "os.replace('DICOMDIR.NEW', 'DICOMDIR'); os.rename('DICOM', 'IMAGES')\n"
        "open('CUT', 'wb').write(b'123456789'); os.truncate('CUT', 4)\n"
        "with open('CUT', 'ab') as f: f.write(b'+')\n"
        "open('Ein langer Name ä山.txt', 'w').write('x'); os.unlink('Ein langer Name ä山.txt')\n"
        "f = open('GHOST', 'w+b'); os.unlink('GHOST'); f.write(b'boo'); f.flush(); f.seek(0); ghost = f.read()\n"
        "vfs = os.statvfs(P)\n"
        "tell({'names': sorted(os.listdir('.')), 'cut': open('cut').read(), 'ghost': ghost.decode(),\n"
        "  'same': open('IMAGES/PA000001/US000001', 'rb').read() == data, 'size': vfs.f_blocks * vfs.f_frsize,\n"
        "  'link': attempt(lambda: os.symlink('a', 'b')), 'none': attempt(lambda: open('nix')),\n"
        "  'full': attempt(lambda: os.rmdir('IMAGES')), 'there': attempt(lambda: os.mkdir('IMAGES')),\n"
        "  'access': os.access('CUT', os.W_OK), 'tree': sum(len(f) for _, _, f in os.walk('.'))})"
    )
    assert told["names"] == ["CUT", "DCIM", "DICOMDIR", "Documents", "IMAGES"], told
    assert told["cut"] == "1234+"
    assert told["ghost"] == "boo"
    assert told["same"] is True
    assert told["access"] is True
    assert 59 * MB < told["size"] < 64 * MB
    assert (told["link"], told["none"]) == ("EPERM", "ENOENT")
    assert (told["full"], told["there"]) == ("ENOTEMPTY", "EEXIST")
    assert told["tree"] == 8 + 3
    assert stick.wait("volume.synced")["written"] > len(data)
    state = stick.do("state")
    assert state["inserted"]
    assert state["mounted"]
    stick.do("remove")
    stick.gone()
    removed = stick.wait("volume.removed")
    assert (removed["how"], removed["unsynced"], removed["lost"]) == ("clean", 0, 0)
    assert removed["written"] > len(data)
    stick.sound()
    assert stick.files() == {"DICOMDIR": b"new", "CUT": b"1234+"}
    stick.do("insert")
    assert stick.app("tell(open(P + '/DICOMDIR').read())") == "new"
    stick.actor.stop()
    stick.actor.stop()
    stick.gone()
    stick.sound()


def busy(folder: Path) -> None:
    """Taking out is refused while a file is open, and says by whom; the end of the cell does not wait."""
    stick = Stick(folder)
    user = stick.user("f = open(P + '/OPEN', 'wb'); pause()")
    with pytest.raises(CommandError, match=f"pid {user.pid} .*OPEN"):
        stick.do("remove", timeout=0.2)
    assert stick.app("tell(sorted(os.listdir(P)))") == ["OPEN"]
    began = time.monotonic()
    stick.actor.stop()
    assert time.monotonic() - began < 8
    stick.gone()
    assert stick.wait("volume.removed")["by"] == "end"
    user.communicate("\n", timeout=20)
    stick.sound()


def yank(folder: Path) -> None:
    """Pulled out at a byte: EIO, the very byte, unsynced bytes lost as asked; put in again, the rest is there."""
    stick = Stick(folder, size=128 * MB)
    stick.app("f = open(P + '/KEPT', 'wb'); f.write(b'k' * 100_000); f.flush(); os.fsync(f.fileno())")
    stick.arm("yank", at_bytes=5 * MB, lose="all")
    stick.do("watch", id="w", written_bytes=2 * MB)
    told = stick.app(
        "n = 0\ndef go():\n"
        "  global n\n"
        "  f = os.open(P + '/LOST', os.O_CREAT | os.O_WRONLY)\n"
        "  while n < 100: os.write(f, b'l' * 262144); n += 1\n"
        "seen = attempt(go)\ntell([seen, n, attempt(lambda: os.listdir(P)), attempt(lambda: open(P + '/KEPT'))])"
    )
    assert told[0] == "EIO", told
    assert 17 <= told[1] <= 20, told
    assert told[2] in ("EIO", "ENOENT", []), told
    assert told[3] in ("EIO", "ENOENT")
    fired = stick.wait("fault.fired")
    assert fired["id"] == "id-yank"
    assert 5 * MB - 512 < fired["where"]["written_bytes"] <= 5 * MB, fired
    removed = stick.wait("volume.removed")
    assert removed["how"] == "yanked"
    assert removed["lost"] == removed["unsynced"] > 4 * MB
    assert stick.wait("trigger.hit")["id"] == "w"
    assert not stick.do("state")["inserted"]
    stick.do("insert")
    names = stick.app("tell({n: os.path.getsize(P + '/' + n) for n in os.listdir(P)})")
    assert names["KEPT"] == 100_000
    assert names.get("LOST", 0) == 0
    stick.app("assert open(P + '/KEPT', 'rb').read() == b'k' * 100_000")
    # once more, at once and with a file open all the time
    user = stick.user(
        "f = os.open(P + '/A', os.O_CREAT | os.O_WRONLY); pause(); tell(attempt(lambda: os.write(f, b'x')))"
    )
    stick.do("arm", id="two", fault="yank")
    stick.until_gone()
    assert user.communicate("\n", timeout=20)[0].strip() == '"EIO"'
    stick.gone()
    stick.actor.stop()


def renamed(folder: Path) -> None:
    """A new name is kept with its file and its folder; sync(2) is not heard of, as the backend says."""
    save = (
        "def save(name, data):\n"
        "    with open(P + '/' + name, 'wb') as f: f.write(data); f.flush(); os.fsync(f.fileno())\n"
        "def sync(name): f = os.open(P + name, os.O_RDONLY); os.fsync(f); os.close(f)\n"
    )
    found = []
    stick = Stick(folder)
    for number, kept in enumerate(
        ("os.sync()", "sync('')", "sync('/DICOMDIR')", "sync('/DICOMDIR'); sync('')")
    ):
        stick.app(save + "save('DICOMDIR', b'old'); save('DRAFT', b'new')\nos.sync()\nsync('')")
        synced = stick.wait("volume.synced")["written"]
        stick.app(save + f"os.replace(P + '/DRAFT', P + '/DICOMDIR'); {kept}")
        assert (stick.wait("volume.synced")["written"] > synced) is (number > 0)
        stick.do("arm", id=f"y{number}", fault="yank", args={"lose": "all"})
        stick.until_gone()
        stick.do("insert")
        found.append(
            stick.app(
                "tell([attempt(lambda: open(P + '/' + n, 'rb').read().decode()) for n in ('DICOMDIR', 'DRAFT')])"
            )
        )
        stick.do("replace_content", content=["empty"])
    # one sector holds both names here, and takes along what waits in it
    assert found == [["old", "new"], ["EIO", "ENOENT"], ["new", "ENOENT"], ["new", "ENOENT"]]
    stick.actor.stop()
    stick.gone()


def datasync(folder: Path) -> None:
    """fdatasync(2) of the product reaches the volume as such: data and sizes are kept, times alone are not."""
    stick = Stick(folder)
    sync = "f = os.open(P + '/F', os.O_CREAT | os.O_WRONLY); "
    stick.app(sync + "os.write(f, b'old' * 100); os.utime(f, (1e9, 1e9)); os.fsync(f)")
    found = []
    for number, change in enumerate(
        (
            "os.pwrite(f, b'NEW', 0); os.fdatasync(f)",
            "os.pwrite(f, b'NEW', 0); os.fsync(f)",
            "os.utime(f, (1e9, 1e9)); os.fsync(f); os.pwrite(f, b'end', 300); os.fdatasync(f)",
        )
    ):
        # pulled out with the file open: closing would write its times, not durably
        user = stick.user(sync + change + "; pause()")
        stick.do("arm", id=f"y{number}", fault="yank", args={"lose": "all"})
        stick.until_gone()
        user.communicate("\n", timeout=20)
        stick.do("insert")
        found.append(
            stick.app(
                "tell([os.path.getmtime(P + '/F') == 1e9, os.path.getsize(P + '/F'), open(P + '/F').read(4)])"
            )
        )
    assert found == [[True, 300, "NEWo"], [False, 300, "NEWo"], [False, 303, "NEWo"]], found
    stick.actor.stop()
    stick.gone()


def aged(folder: Path) -> None:
    """What nobody synchronises is written after a while, also when nobody uses the medium meanwhile."""
    fatback.AGE_S = fusechannel.IDLE_S = 0.3  # type: ignore[misc]
    stick = Stick(folder)
    stick.app("open(P + '/DRAFT', 'wb').write(b'new'); os.rename(P + '/DRAFT', P + '/DICOMDIR')")
    before = stick.do("state")["unsynced"]
    deadline = time.monotonic() + 20
    while "DICOMDIR" not in stick.files():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert stick.files() == {"DICOMDIR": b"new"}
    assert stick.do("state")["unsynced"] > before, "written is not durable"
    stick.do("remove")
    stick.sound()
    stick.actor.stop()


def faults(folder: Path) -> None:
    """Full, write protected, slow, failing: the errno is the application's, and each fires once."""
    stick = Stick(folder)
    write = (
        "f = os.open(P + '/%s', os.O_CREAT | os.O_WRONLY)\nseen = attempt(lambda: os.write(f, b'x' * %d))\n"
    )
    stick.arm("full", leave=MB)
    told = stick.app("v = os.statvfs(P)\n" + write % ("A", 2 * MB) + "tell([v.f_bavail * v.f_frsize, seen])")
    assert told[0] <= MB
    # a part may be written before it is full, as everywhere
    assert told[1] == "ENOSPC" or 0 < told[1] < 2 * MB, told
    assert stick.app(write % ("B", 2 * MB) + "tell(attempt(lambda: os.write(f, b'x' * 2097152)))") == "ENOSPC"
    assert stick.do("disarm", id="id-full") == {"known": 1, "fired": 1}
    assert stick.app(write % ("C", 2 * MB) + "tell(seen)") == 2 * MB
    stick.arm("protect")
    told = stick.app(
        "tell([os.access(P + '/C', os.W_OK), attempt(lambda: open(P + '/D', 'w')),"
        " attempt(lambda: os.unlink(P + '/C')), len(open(P + '/C').read()), attempt(lambda: os.mkdir(P + '/E'))])"
    )
    assert told == [False, "EROFS", "EROFS", 2 * MB, "EROFS"]
    stick.do("disarm", id="*")
    stick.arm("io_error", on="read", after_bytes=MB, count=0)
    told = stick.app("f = open(P + '/C', 'rb', 0)\ntell([len(f.read(4096)), attempt(lambda: len(f.read()))])")
    assert told == [4096, "EIO"] or told[1] < 2 * MB - 4096, told
    assert stick.app("tell(attempt(lambda: len(open(P + '/C').read())))") == "EIO"
    stick.do("disarm", id="*")
    assert stick.app("tell(len(open(P + '/C').read()))") == 2 * MB
    stick.arm("io_error", on="write", after_bytes=MB, count=0)
    told = stick.app(
        "f = os.open(P + '/E', os.O_CREAT | os.O_WRONLY)\nn = 0\ndef go():\n"
        "  global n\n  while n < 64: os.write(f, b'x' * 65536); n += 1\ntell([attempt(go), n])"
    )
    assert told[0] == "EIO"
    assert 14 <= told[1] <= 17, told
    stick.do("disarm", id="*")
    stick.app("os.unlink(P + '/E')")
    stick.arm("slow", rate=2 * MB)
    began = time.monotonic()
    assert stick.app(write % ("F", MB) + "tell(seen)") == MB
    assert 0.3 < time.monotonic() - began < 5
    stick.do("disarm", id="*")
    stick.arm("wear", after_reads=2)
    told = stick.app("tell([attempt(lambda: open(P + '/C', 'rb').read(10) and 1) for _ in range(6)])")
    assert told[-1] == "EIO", told
    stick.do("disarm", id="*")
    fired = [d["fault"] for k, d in stick.events if k == "fault.fired"]
    assert fired == ["full", "protect", "io_error", "io_error", "slow", "wear"]
    stick.do("remove")
    stick.sound()
    stick.actor.stop()


def other_media(folder: Path) -> None:
    """Protected, unformatted and broken media; formatting and replacing."""
    stick = Stick(folder, protected=True, content=["foreign-fileset"])
    told = stick.app(
        "tell([attempt(lambda: open(P + '/X', 'w')), 'DICOMDIR' in os.listdir(P), os.statvfs(P).f_flag & 1])"
    )
    assert told == ["EROFS", True, 1]
    stick.do("remove")
    for change in ({"format": "none"}, {"format": "FAT16", "content": ["corrupt-fat"]}):
        stick.do("format", **change)
        stick.events.clear()
        stick.do("insert")
        if change["format"] == "none":
            assert "not formatted" in stick.wait("volume.refused")["why"]
            told = stick.app("tell([os.path.isdir(P), attempt(lambda: os.listdir(P))])")
            assert told == [True, "EIO"]
        stick.do("remove")
        stick.gone()
    stick.do("format", format="FAT16", label="NEW", size=32 * MB)
    stick.do("insert")
    stick.do("replace_content", content=["dicomdir-is-a-directory"])
    assert stick.app("tell(os.path.isdir(P + '/DICOMDIR'))") is True
    assert (folder / "usb.before.json").exists()
    assert os.path.getsize(stick.image) == 32 * MB
    stick.actor.stop()
    stick.gone()


def alike(folder: Path) -> None:
    """Random work gives what it gives on a plain folder, byte by byte and errno by errno; the volume stays sound."""
    for seed, more in ((1, {}), (2, {"size": 512 * MB, "format": "FAT32"})):
        place = folder / str(seed)
        (place / "plain").mkdir(parents=True)
        stick = Stick(place, **more)
        script = Path(__file__).with_name("volumes_random.py")
        command = [sys.executable, str(script), str(place / "plain"), str(stick.mount), str(seed), "400"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        stick.do("remove")
        stick.sound()
        stick.actor.stop()


def folder(place: Path) -> None:
    """Without a mount: the folder is packed into the image when it is taken out, and unpacked when it is put in."""
    stick = Stick(place, backend="image", content=["foreign-fileset:lower-case"])
    assert stick.app("tell(sorted(os.listdir(P)))") == ["DICOMDIR", "images"]
    stick.app(
        "os.makedirs(P + '/DICOM/A'); open(P + '/DICOM/A/X', 'w').write('x'); os.unlink(P + '/DICOMDIR')"
    )
    stick.app("open(P + '/EINS.TXT', 'w').write('1')")
    stick.do("remove")
    stick.gone()
    stick.sound()
    assert stick.files() == {"EINS.TXT": b"1"}
    stick.do("insert")
    assert stick.app("tell(open(P + '/DICOM/A/X').read())") == "x"
    assert len(stick.app("tell(os.listdir(P + '/images/p0'))")) == 3
    stick.app("open(P + '/EINS.TXT', 'w').write('22')")
    stick.arm("yank")
    stick.gone()
    assert stick.wait("volume.removed")["how"] == "yanked"
    assert stick.wait("fault.fired")["id"] == "id-yank"
    assert stick.files() == {"EINS.TXT": b"22"}
    stick.do("insert")
    stick.actor.stop()
    stick.gone()
    assert os.listdir(stick.mount.parent) == []


WORK = (
    "import os, sys, threading\n"
    "print(os.getpid(), flush=True)\n"
    "def work(name):\n"
    "  while True:\n"
    "    try:\n"
    "      f = os.open(P + '/' + name, os.O_CREAT | os.O_RDWR | os.O_TRUNC)\n"
    "      try:\n"
    "        for n in range(20): os.write(f, b'x' * 200_000)\n"
    "        os.fsync(f); os.pread(f, 1000, 0)\n"
    "      finally: os.close(f)\n"
    "      os.rename(P + '/' + name, P + '/' + name + 'R'); os.listdir(P); os.statvfs(P)\n"
    "    except OSError: pass\n"
    "    if over.is_set(): return\n"
    "over = threading.Event()\n"
    "them = [threading.Thread(target=work, args=(f'F{n}',)) for n in range(3)]\n"
    "for one in them: one.start()\n"
    "sys.stdin.read(); over.set()\n"
)


def restless(folder: Path, make: type[Stick] = Stick) -> None:
    """Put in, pulled out, slow, taken out, again and again, with a product that writes all the time; to be killed.

    The product ends when this process does, if nothing keeps it.  It alone has the standard output then.
    """
    chance = random.Random(str(folder))
    stick = make(folder, name=folder.name, inserted=False)
    user = subprocess.Popen(
        [sys.executable, "-c", f"P = {str(stick.mount)!r}\n{WORK}"], stdin=subprocess.PIPE, cwd="/"
    )
    assert user.pid
    while True:
        stick.do("insert")
        time.sleep(chance.random() * 0.4)
        match chance.randrange(3):
            case 0:
                stick.do("arm", id="slow", fault="slow", args={"rate": 20_000})
                time.sleep(chance.random())
                stick.do("disarm", id="*")
                stick.do("arm", id="y", fault="yank", args={"lose": "some"})
            case 1:
                stick.do("arm", id="y", fault="yank", args={"at_bytes": 300_000, "lose": "all"})
            case 2:
                try:
                    stick.do("remove", timeout=0.3)
                except CommandError:
                    stick.do("arm", id="y", fault="yank")
        stick.until_gone()
        stick.do("disarm", id="*")


def speed(folder: Path) -> None:
    """51 files of 3 MB and 500 of 300 KB, copied by cp."""
    source = folder / "source"
    for name, count, size in (("big", 51, 3_080_000), ("small", 500, 300_000)):
        (source / name).mkdir(parents=True)
        for index in range(count):
            (source / name / f"IM{index:06d}").write_bytes(os.urandom(size))
    stick = Stick(folder, size=1 << 30)
    (folder / "plain").mkdir()
    times = {}
    for name in ("big", "small"):
        for kind, target in (("plain", folder / "plain"), ("stick", stick.mount)):
            began = time.monotonic()
            subprocess.run(["cp", "-r", str(source / name), str(target)], check=True, timeout=60)
            times[f"{name} {kind}"] = time.monotonic() - began
    stick.app("os.fsync(os.open(P, os.O_RDONLY))")
    subprocess.run(["diff", "-r", str(source), str(stick.mount)], check=True, timeout=60)
    stick.do("remove")
    stick.sound()
    stick.actor.stop()
    print(json.dumps(times))


def main() -> None:
    """Enter a mount namespace, do what is asked, and see that nothing is left in it."""
    netns.unshare(netns.CLONE_NEWNS)
    isolate.mount("none", "/", "", isolate.MS_REC | isolate.MS_PRIVATE)
    before = Path("/proc/self/mountinfo").read_text()
    folder = Path(sys.argv[2])
    globals()[sys.argv[1]](folder)
    assert Path("/proc/self/mountinfo").read_text() == before, "a mount is left"


if __name__ == "__main__":
    main()
