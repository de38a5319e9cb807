"""Storage SCU that negotiates: each image in the best transfer syntax that the peer accepted for it (MX-STO-001 … 010).

Rules of this file:

* One association for a set; all contexts of the profile are proposed whatever is in the set (MX-D-01).
* An image goes in the first syntax of its preference that was accepted, made on the way out; the file on the disk
  stays as it is.
* 0000H and Bxxx count as sent, everything else as failed, and the set goes on (MX-D-08).  An image that the peer
  accepted no syntax for is reported without a status, and the set goes on.
* An image without an answer is *not sent*, whatever left this machine; an answer that names another request or another
  image is none, and ends the association.
* While the answer to an image is awaited the next one is opened: the link rests as shortly as the peer lets it.  What
  cannot be opened then is opened again, and told, in its turn.
* One request at a time (MX-STO-007); a peer that breaks off ends the writing at once.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.transport import AssociationSocket

from ..config import Config, Peer
from ..notices import ServiceFailure
from ..pixel import PixelError
from .association import answered, ask, associate, comment, lost
from .datapipe import DataPipe, TooShort
from .outgoing import Outgoing, outgoing, straight
from .storage import SERVICE, Begin, Report
from .uids import SYNTAX_NAMES

Preference = Callable[[str], Sequence[str]]
"""SOP class -> transfer syntaxes, best first."""
_PAUSE_S: Final = 0.0002
_PATIENCE_S: Final = 0.005


class _PromptSocket(AssociationSocket):  # type: ignore[misc]
    """pynetdicom's socket that waits for the peer instead of looking once in a millisecond.

    Answers are seen the moment they come, and nothing is polled beside the sending; what pynetdicom itself has to say
    (release, abort) goes at most :data:`_PATIENCE_S` later.
    """

    @property
    def ready(self) -> bool:
        sock = self.socket
        if sock is None or not self._is_connected:
            return False
        try:
            return bool(select.select([sock], [], [], _PATIENCE_S)[0])
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False


def send_set(
    config: Config,
    peer: Peer,
    images: Sequence[tuple[str, Path]],
    begin: Begin,
    report: Report,
    *,
    class_of: Callable[[str], str],
    preference: Preference,
    spool: Path,
) -> None:
    """Send a set of images over one association.

    Args:
        images: SOP instance UID and Part 10 file of each.
        begin: told once, before the first request.
        report: told of each answer at once, before the next request.
        class_of: the SOP class of an instance.
        preference: which syntax is wished for a SOP class.
        spool: folder for what is compressed on the way.

    Raises:
        ServiceFailure: the association could not be made or was lost; what was not reported is still to be sent.
    """
    with associate(config, peer, SERVICE) as association:
        accepted = {
            (str(cx.abstract_syntax), str(cx.transfer_syntax[0])): int(cx.context_id)
            for cx in association.accepted_contexts
        }
        sock = association.dul.socket.socket
        if sock is None:  # it ended as soon as it was there
            raise lost(config, peer, SERVICE, association, "before the first image")
        try:
            pipe = DataPipe(sock, association.acceptor.maximum_length, config.timeouts.idle)
        except TooShort as error:
            raise ServiceFailure(SERVICE, peer.name, f"{peer.name}: {error}") from error
        begin()
        try:
            _still(association)
            classes = [class_of(sop_instance) for sop_instance, _ in images]
            syntaxes = [
                next((uid for uid in preference(sop_class) if (sop_class, uid) in accepted), None)
                for sop_class in classes
            ]
            ahead = _Ahead(
                [(path, syntax) for (_, path), syntax in zip(images, syntaxes, strict=True)], spool
            )
            for number, (sop_instance, _) in enumerate(images, 1):
                sop_class, syntax = classes[number - 1], syntaxes[number - 1]
                if syntax is None:
                    report(sop_instance, None, _unserved(peer, number, len(images), preference(sop_class)))
                    continue
                when = f"in image {number} of {len(images)}"
                ask(association, C_STORE, number & 0xFFFF, sop_instance)
                status = _store(
                    config, peer, association, pipe, ahead, accepted[sop_class, syntax], number, when
                )
                code = answered(config, peer, SERVICE, association, status, when)
                report(sop_instance, code, comment(status))
        finally:
            pipe.close()
            association._reactor_checkpoint.set()


def _unserved(peer: Peer, number: int, count: int, wished: Sequence[str]) -> str:
    names = ", ".join(SYNTAX_NAMES[uid] for uid in wished)
    return f"{peer.name}: image {number} of {count} was not sent: the archive takes it in none of {names}"


def _still(association: Any) -> None:
    """Keep pynetdicom's association thread from taking the answers, as its own ``send_c_store`` does."""
    association.dul.socket.__class__ = _PromptSocket
    association.dul._run_loop_delay = 0
    association._reactor_checkpoint.clear()
    while not association._is_paused and association.is_alive():
        time.sleep(_PAUSE_S)


