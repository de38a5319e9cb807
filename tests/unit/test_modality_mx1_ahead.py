"""The next image is opened while the present one is answered, and nothing that is wrong with it is told too soon."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pynetdicom.dimse_primitives import C_ECHO, C_STORE

from modality.config import Peer
from modality.dicom.association import Watch, _listen, answered, ask
from modality.dicom.transfer import _Ahead, _store
from modality.notices import ServiceFailure
from modality.pixel import EXPLICIT_LE, IMPLICIT_LE, PixelError, Source
from modality.products.mx1.config import Mx1Config
from tests.unit.test_modality_us_objects_lab import master, write


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = []
    for kind in ("us-colour", "us-gray", "sc"):
        (folder := tmp_path / kind).mkdir()
        made.append(write(master(kind, rows=13, columns=11), folder))
    return made


def _data_set(path: Path) -> bytes:
    with Source(path) as source:
        return path.read_bytes()[source.start :]


def _sent(ahead: _Ahead, number: int) -> bytes:
    with ahead.image(number) as image:
        return b"".join(image.pieces)


def test_what_was_opened_ahead_is_what_is_sent(files: list[Path], tmp_path: Path) -> None:
    ahead = _Ahead([(path, EXPLICIT_LE) for path in files], tmp_path)
    wanted = [_data_set(path) for path in files]
    assert _sent(ahead, 0) == wanted[0]
    ahead.open(1)
    files[1].unlink()  # open already
    assert _sent(ahead, 1) == wanted[1]
    with pytest.raises(FileNotFoundError):
        _sent(ahead, 1)  # used once
    ahead.open(1)
    assert _sent(ahead, 2) == wanted[2]  # never another one's data
    ahead.open(3)  # behind the last


def test_an_image_that_is_not_sent_is_passed_over(files: list[Path], tmp_path: Path) -> None:
    ahead = _Ahead([(files[0], EXPLICIT_LE), (files[1], None), (files[2], EXPLICIT_LE)], tmp_path)
    wanted = _data_set(files[2])
    ahead.open(1)
    files[2].unlink()
    assert _sent(ahead, 2) == wanted


def test_another_syntax_is_made_in_its_turn(files: list[Path], tmp_path: Path) -> None:
    ahead = _Ahead([(path, IMPLICIT_LE) for path in files], tmp_path)
    ahead.open(1)
    sent = _sent(ahead, 1)
    assert sent != _data_set(files[1])
    assert sent == _sent(_Ahead([(files[1], IMPLICIT_LE)], tmp_path), 0)


def test_a_broken_image_is_told_in_its_turn(files: list[Path], tmp_path: Path) -> None:
    files[1].write_bytes(b"nothing")
    files[2].unlink()
    ahead = _Ahead([(path, EXPLICIT_LE) for path in files], tmp_path)
    ahead.open(1)
    with pytest.raises(PixelError, match="no DICOM file"):
        _sent(ahead, 1)
    ahead.open(2)
    with pytest.raises(FileNotFoundError):
        _sent(ahead, 2)


def test_the_next_one_is_opened_between_request_and_answer(files: list[Path], tmp_path: Path) -> None:
    ahead = _Ahead([(path, EXPLICIT_LE) for path in files], tmp_path)
    wanted = [_data_set(path) for path in files]
    sent: list[bytes] = []

    class Pipe:
        def send(self, context_id: int, command: bytes, pieces: Any) -> None:
            sent.append(b"".join(pieces))

    def answer(block: bool) -> tuple[int, Any]:
        files[1].unlink(missing_ok=True)  # from here on only what is open can be read
        return 1, SimpleNamespace(Status=0, MessageIDBeingRespondedTo=1)

    association = SimpleNamespace(dimse=SimpleNamespace(get_msg=answer))
    config = Mx1Config(data_dir=tmp_path, control=tmp_path / "c")
    pipe: Any = Pipe()
    status = _store(config, Peer("p", "P", "h"), association, pipe, ahead, 1, 1, "in image 1 of 3")
    assert (status.Status, sent) == (0, wanted[:1])
    assert _sent(ahead, 1) == wanted[1]


@pytest.mark.parametrize(
    ("kind", "number", "instance", "taken"),
    [
        (C_STORE, 7, "2.25.7", True),
        (C_STORE, 7, None, True),  # it need not name the image
        (C_STORE, 6, "2.25.7", False),
        (C_STORE, None, "2.25.7", False),
        (C_STORE, 7, "2.25.1", False),
        (C_ECHO, 7, None, False),
    ],
    ids=[
        "its own",
        "without instance",
        "an earlier request",
        "a request",
        "another image",
        "another service",
    ],
)
def test_an_answer_to_something_else_is_none(
    kind: type, number: int | None, instance: str | None, taken: bool, files: list[Path], tmp_path: Path
) -> None:
    """A peer that answers twice would have the next image taken for stored."""
    came = kind()
    came.Status, came.MessageIDBeingRespondedTo = 0, number
    if instance:
        came.AffectedSOPInstanceUID = instance
    association: Any = SimpleNamespace(
        dimse=SimpleNamespace(get_msg=lambda block=False: (1, came)), watch=Watch()
    )
    config, pipe = Mx1Config(data_dir=tmp_path, control=tmp_path / "c"), SimpleNamespace(send=lambda *_: None)
    peer, ahead = Peer("p", "P", "h"), _Ahead([(path, EXPLICIT_LE) for path in files * 3], tmp_path)
    _listen(association, association.watch)
    ask(association, C_STORE, 7, "2.25.7")
    status = _store(config, peer, association, pipe, ahead, 1, 7, "in image 7 of 9")  # type: ignore[arg-type]
    if taken:
        assert answered(config, peer, "storage", association, status, "in image 7 of 9") == 0
        return
    with pytest.raises(ServiceFailure, match="no answer to the request"):
        answered(config, peer, "storage", association, status, "in image 7 of 9")
