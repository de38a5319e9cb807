"""The same random work on two folders, which must come to the same: ``python volumes_random.py A B SEED STEPS``."""

from __future__ import annotations

import mmap
import os
import random
import sys
from pathlib import Path
from typing import Any

NAMES = [*(f"N{i}" for i in range(8)), "d1", "d2", "d1/X", "d2/Y long name.txt", "d1/z"]
VERBS = (
    "write",
    "write",
    "write",
    "append",
    "cut",
    "unlink",
    "mkdir",
    "rmdir",
    "rename",
    "read",
    "map",
    "new",
)


def work(verb: str, path: Path, other: Path, offset: int, data: bytes, size: int) -> Any:
    """Do one thing; what it gives must not depend on the folder."""
    match verb:
        case "write":
            fd = os.open(path, os.O_CREAT | os.O_RDWR | (os.O_TRUNC if size % 3 == 0 else 0), 0o666)
            try:
                return os.pwrite(fd, data, offset), os.pread(fd, 50, offset)
            finally:
                os.close(fd)
        case "append":
            with path.open("ab") as file:
                return file.write(data), file.tell()
        case "cut":
            os.truncate(path, size)
            return path.stat().st_size
        case "unlink":
            return None if path.is_dir() else path.unlink()
        case "mkdir":
            return path.mkdir()
        case "rmdir":
            return path.rmdir()
        case "rename":
            return None if path in other.parents else os.rename(path, other)
        case "read":
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(1000)
        case "new":
            return os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        case "map":
            with path.open("r+b") as file:
                if path.stat().st_size >= 10:
                    with mmap.mmap(file.fileno(), 0) as view:
                        view[2:8] = data[:6].ljust(6, b"x")
                        view.flush()
    return None


def tree(root: Path) -> dict[str, bytes | None]:
    """Everything below a folder with its bytes; folders have None."""
    return {str(p.relative_to(root)): None if p.is_dir() else p.read_bytes() for p in root.rglob("*")}


def main() -> None:
    """Do the work and compare after each step what it gave, from time to time everything."""
    roots = [Path(name) for name in sys.argv[1:3]]
    rng = random.Random(int(sys.argv[3]))
    for step in range(int(sys.argv[4])):
        verb, one, two = rng.choice(VERBS), rng.choice(NAMES), rng.choice(NAMES)
        offset, size = rng.randrange(300_000), rng.randrange(400_000)
        data = rng.randbytes(rng.randrange(1, 200_000))
        gave: list[Any] = []
        for root in roots:
            try:
                gave.append(work(verb, root / one, root / two, offset, data, size))
            except OSError as error:
                gave.append(("errno", error.errno))
        assert gave[0] == gave[1], (step, verb, one, two, offset, len(data), size, gave)
        if step % 60 == 59:
            assert tree(roots[0]) == tree(roots[1]), step
    assert tree(roots[0]) == tree(roots[1])


if __name__ == "__main__":
    main()
