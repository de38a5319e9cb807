"""What a volume actor refuses, without any mount: configuration, faults, commands, backends."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import doctor
from bench.kinds import KINDS
from bench.volumes import backends
from bench.volumes.actor import Config, create
from bench.volumes.backends import Backend, NoBackend, best, probe
from bench.volumes.config import Shape, reshaped
from bench.volumes.media import take_away
from bench.volumes.trouble import FAULTS, check
from simulators.base import CommandError, Simulator

MB = 1 << 20


def values(folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "name": "usb",
        "mount": str(folder / "in" / "usb"),
        "image": str(folder / "media" / "usb.img"),
        "size": 32 * MB,
        "backend": "image",
        **more,
    }


@pytest.fixture
def events() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture
def stick(tmp_path: Path, events: list[tuple[str, dict[str, Any]]]) -> Iterator[Simulator]:
    def emit(kind: str, /, **data: Any) -> None:
        assert kind in KINDS
        events.append((kind, data))

    (tmp_path / "in").mkdir()
    actor = create(Config.from_dict(values(tmp_path)), emit)
    yield actor
    actor.stop()


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"sise": 1}, "did you mean 'size'"),
        ({"size": 1000}, "size must be"),
        ({"size": 9 * MB + 1}, "multiple of 512"),
        ({"format": "NTFS"}, "format must be one of"),
        ({"label": "äöü"}, "label"),
        ({"mount": "relative"}, "absolute"),
        ({"content": ["emty"]}, "did you mean 'empty'"),
        ({"format": "none", "content": ["files:3"]}, "unformatted"),
        ({"inserted": 1}, "inserted must be true or false"),
        ({"backend": "magic"}, "backend must be one of"),
        ({"name": ""}, "name is missing"),
    ],
)
def test_wrong_configuration_is_named(tmp_path: Path, wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Config.from_dict(values(tmp_path, **wrong))


@pytest.mark.parametrize(
    "more", [{"protected": True}, {"format": "none"}, {"content": ["corrupt-fat"]}, {"backend": "folder"}]
)
def test_a_folder_promises_nothing_it_cannot_keep(tmp_path: Path, more: dict[str, Any]) -> None:
    config = Config.from_dict(values(tmp_path, **({"protected": True} | more)))
    with pytest.raises(ValueError, match=r"cannot .*; fuse can"):
        create(config, lambda kind, /, **data: None)


def test_life_of_a_folder(stick: Simulator, tmp_path: Path, events: list[tuple[str, dict[str, Any]]]) -> None:
    told = stick.start()
    assert told["backend"] == "image"
    assert told["cannot_prove"]
    place = tmp_path / "in" / "usb"
    assert place.is_dir()
    (place / "A.TXT").write_text("a")
    with pytest.raises(CommandError, match="in already"):
        stick.command("insert", {})
    assert stick.command("remove", {})["inserted"] is False
    assert not place.exists()
    with pytest.raises(CommandError, match="not in"):
        stick.command("remove", {})
    stick.command("format", {"label": "ANEW"})
    stick.command("insert", {})
    assert list(place.iterdir()) == []
    stick.command("replace_content", {"content": ["files:4"]})
    assert sorted(p.name for p in place.iterdir()) == ["DCIM", "Documents"]
    stick.stop()
    assert not place.exists()
    assert (tmp_path / "media" / "usb.img").stat().st_size == 32 * MB
    stick.start()
    assert sorted(p.name for p in place.iterdir()) == ["DCIM", "Documents"], "a stop does not empty it"
    kinds = [kind for kind, _ in events]
    assert kinds == ["volume.inserted", "volume.removed"] * 3 + ["volume.inserted"]


def test_wrong_commands_are_refused(stick: Simulator, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not started"):
        stick.command("state", {})
    stick.start()
    for verb, args, text in (
        ("melt", {}, "cannot 'melt'"),
        ("format", {"size": 5}, "size must be"),
        ("format", {"fat": 5}, "unknown key"),
        ("replace_content", {}, "give content"),
        ("remove", {"timeout": "x"}, "timeout"),
        ("watch", {"id": "w", "written_bytes": 5}, "fuse backend does"),
        ("watch", {"id": "w"}, "give id"),
        ("arm", {"id": "1", "fault": "full", "args": {}}, "the fuse backend can"),
        ("arm", {"id": "1", "fault": "yank", "args": {"at_bytes": 5}}, "sees no bytes"),
        ("arm", {"id": "1"}, "give id and fault"),
    ):
        with pytest.raises(CommandError, match=text):
            stick.command(verb, args)
    assert (tmp_path / "in" / "usb").is_dir()


@pytest.mark.parametrize(
    ("fault", "args", "text"),
    [
        ("yankk", {}, "did you mean 'yank'"),
        ("yank", {"lose": "most"}, "lose"),
        ("yank", {"at": 1}, "unknown argument"),
        ("slow", {}, "rate is missing"),
        ("slow", {"rate": 0}, "rate"),
        ("wear", {"after_reads": True}, "after_reads"),
        ("io_error", {"on": "both"}, "read or write"),
        ("full", {"leave": -1}, "leave"),
    ],
)
def test_wrong_faults_are_named(fault: str, args: dict[str, Any], text: str) -> None:
    with pytest.raises(CommandError, match=text):
        check(fault, args, "fuse")


def test_every_fault_has_its_defaults() -> None:
    given = {"slow": {"rate": 1000}, "wear": {"after_reads": 3}}
    for fault, known in FAULTS.items():
        assert set(check(fault, given.get(fault, {}), "fuse")) == set(known)


def test_backends_are_in_order_and_say_what_they_cannot_prove() -> None:
    found = probe()
    assert [backend.name for backend in found] == ["block", "fuse", "image", "folder"]
    counts = [len(backend.cannot_prove) for backend in found]
    assert counts == sorted(counts)
    assert all(backend.why for backend in found)
    chosen = best()
    assert chosen.available
    assert chosen == next(backend for backend in found if backend.available)
    assert best("folder").name == "folder"
    with pytest.raises(NoBackend, match="there is no volume backend"):
        best("magic")


def test_a_missing_right_is_said_and_the_next_best_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "can_mount", lambda: "no right to mount FUSE: Operation not permitted")
    assert best("auto").name == "image"
    with pytest.raises(NoBackend, match="Operation not permitted; run as root"):
        best("fuse")


def test_the_doctor_names_every_backend() -> None:
    items = {item.name: item for item in doctor.examine() if item.name.startswith("volumes: ")}
    assert list(items) == [f"volumes: {backend.name}" for backend in probe()]
    chosen = [item for item in items.values() if "(chosen)" in item.found]
    assert [item.name for item in chosen] == [f"volumes: {best().name}"]
    assert all(isinstance(backend, Backend) for backend in probe())


def test_a_medium_filled_anew_keeps_its_clusters() -> None:
    """What a step does not name stays as the scenario's setup made it."""
    shape = reshaped(Shape(), {"size": 40_000_000 // 512 * 512, "format": "FAT32", "cluster": 512})
    assert reshaped(shape, {"label": "NEW"}).cluster == 512
    assert reshaped(shape, {"cluster": 1024}).cluster == 1024
    with pytest.raises(ValueError, match="cluster"):
        reshaped(shape, {"cluster": 100})


def test_the_place_of_a_medium_that_is_out_goes_though_somebody_writes_there(tmp_path: Path) -> None:
    """A product that has not seen yet that the medium was pulled out must not be left with a plain folder."""
    place = tmp_path / "usb"
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            with contextlib.suppress(OSError):
                (place / f"F{number % 500}").write_bytes(b"x")

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(20):
            place.mkdir()
            deadline = time.monotonic() + 20
            while len(list(place.iterdir())) < 20:
                assert time.monotonic() < deadline
            assert take_away(place)
            assert list(tmp_path.glob("usb")) == []
    finally:
        over.set()
        for writer in writers:
            writer.join(10)
    assert take_away(place) == []
