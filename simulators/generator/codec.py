"""The generator's serial grammar, without a line: bytes in, frames or garbage out.

The grammar is that of Spellman's PMX medical generator (118165-001 Rev A) and its relatives:
``<STX=02><two digit command><,><argument><,>...<CSUM><ETX=03>``, 19200 8N1, no handshaking.

Rules of this file:

* CSUM = two's complement of the 16-bit sum of everything between STX and CSUM, & 0x7F, | 0x40.  So it is
  always 0x40..0x7F and never looks like STX or ETX.
* Any bytes in any chunking give a list of :class:`Frame` and :class:`Garbage`, never an exception, and the
  memory held is at most :data:`MAX_BODY` + 2 bytes.
* STX always begins a new frame: a half frame before it is garbage.  Bytes outside a frame are garbage
  too, told once per run of them.
* No clock: a half frame waits until more comes; who owns a clock may :meth:`Decoder.reset`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

STX: Final = 0x02
ETX: Final = 0x03
MAX_BODY: Final = 126
"""Longest accepted frame between STX and ETX; the longest frame of the dialect has about 60 bytes."""

Why = Literal["noise", "interrupted", "too long", "malformed", "checksum"]


@dataclass(frozen=True)
class Frame:
    """One frame with a good checksum: the two digit command and its arguments."""

    command: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True)
class Garbage:
    """Bytes that are no frame.

    For ``checksum`` the frame was whole and ``command`` holds its first field if that is two digits: the
    protocol's own answer to it is error code 1.
    """

    why: Why
    size: int
    sample: bytes
    command: str = ""


def checksum(body: bytes) -> int:
    """Return the checksum byte (0x40..0x7F) of the bytes between STX and CSUM."""
    return ((-sum(body)) & 0x7F) | 0x40


def encode(command: str, *args: str | int) -> bytes:
    """Return the bytes of one frame; every argument is followed by a comma.

    Raises :class:`ValueError` for text that could not be read back.
    """
    fields = [command, *(str(a) for a in args)]
    if len(command) != 2 or not (command.isascii() and command.isdigit()):
        raise ValueError(f"a command is two digits, not {command!r}")
    if any("," in f or not f.isascii() or not f.isprintable() for f in fields):
        raise ValueError(f"arguments must be printable ASCII without a comma: {fields!r}")
    body = (",".join(fields) + ",").encode("ascii")
    if len(body) + 1 > MAX_BODY:
        raise ValueError(f"frame of {len(body)} bytes is too long")
    return bytes([STX]) + body + bytes([checksum(body), ETX])


class Decoder:
    """Turns received bytes into frames; one per line."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inside = False
        self._skipped = 0

    @property
    def held(self) -> int:
        """Bytes held at this moment, at most ``MAX_BODY + 2``."""
        return len(self._buffer)

    def reset(self) -> None:
        """Forget a half frame."""
        self._buffer.clear()
        self._inside = False
        self._skipped = 0

    def feed(self, data: bytes) -> list[Frame | Garbage]:
        """Take received bytes; return what became whole, in order."""
        out: list[Frame | Garbage] = []
        for byte in data:
            if byte == STX:
                self._flush("interrupted" if self._inside else "noise", out)
                self._inside = True
            elif not self._inside:
                self._skipped += 1
                if len(self._buffer) < 16:
                    self._buffer.append(byte)
            elif byte == ETX:
                out.append(_parse(bytes(self._buffer)))
                self._buffer.clear()
                self._inside = False
            else:
                self._buffer.append(byte)
                if len(self._buffer) > MAX_BODY:
                    self._flush("too long", out)
        if not self._inside:
            self._flush("noise", out)
        return out

    def _flush(self, why: Why, out: list[Frame | Garbage]) -> None:
        size = len(self._buffer) + 1 if self._inside else self._skipped
        if size:
            out.append(Garbage(why, size, bytes(self._buffer[:16])))
        self._buffer.clear()
        self._inside = False
        self._skipped = 0


def _parse(inner: bytes) -> Frame | Garbage:
    """Read what stood between STX and ETX."""
    sample = inner[:16]
    if len(inner) < 4:
        return Garbage("malformed", len(inner) + 2, sample)
    body, check = inner[:-1], inner[-1]
    first = body[:2]
    command = first.decode("ascii") if first.isdigit() and body[2:3] == b"," else ""
    if check != checksum(body):
        return Garbage("checksum", len(inner) + 2, sample, command)
    if not command or any(not 0x20 <= b < 0x7F for b in body):
        return Garbage("malformed", len(inner) + 2, sample, command)
    fields = body.decode("ascii").split(",")
    if fields[-1] == "":  # the trailing comma; frames without it are accepted as real devices do
        fields.pop()
    return Frame(command, tuple(fields[1:]))
