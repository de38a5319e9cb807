"""A volume of files as a plain dict: what a FAT volume must do, said in forty lines, and random operations on both."""

from __future__ import annotations

import errno
import random
from dataclasses import dataclass, field

from bench.volumes.fat import FatVolume
from bench.volumes.fatnames import fold

NAMES = (
    "DICOMDIR",
    "dicomdir",
    "IM000001",
    "a long name of a file.dcm",
    "A LONG NAME OF A FILE.DCM",
    "超音波 2026.txt",
    "Ünïcode",
    "ünïcode",
    "readme.txt",
    "x",
    "SHORT~1.TXT",
    "longer name.txt",
    "longer nome.txt",
    "n" * 200,
)


#: How often each operation is tried.
WEIGHTS = {"create": 6, "write": 7, "truncate": 2, "unlink": 1, "mkdir": 2, "rmdir": 1, "rename": 2}


@dataclass
class Model:
    """Folded path -> (name as given, bytes of a file or None of a directory)."""

    files: dict[str, tuple[str, bytes | None]] = field(default_factory=dict)

    def error(self, what: str, path: str, other: str = "") -> int:
        """The errno an operation must give, 0 if it must succeed."""
        key = fold(path)
        there = self.files.get(key)
        if wrong := self._above(key):
            return wrong
        if what in ("create", "mkdir"):
            return errno.EEXIST if there else 0
        if there is None:
            return errno.ENOENT
        if what == "rmdir":
            if there[1] is not None:
                return errno.ENOTDIR
            return errno.ENOTEMPTY if any(k.startswith(key + "/") for k in self.files) else 0
        if what in ("unlink", "write", "truncate"):
            return errno.EISDIR if there[1] is None else 0
        assert what == "rename"
        goal = fold(other)
        if wrong := self._above(goal):
            return wrong
        if there[1] is None and goal.startswith(key + "/"):
            return errno.EINVAL
        target = self.files.get(goal)
        if target is None or goal == key:
            return 0
        if there[1] is None and target[1] is not None:
            return errno.ENOTDIR
        if target[1] is None:
            if there[1] is not None:
                return errno.EISDIR
            if any(k.startswith(goal + "/") for k in self.files):
                return errno.ENOTEMPTY
        return 0

    def _above(self, key: str) -> int:
        """The errno of what lies above a path: all of it must be directories."""
        parts = key.split("/")
        for count in range(2, len(parts)):
            there = self.files.get("/".join(parts[:count]))
            if there is None:
                return errno.ENOENT
            if there[1] is not None:
                return errno.ENOTDIR
        return 0

    def rename(self, path: str, other: str) -> None:
        """Move a name and all below it; a target keeps its own name."""
        key, goal = fold(path), fold(other)
        moved = {k: v for k, v in self.files.items() if k == key or k.startswith(key + "/")}
        kept = self.files.get(goal)
        for k in moved:
            del self.files[k]
        for k, (name, data) in moved.items():
            self.files[goal + k[len(key) :]] = (name, data)
        name = kept[0] if kept is not None and goal != key else other.rpartition("/")[2]
        self.files[goal] = (name, moved[key][1])


def random_path(rng: random.Random) -> str:
    """A path of up to three of the names; few enough that they meet often."""
    return "".join("/" + rng.choice(NAMES) for _ in range(rng.choice((1, 1, 1, 2, 2, 3))))


def step(volume: FatVolume, model: Model, rng: random.Random) -> str:
    """One random operation on both; raises AssertionError where they part. Returns what was done."""
    what = rng.choices(tuple(WEIGHTS), tuple(WEIGHTS.values()))[0]
    if model.files and rng.random() < 0.8:
        path = _spelled(model, rng.choice(list(model.files)))
        if what in ("create", "mkdir"):
            path = path.rpartition("/")[0] + "/" + rng.choice(NAMES)
    else:
        path = random_path(rng)
    other = random_path(rng)
    expected = model.error(what, path, other)
    got = 0
    try:
        if what == "create":
            volume.close(volume.create(path))
        elif what == "mkdir":
            volume.mkdir(path)
        elif what == "rmdir":
            volume.rmdir(path)
        elif what == "unlink":
            volume.unlink(path)
        elif what == "rename":
            volume.rename(path, other)
        elif what == "truncate":
            size = rng.choice((0, 1, 511, 512, 2048, 5000))
            volume.truncate(path, size)
        else:
            offset, data = (
                rng.choice((0, 0, 100, 2048, 9000)),
                rng.randbytes(rng.choice((1, 512, 3000, 9000))),
            )
            handle = volume.open(path)
            try:
                assert volume.write(handle, offset, data) == len(data)
                if rng.random() < 0.3:
                    volume.fsync(handle)
            finally:
                volume.close(handle)
    except OSError as error:
        got = error.errno or -1
    assert got == expected, f"{what} {path!r} {other!r}: errno {got}, expected {expected}"
    if not expected:
        key = fold(path)
        if what in ("create", "mkdir"):
            model.files[key] = (path.rpartition("/")[2], b"" if what == "create" else None)
        elif what in ("rmdir", "unlink"):
            del model.files[key]
        elif what == "rename":
            model.rename(path, other)
        else:
            name, old = model.files[key]
            assert old is not None
            if what == "truncate":
                new = old[:size].ljust(size, b"\0")
            else:
                new = old[:offset].ljust(offset, b"\0") + data + old[offset + len(data) :]
            model.files[key] = (name, new)
    return f"{what} {path} {other} {got}"


def compare(volume: FatVolume, model: Model) -> None:
    """The volume holds the model's names and bytes and nothing else."""
    found: dict[str, tuple[str, bytes | None]] = {}
    waiting = [""]
    while waiting:
        above = waiting.pop()
        for name in volume.listdir(above or "/"):
            path = f"{above}/{name}"
            stat = volume.stat(path)
            if stat.is_dir:
                found[fold(path)] = (name, None)
                waiting.append(path)
            else:
                handle = volume.open(path)
                found[fold(path)] = (name, volume.read(handle, 0, stat.size + 10))
                volume.close(handle)
                assert len(found[fold(path)][1] or b"") == stat.size
    assert found == model.files


def _spelled(model: Model, key: str) -> str:
    """The path as it was named, which may differ in case from its key."""
    out, at = "", ""
    for part in key.split("/")[1:]:
        at += "/" + part
        out += "/" + model.files[at][0]
    return out
