"""Mutants of the reference console, each with one defect that would matter in a hospital.

Rules of this file:

* Nothing of the console is imported or known: a mutant sits at the seams that the console shares with everybody else,
  pynetdicom's associations, pydicom's files, sockets, and its own settings file.
* One mutant is one defect.  It says ``mutant NAME acts`` on standard error (the console's log) when it does harm.
* Loaded inside the console's process by ``sitecustomize``; the tests know the names only.
"""

from __future__ import annotations

import collections
import ctypes
import pathlib
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

Act = Callable[[], None]
"""Called by a mutant in the moment in which it does harm."""
Change = Callable[[Any], None]
"""Changes a data set before it is sent."""
MUTANTS: Final[dict[str, Callable[[Act], None]]] = {}


def make(name: str) -> None:
    """Turn this process into the mutant of that name."""

    def act() -> None:
        print(f"mutant {name} acts", file=sys.stderr, flush=True)

    MUTANTS[name](act)


def mutant(make_it: Callable[[Act], None]) -> Callable[[Act], None]:
    """Enter a mutant under its function's name."""
    MUTANTS[make_it.__name__] = make_it
    return make_it


# ---------------------------------------------------------------------- what is sent to the archive


def _changed_file(path: Path, change: Change) -> Path:
    """A changed copy of an image beside the original, under a name that nobody asks for."""
    import pydicom

    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    copy = path.with_suffix(".changed")
    dataset.save_as(copy)
    return copy


def _around_store(send: Callable[..., Any]) -> None:
    """Put ``send(original, association, path, **rest)`` in the place of pynetdicom's C-STORE."""
    from pynetdicom.association import Association

    original = Association.send_c_store

    def send_c_store(self: Any, dataset: Any, msg_id: int = 1, **rest: Any) -> Any:
        return send(original, self, Path(dataset), msg_id=msg_id, **rest)

    Association.send_c_store = send_c_store


def _image_with(act: Act, change: Change) -> None:
    """Every image is changed on its way out; what the console says about it stays as it was."""

    def send(original: Any, association: Any, path: Path, **rest: Any) -> Any:
        act()
        return original(association, _changed_file(path, change), **rest)

    _around_store(send)


def _success() -> Any:
    from pydicom.dataset import Dataset

    status = Dataset()
    status.Status = 0
    return status


@mutant
def other_patient(act: Act) -> None:
    """The image carries the PatientID of the patient before."""
    _image_with(act, lambda image: setattr(image, "PatientID", "004710"))


@mutant
def no_accession(act: Act) -> None:
    """The image's Accession Number is empty."""
    _image_with(act, lambda image: setattr(image, "AccessionNumber", ""))


@mutant
def other_study(act: Act) -> None:
    """The image begins a study of its own instead of the ordered one."""
    _image_with(act, lambda image: setattr(image, "StudyInstanceUID", "2.25.1234567890"))


@mutant
def other_step(act: Act) -> None:
    """The image says that another procedure step made it."""

    def change(image: Any) -> None:
        image.ReferencedPerformedProcedureStepSequence[0].ReferencedSOPInstanceUID = "2.25.1234567890"

    _image_with(act, change)


@mutant
def romaji_only(act: Act) -> None:
    """Of a name in three representations only the alphabetic one reaches the image."""
    _image_with(act, lambda image: setattr(image, "PatientName", str(image.PatientName).split("=")[0]))


@mutant
def wrong_view(act: Act) -> None:
    """A PA image says AP: the heart would be read as too large."""
    _image_with(act, lambda image: setattr(image, "ViewPosition", "AP"))


@mutant
def wrong_side(act: Act) -> None:
    """The image says that its rows run to the patient's right."""
    _image_with(act, lambda image: setattr(image, "PatientOrientation", ["R", "F"]))


@mutant
def wrong_dose(act: Act) -> None:
    """The exposure time in the image is ten times the real one."""
    _image_with(act, lambda image: setattr(image, "ExposureTime", int(image.ExposureTime) * 10))


