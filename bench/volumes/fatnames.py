"""Names and times in FAT directories: 8.3 names, long names, the short alias of a long one, timestamps.

Rules of this file:
- Pure functions. Names by Microsoft's FAT specification (fatgen103: FAT Directory Structure, FAT Long Directory
  Entries, Name Limits and Character Sets); what Linux vfat does by default decides where it leaves a choice: an
  8.3 name in upper case gets no long name, every other name does.
- A short alias holds ASCII only: other characters become an underscore and make the alias a numbered one.
- Times are kept in UTC, as Linux does with a time zone of zero. Resolution: 2 s (modification), 1980-2107.
"""

from __future__ import annotations

import errno
import struct
from calendar import timegm
from collections.abc import Container
from time import gmtime

ENTRY = 32
ATTR_READ_ONLY, ATTR_HIDDEN, ATTR_SYSTEM, ATTR_VOLUME, ATTR_DIR, ATTR_ARCHIVE = 1, 2, 4, 8, 16, 32
ATTR_LONG = 0x0F
LOWER_BASE, LOWER_EXT = 0x08, 0x10  # the Windows NT case flags
_FORBIDDEN = frozenset('"*/:<>?\\|') | frozenset(map(chr, range(32)))
_SHORT_OK = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")
MAX_NAME = 255  # UTF-16 units


def fold(name: str) -> str:
    """The form under which names are the same: upper case, character by character as Windows does it."""
    if name.isascii():
        return name.upper()
    return "".join(u if len(u := c.upper()) == 1 else c for c in name)


def clean(name: str) -> str:
    """The name as it is stored: trailing dots fall away. OSError(EINVAL, ENAMETOOLONG) if it cannot be."""
    stored = name.rstrip(".")
    if not stored or stored.endswith(" ") or _FORBIDDEN & set(stored):
        raise OSError(errno.EINVAL, f"{name!r} is no name for a file on a FAT volume")
    try:
        units = len(stored.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        raise OSError(errno.EINVAL, f"{name!r} is not Unicode") from None
    if units > MAX_NAME:
        raise OSError(errno.ENAMETOOLONG, f"a name has at most {MAX_NAME} UTF-16 units, this one {units}")
    return stored


def as_short(name: str) -> bytes | None:
    """The eleven bytes of a name that is a valid 8.3 name in upper case, else None (it needs a long name)."""
    base, dot, extension = name.partition(".")
    if not 1 <= len(base) <= 8 or (dot and not 1 <= len(extension) <= 3):
        return None
    if not (_SHORT_OK.issuperset(base) and _SHORT_OK.issuperset(extension)):
        return None
    return base.ljust(8).encode("ascii") + extension.ljust(3).encode("ascii")


def short_alias(name: str, taken: Container[bytes], hints: dict[bytes, int]) -> bytes:
    """An 8.3 alias for a long name that is not in `taken` (fatgen103, The Basis-Name Generation Algorithm).

    `hints` remembers per basis the number to try next, so that thousands of alike names cost nothing extra.
    """
    stripped = name.lstrip(".")
    base, dot, extension = stripped.rpartition(".")
    if not dot:
        base, extension = stripped, ""
    lossy = stripped != name or len(stripped) == 0
    parts = []
    for text, limit in ((base, 8), (extension, 3)):
        out = []
        for char in text:
            upper = char.upper() if char.isascii() else "_"
            if char in " .":
                lossy = True
                continue
            if upper not in _SHORT_OK or not char.isascii():
                lossy = True
                upper = "_"
            out.append(upper)
        if len(out) > limit:
            lossy = True
        parts.append("".join(out[:limit]))
    first, second = parts
    first = first or "_"
    plain = first.ljust(8).encode("ascii") + second.ljust(3).encode("ascii")
    if not lossy and plain not in taken:
        return plain
    basis = first[:6].encode("ascii") + b"." + second.encode("ascii")
    number = hints.get(basis, 1)
    while number < 1_000_000:
        tail = f"~{number}"
        alias = (first[: 8 - len(tail)] + tail).ljust(8).encode("ascii") + second.ljust(3).encode("ascii")
        number += 1
        if alias not in taken:
            hints[basis] = number
            return alias
    raise OSError(errno.EEXIST, f"no short name is left for {name!r}")


def short_text(raw: bytes, case: int = 0) -> str:
    """The name in the eleven bytes of an entry, with the case flags applied; code page 437."""
    base = raw[:8].decode("cp437").rstrip(" ")
    if raw[0] == 0x05:  # stands for 0xE5, which would say "deleted"
        base = b"\xe5".decode("cp437") + base[1:]
    extension = raw[8:11].decode("cp437").rstrip(" ")
    if case & LOWER_BASE:
        base = base.lower()
    if case & LOWER_EXT:
        extension = extension.lower()
    text = f"{base}.{extension}" if extension else base
    if not text.strip("."):
        return "_"  # no name at all, or one that means a directory
    return "".join("_" if c == "/" or c < " " else c for c in text)


def checksum(short: bytes) -> int:
    """The checksum over the eleven bytes that ties long entries to their short one (fatgen103, ChkSum)."""
    total = 0
    for byte in short:
        total = (((total & 1) << 7) + (total >> 1) + byte) & 0xFF
    return total


def long_entries(name: str, short: bytes) -> bytes:
    """The entries of a long name, last part first, as they stand before the short entry."""
    units = name.encode("utf-16-le")
    count = -(-len(units) // 26)
    padded = units
    if len(units) % 26:
        padded = (units + b"\0\0").ljust(count * 26, b"\xff")
    check = checksum(short)
    out = bytearray()
    for number in range(count, 0, -1):
        part = padded[(number - 1) * 26 : number * 26]
        order = number | (0x40 if number == count else 0)
        out += struct.pack(
            "<B10sBBB12sH4s", order, part[:10], ATTR_LONG, 0, check, part[10:22], 0, part[22:26]
        )
    return bytes(out)


def long_text(parts: list[bytes]) -> str:
    """The name in the parts (26 bytes each, first part first) of a long name; "" if it is no usable one."""
    raw = b"".join(parts)
    for at in range(0, len(raw), 2):
        if raw[at : at + 2] == b"\0\0":
            raw = raw[:at]
            break
    text = raw.decode("utf-16-le", errors="replace")
    if len(raw) > MAX_NAME * 2 or not text or "/" in text or text in (".", ".."):
        return ""
    return text


def short_date(when: float) -> int:
    """A FAT date: years since 1980, month, day."""
    t = gmtime(_within(when))
    return (t.tm_year - 1980) << 9 | t.tm_mon << 5 | t.tm_mday


def short_time(when: float) -> int:
    """A FAT time: hours, minutes, units of two seconds."""
    t = gmtime(_within(when))
    return t.tm_hour << 11 | t.tm_min << 5 | min(t.tm_sec, 59) >> 1


def seconds(date: int, clock: int) -> float:
    """Seconds since 1970 of a FAT date and time; 0 where they are no time."""
    year, month, day = 1980 + (date >> 9), date >> 5 & 15, date & 31
    hour, minute, second = clock >> 11, clock >> 5 & 63, (clock & 31) * 2
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60):
        return 0.0
    return float(timegm((year, month, day, hour, minute, second)))


def _within(when: float) -> float:
    return min(max(when, 315532800.0), 4354819198.0)  # 1980-01-01 … 2107-12-31
