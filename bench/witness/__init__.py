"""The witness: packet captures become associations, messages and data sets, with frame numbers and problems.

    from bench.witness import read
    capture = read("wire.pcapng")
    for association in capture.associations: ...

Rules of this package: it reads files and nothing else, takes part in nothing, shares no code with a SUT's DICOM
stack; whatever a capture holds, it says what it could not read and goes on (:mod:`bench.witness.problems`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path

from bench.witness.capture import NotACapture, Source
from bench.witness.levels import DEFAULT
from bench.witness.model import (
    Association,
    Capture,
    Command,
    Context,
    Conversation,
    Endpoint,
    Message,
    Pdu,
    Problem,
    Side,
    Tcp,
)
from bench.witness.talk import KNOWN_PORTS
from bench.witness.tcp import Reassembler

__all__ = [
    "Association",
    "Capture",
    "Command",
    "Context",
    "Conversation",
    "Endpoint",
    "Message",
    "NotACapture",
    "Pdu",
    "Problem",
    "Side",
    "Tcp",
    "read",
]


def read(
    *paths: str | PathLike[str],
    progress: Callable[[int, int], None] | None = None,
    digest: bool = False,
) -> Capture:
    """Read one capture, or several parts of one (they are put in order by their first frame).

    ``progress`` is called with (bytes read, bytes in all) a few times per MiB.  ``digest``: make the SHA-256 of all
    Pixel Data, which takes longer than everything else.

    Raises:
        NotACapture: a file is missing, unreadable or no capture.
    """
    if not paths:
        raise NotACapture("no file was given")
    files = [Path(path) for path in paths]
    if len(files) > 1:
        times = {path: Source.open(path).first_time() for path in files}
        files.sort(key=lambda path: (times[path] is None, times[path]))
    sources = [Source.open(path) for path in files]
    total = sum(source.size for source in sources)
    reassembler = Reassembler(replace(DEFAULT, digest=True) if digest else DEFAULT)
    firsts: list[int] = []
    before = 0
    for source in sources:
        firsts.append(reassembler.frames + 1)

        def tell(done: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        reassembler.read(source, tell if progress is not None else None)
        before += source.size
    reassembler.finish()
    associations = reassembler.associations
    associations.sort(key=lambda association: (association.first_frame, association.last_frame))
    for number, association in enumerate(associations, 1):
        # Nobody else has seen these values yet; to copy thousands of them for a number would be slow.
        object.__setattr__(association, "number", number)
        for message in association.messages:
            object.__setattr__(message, "association", number)
    problems = [problem for source in sources for problem in source.problems]
    problems += reassembler.remarks()
    spoken = {association.acceptor for association in associations}
    for conversation in reassembler.conversations:
        if conversation.bytes and (conversation.other in spoken or conversation.other.port in KNOWN_PORTS):
            text = f"the conversation of {conversation.opener} with {conversation.other} is not DICOM"
            what = "" if conversation.what == "unknown" else f" but {conversation.what}"
            problems.append(Problem("not-dicom", text + what, conversation.first_frame, offset=0))
    return Capture(
        files=tuple(path.name for path in files),
        frames=reassembler.frames,
        bytes=total,
        associations=tuple(associations),
        problems=tuple(problems),
        streams=tuple(sorted(reassembler.conversations, key=lambda conversation: conversation.first_frame)),
        first_time=reassembler.first_time,
        last_time=reassembler.last_time,
        first_frames=tuple(firsts),
        streams_left_out=reassembler.left_out,
    )