class _Ahead:
    """The images of a set, the next one of which can be opened before its turn."""

    def __init__(self, images: Sequence[tuple[Path, str | None]], spool: Path) -> None:
        self._images, self._spool = images, spool
        self._opened: tuple[int, Outgoing] | None = None

    def open(self, number: int) -> None:
        """Open the image of this number, or the first one after it that is sent, if it goes as it lies on the disk."""
        for at, (path, syntax) in enumerate(self._images[number:], number):
            if syntax is not None:
                with suppress(PixelError, OSError):
                    image = straight(path, syntax)
                    self._opened = None if image is None else (at, image)
                return

    def image(self, number: int) -> AbstractContextManager[Outgoing]:
        """The image of this number on its way out; see :func:`modality.dicom.outgoing.outgoing`."""
        opened, self._opened = self._opened, None
        path, syntax = self._images[number]
        assert syntax is not None, "only what the peer accepted is sent"
        return outgoing(path, syntax, self._spool, opened[1] if opened and opened[0] == number else None)


def _store(
    config: Config,
    peer: Peer,
    association: Any,
    pipe: DataPipe,
    ahead: _Ahead,
    context: int,
    message: int,
    when: str,
) -> Dataset:
    """One C-STORE; the answer's status, empty when none came.

    Raises:
        ServiceFailure: the file cannot be sent, or the connection ended while it was.
    """
    try:
        with ahead.image(message - 1) as image:
            command = _command(image.sop_class, image.sop_instance, message)
            try:
                pipe.send(context, command, image.pieces)
            except OSError as error:
                if isinstance(error, TimeoutError):
                    text = f"{peer.name}: the peer takes no data for {config.timeouts.idle:g} s {when}"
                    raise ServiceFailure(SERVICE, peer.name, text, timeout="idle") from error
                raise lost(config, peer, SERVICE, association, when) from error
    except (PixelError, FileNotFoundError, PermissionError) as error:
        text = f"{peer.name}: image {message} cannot be sent: {error}"
        raise ServiceFailure(SERVICE, peer.name, text) from error
    ahead.open(message)
    _, answer = association.dimse.get_msg(block=True)
    if answer is None or getattr(answer, "Status", None) is None:
        return Dataset()
    status = Dataset()
    status.Status = int(answer.Status)
    said = getattr(answer, "ErrorComment", None)
    if said:
        status.ErrorComment = str(said)
    return status


def _command(sop_class: str, sop_instance: str, message: int) -> bytes:
    """The command set of a C-STORE-RQ (PS3.7 9.3.1.1), Implicit VR Little Endian."""

    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHI", 0, number, len(value)) + value

    body = (
        element(0x0002, sop_class.encode("ascii"))
        + element(0x0100, struct.pack("<H", 1))  # C-STORE-RQ
        + element(0x0110, struct.pack("<H", message & 0xFFFF))
        + element(0x0700, struct.pack("<H", 0))  # priority: medium
        + element(0x0800, struct.pack("<H", 1))  # a data set follows
        + element(0x1000, sop_instance.encode("ascii"))
    )
    return element(0x0000, struct.pack("<I", len(body))) + body
