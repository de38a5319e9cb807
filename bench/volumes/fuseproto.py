"""The kernel's FUSE protocol (include/uapi/linux/fuse.h, version 7) as structures: requests in, answers out.

Rules of this file:

* No input or output: bytes and numbers only.
* What is negotiated is 7.31, which every kernel since 5.4 speaks; newer kernels answer in the same form.

All numbers are in the machine's byte order, sizes in bytes, times in seconds and nanoseconds.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MAJOR: Final = 7
MINOR: Final = 31
MAX_WRITE: Final = 1 << 20
"""Longest WRITE and READ; the largest that kernels allow without further ado (256 pages)."""
BUFFER: Final = MAX_WRITE + 4096
ROOT: Final = 1


class Op(IntEnum):
    """Operations that are answered; any other gets ENOSYS, after which the kernel does without it."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    RENAME2 = 45


IN_HEADER: Final = struct.Struct(
    "=IIQQIIIHH"
)  # length, opcode, unique, node, uid, gid, pid, extensions, padding
OUT_HEADER: Final = struct.Struct("=IiQ")  # length, -errno, unique
INIT_IN: Final = struct.Struct("=IIII")  # major, minor, readahead, flags
INIT_OUT: Final = struct.Struct(
    "=IIIIHHIIHH32x"
)  # …, flags, background, congestion, max_write, gran, pages, align
ATTR: Final = struct.Struct("=QQQQQQIIIIIIIIII")
SETATTR_IN: Final = struct.Struct("=IIQQQQQQIIIIIIII")
# valid, pad, fh, size, owner, atime, mtime, ctime, atimensec, mtimensec, ctimensec, mode, -, uid, gid, -
READ_IN: Final = struct.Struct("=QQIIQII")  # fh, offset, size, read flags, owner, flags, padding
WRITE_IN: Final = struct.Struct("=QQIIQII")
WRITE_OUT: Final = struct.Struct("=II")
OPEN_IN: Final = struct.Struct("=II")
OPEN_OUT: Final = struct.Struct("=QII")
CREATE_IN: Final = struct.Struct("=IIII")  # flags, mode, umask, open flags
MKDIR_IN: Final = struct.Struct("=II")
MKNOD_IN: Final = struct.Struct("=IIII")
RENAME_IN: Final = struct.Struct("=Q")
RENAME2_IN: Final = struct.Struct("=QII")
FH_IN: Final = struct.Struct("=Q")  # RELEASE and FLUSH begin with the handle
FSYNC_IN: Final = struct.Struct("=QII")  # handle, flags, padding
ACCESS_IN: Final = struct.Struct("=II")
FORGET_IN: Final = struct.Struct("=Q")
FORGET_ONE: Final = struct.Struct("=QQ")
STATFS_OUT: Final = struct.Struct(
    "=QQQQQIII28x"
)  # blocks, free, available, files, free files, size, name, fragment
DIRENT: Final = struct.Struct("=QQII")  # inode, next offset, length of name, type

ASYNC_READ: Final = 1 << 0
ATOMIC_O_TRUNC: Final = 1 << 3
BIG_WRITES: Final = 1 << 5
MAX_PAGES: Final = 1 << 22
WANTED: Final = ASYNC_READ | ATOMIC_O_TRUNC | BIG_WRITES | MAX_PAGES
"""No write-back cache: a write is answered by the volume itself, or its error is."""

SET_SIZE: Final = 1 << 3
SET_ATIME: Final = 1 << 4
SET_MTIME: Final = 1 << 5
SET_FH: Final = 1 << 6
SET_MTIME_NOW: Final = 1 << 8
RENAME_NOREPLACE: Final = 1
FSYNC_DATASYNC: Final = 1
"""It was fdatasync(2)."""

ATTR_VALID_S: Final = 1
"""How long the kernel may believe attributes; names are asked for each time, so a yank is seen at once."""


@dataclass(frozen=True)
class Facts:
    """What a file or folder is: ``mtime`` in seconds since 1970."""

    is_dir: bool
    size: int
    mtime: float


@dataclass(frozen=True)
class Space:
    """Room on a volume, in clusters of ``cluster`` bytes."""

    cluster: int
    total: int
    free: int


def answer(unique: int, payload: bytes = b"", error: int = 0) -> bytes:
    """One answer; ``error`` is a positive errno, 0 for success."""
    return OUT_HEADER.pack(OUT_HEADER.size + len(payload), -error, unique) + payload


def init_answer(flags: int, readahead: int) -> bytes:
    """What we take of what the kernel offers."""
    return INIT_OUT.pack(
        MAJOR, MINOR, min(readahead, MAX_WRITE), flags & WANTED, 16, 12, MAX_WRITE, 1, MAX_WRITE // 4096, 0
    )


def attr(node: int, facts: Facts, uid: int, gid: int, *, links: int = 1) -> bytes:
    """``struct fuse_attr``: everybody may do everything, as FAT knows no owners."""
    kind = stat.S_IFDIR if facts.is_dir else stat.S_IFREG
    seconds = int(facts.mtime)
    nanos = int((facts.mtime - seconds) * 1e9)
    return ATTR.pack(
        node,
        facts.size,
        -(-facts.size // 512),
        seconds,
        seconds,
        seconds,
        nanos,
        nanos,
        nanos,
        kind | 0o777,
        2 if facts.is_dir else links,
        uid,
        gid,
        0,
        4096,
        0,
    )


def attr_answer(attributes: bytes) -> bytes:
    """``struct fuse_attr_out``."""
    return struct.pack("=QII", ATTR_VALID_S, 0, 0) + attributes


def entry_answer(node: int, attributes: bytes) -> bytes:
    """``struct fuse_entry_out``: the name is not to be remembered, its attributes are."""
    return struct.pack("=QQQQII", node, 0, 0, ATTR_VALID_S, 0, 0) + attributes


def dirent(offset: int, name: bytes, is_dir: bool | None) -> bytes:
    """One entry of a folder; ``offset`` is where the next one starts."""
    kind = 0 if is_dir is None else 4 if is_dir else 8
    head = DIRENT.pack(0xFFFFFFFF, offset, len(name), kind) + name
    return head + bytes(-len(head) % 8)