@mutant
def one_pixel(act: Act) -> None:
    """One pixel of the image differs by one grey level."""

    def change(image: Any) -> None:
        pixels = bytearray(image.PixelData)
        pixels[len(pixels) // 2 & ~1] ^= 1
        image.PixelData = bytes(pixels)

    _image_with(act, change)


@mutant
def views_swapped(act: Act) -> None:
    """In an exam of several images a lateral says PA and a PA says lateral."""
    swap = {"PA": "LL", "LL": "PA"}
    _image_with(act, lambda image: setattr(image, "ViewPosition", swap[image.ViewPosition]))


@mutant
def sent_twice(act: Act) -> None:
    """The image is sent twice."""

    def send(original: Any, association: Any, path: Path, **rest: Any) -> Any:
        original(association, path, **rest)
        act()
        return original(association, path, **rest)

    _around_store(send)


@mutant
def new_uid_on_resend(act: Act) -> None:
    """The second attempt sends the image under a new SOP Instance UID: two images of one exposure."""
    tried: set[Path] = set()

    def send(original: Any, association: Any, path: Path, **rest: Any) -> Any:
        if path in tried:
            act()
            path = _changed_file(path, lambda image: setattr(image, "SOPInstanceUID", "2.25.1234567890"))
        tried.add(path)
        return original(association, path, **rest)

    _around_store(send)


@mutant
def rejected_sent(act: Act) -> None:
    """A rejected image is kept and sent with the others."""
    unlink = pathlib.Path.unlink
    kept: list[Path] = []

    def keep(self: Path, missing_ok: bool = False) -> None:
        if self.suffix == ".dcm" and self.exists():
            kept.append(self.rename(self.with_suffix(".kept")))
        else:
            unlink(self, missing_ok=missing_ok)

    def send(original: Any, association: Any, path: Path, **rest: Any) -> Any:
        listening = vars(association.dimse)
        ear = listening.pop("get_msg", None)  # a console that means to send it does not wonder at its answer
        while kept:
            act()
            original(association, kept.pop(), **rest)
        if ear is not None:
            listening["get_msg"] = ear
        return original(association, path, **rest)

    pathlib.Path.unlink = keep  # type: ignore[method-assign]
    _around_store(send)


@mutant
def refusal_ignored(act: Act) -> None:
    """A failure status of the archive is taken as success."""

    def send(original: Any, association: Any, path: Path, **rest: Any) -> Any:
        status = original(association, path, **rest)
        if status.get("Status"):
            act()
            return _success()
        return status

    _around_store(send)


@mutant
def abort_ignored(act: Act) -> None:
    """An association that the archive aborts in the middle of an image counts as success."""

    def send(original: Any, association: Any, path: Path, **rest: Any) -> Any:
        status = original(association, path, **rest)
        if "Status" not in status:
            act()
            return _success()
        return status

    _around_store(send)


@mutant
def own_associations(act: Act) -> None:
    """Every image of a set goes over an association of its own."""
    used: set[int] = set()

    def send(original: Any, association: Any, path: Path, **rest: Any) -> Any:
        if id(association) not in used:
            used.add(id(association))
            return original(association, path, **rest)
        act()
        peer = association.acceptor
        other = association.ae.associate(
            peer.address, peer.port, contexts=association.requestor.requested_contexts, ae_title=peer.ae_title
        )
        status = original(other, path)
        other.release()
        return status

    _around_store(send)


@mutant
def aborts_instead_of_releasing(act: Act) -> None:
    """Associations end with an abort."""
    from pynetdicom.association import Association

    def release(self: Any) -> None:
        act()
        self.abort()

    Association.release = release


# ---------------------------------------------------------------------- what is said to the RIS


def _around_n_set(send: Callable[..., Any]) -> None:
    from pynetdicom.association import Association

    original = Association.send_n_set

    def send_n_set(self: Any, dataset: Any, *args: Any, **rest: Any) -> Any:
        return send(lambda: original(self, dataset, *args, **rest), dataset)

    Association.send_n_set = send_n_set


@mutant
def no_n_set(act: Act) -> None:
    """The step is never closed, and the console believes that it was."""

    def send(original: Callable[[], Any], changes: Any) -> Any:
        act()
        return _success(), None

    _around_n_set(send)


def _series(image: str) -> Any:
    """A performed series of one image, as a RIS accepts it for a completed step."""
    from pydicom.dataset import Dataset

    reference, series = Dataset(), Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    reference.ReferencedSOPInstanceUID = image
    series.PerformingPhysicianName = series.OperatorsName = series.RetrieveAETitle = ""
    series.ProtocolName = series.SeriesDescription = "Chest PA"
    series.SeriesInstanceUID = "2.25.1234567891"
    series.ReferencedImageSequence = [reference]
    series.ReferencedNonImageCompositeSOPInstanceSequence = []
    return series


@mutant
def completed_anyway(act: Act) -> None:
    """A discontinued step is closed as completed."""

    def send(original: Callable[[], Any], changes: Any) -> Any:
        if changes.PerformedProcedureStepStatus == "DISCONTINUED":
            act()
            changes.PerformedProcedureStepStatus = "COMPLETED"
            changes.PerformedSeriesSequence = [_series("2.25.1234567890")]
        return original()

    _around_n_set(send)


@mutant
def step_names_other_image(act: Act) -> None:
    """The closed step names an image that was never sent in the place of the last one."""

    def send(original: Callable[[], Any], changes: Any) -> Any:
        act()
        changes.PerformedSeriesSequence[-1].ReferencedImageSequence[
            -1
        ].ReferencedSOPInstanceUID = "2.25.1234567890"
        return original()

    _around_n_set(send)


@mutant
def step_forgets_an_image(act: Act) -> None:
    """The closed step names one image fewer than were sent."""

    def send(original: Callable[[], Any], changes: Any) -> Any:
        act()
        images = changes.PerformedSeriesSequence[0].ReferencedImageSequence
        del images[-1]
        return original()

    _around_n_set(send)


@mutant
def step_of_other_patient(act: Act) -> None:
    """The announced step carries the PatientID of the patient before."""
    from pynetdicom.association import Association

    original = Association.send_n_create

    def send_n_create(self: Any, dataset: Any, *args: Any, **rest: Any) -> Any:
        act()
        dataset.PatientID = "004710"
        return original(self, dataset, *args, **rest)

    Association.send_n_create = send_n_create


@mutant
def asks_twice(act: Act) -> None:
    """The worklist is queried twice."""
    from pynetdicom.association import Association

    original = Association.send_c_find

    def send_c_find(self: Any, *args: Any, **rest: Any) -> Iterator[Any]:
        act()
        for _ in original(self, *args, **rest):
            pass
        yield from original(self, *args, **rest)

    Association.send_c_find = send_c_find


# ---------------------------------------------------------------------- what the operator sees and has set


@mutant
def silent(act: Act) -> None:
    """No warning reaches the operator."""
    sendall = socket.socket.sendall

    def quiet(self: socket.socket, data: Any, *flags: int) -> None:
        if self.family == socket.AF_UNIX and b'"event": "modality.warning"' in bytes(data):
            act()
        else:
            sendall(self, data, *flags)

    socket.socket.sendall = quiet  # type: ignore[method-assign, assignment]


def _settings() -> tuple[int, dict[str, Any]]:
    """Where the command line names the console's settings, and what they are."""
    import yaml

    place = sys.argv.index("--config") + 1
    return place, yaml.safe_load(Path(sys.argv[place]).read_text(encoding="utf-8"))


@mutant
def retries_by_itself(act: Act) -> None:
    """The console sends again by itself every second, whatever its settings say."""
    import yaml

    place = sys.argv.index("--config") + 1
    settings = Path(sys.argv[place])
    changed = Path(str(settings) + ".mutant")
    content = {
        **yaml.safe_load(settings.read_text(encoding="utf-8")),
        "auto_retry": True,
        "retry_interval": 1,
    }
    changed.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    sys.argv[place] = str(changed)
    act()


@mutant
def forgets_after_power_cut(act: Act) -> None:
    """Images that were not sent are gone after a restart."""
    for image in Path(_settings()[1]["data_dir"]).rglob("*.dcm"):
        act()
        image.unlink()


@mutant
def gives_up_early(act: Act) -> None:
    """A connection on which nothing goes for a third of a second is given up."""
    setsockopt = socket.socket.setsockopt

    def hasty(self: socket.socket, level: int, option: int, value: Any, *rest: int) -> None:
        if (level, option) == (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT):
            act()
            value = 300
        setsockopt(self, level, option, value, *rest)

    socket.socket.setsockopt = hasty  # type: ignore[method-assign, assignment]


# ---------------------------------------------------------------------- what the detector sends

_GVSP: Final = struct.Struct(">HHI")
_PAYLOAD, _TRAILER = 3, 2


@mutant
def holes_ignored(act: Act) -> None:
    """Packets of a frame that are lost are taken as black pixels instead of being asked for again."""
    load = ctypes.CDLL

    class PlainLibrary:
        """The C library of a system without ``recvmmsg``: datagrams come one by one through the socket."""

        def __init__(self, *args: Any, **rest: Any) -> None:
            self._library = load(*args, **rest)

        def __getattr__(self, name: str) -> Any:
            if name == "recvmmsg":
                raise AttributeError(name)
            return getattr(self._library, name)

    receive = socket.socket.recv_into
    waiting: collections.deque[bytes] = collections.deque()
    state = {"next": 0, "length": 0}

    def concealing(self: socket.socket, buffer: Any, *rest: Any) -> int:
        if self.type & socket.SOCK_DGRAM == 0:
            return receive(self, buffer, *rest)
        if not waiting:
            count = receive(self, buffer, *rest)
            status, block, info = _GVSP.unpack_from(buffer)
            kind, packet = info >> 24 & 0x7F, info & 0xFFFFFF
            if kind not in (_PAYLOAD, _TRAILER) or status >= 0x8000:
                state["next"] = 1
                return count
            if kind == _PAYLOAD and state["length"] == 0:
                state["length"] = count
            missing = range(state["next"], packet if state["length"] else state["next"])
            state["next"] = packet + 1
            if not missing:
                return count
            act()
            black = bytes(state["length"] - _GVSP.size)
            waiting.extend(
                _GVSP.pack(0, block, info >> 31 << 31 | _PAYLOAD << 24 | number) + black for number in missing
            )
            waiting.append(bytes(buffer[:count]))
        data = waiting.popleft()
        buffer[: len(data)] = data
        return len(data)

    ctypes.CDLL = PlainLibrary  # type: ignore[misc, assignment]
    socket.socket.recv_into = concealing  # type: ignore[method-assign, assignment]


__all__ = ["MUTANTS", "make"]
