"""What the MX1 does when archives refuse, fail or break off: warnings, nothing lost, never two associations at once."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_NAME = "modality_mx1_bench"
if _NAME not in sys.modules:
    _spec = importlib.util.spec_from_file_location(_NAME, Path(__file__).with_name(f"{_NAME}.py"))
    assert _spec
    assert _spec.loader
    sys.modules[_NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_NAME])
mx1: Any = sys.modules[_NAME]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Any]:
    with mx1.Mx1Bench(tmp_path, {"size": "640x480"}) as made:
        yield made


def _exam(bench: Any, clip: bool = True) -> list[dict[str, Any]]:
    """One still, one screen, one clip; the exam is complete."""
    operator = bench.operator
    bench.exam()
    images = [operator.do("capture_still"), operator.do("capture_still", of="screen")]
    if clip:
        images.append(operator.do("capture_clip", frames=4))
    operator.do("complete")
    return images


@pytest.mark.parametrize(
    ("taken", "still", "clip"),
    [
        ([mx1.IMPLICIT], mx1.IMPLICIT, mx1.IMPLICIT),
        ([mx1.BIG], mx1.BIG, mx1.BIG),
        ([mx1.EXPLICIT, mx1.IMPLICIT], mx1.EXPLICIT, mx1.EXPLICIT),
        ([mx1.LOSSLESS, mx1.BASELINE], mx1.LOSSLESS, mx1.BASELINE),
        ([mx1.BASELINE], mx1.BASELINE, mx1.BASELINE),
    ],
)
def test_an_archive_gets_the_best_of_what_it_takes(
    bench: Any, taken: list[str], still: str, clip: str
) -> None:
    bench.pacs(transfer_syntaxes=taken)
    operator = bench.start()
    images = _exam(bench)
    assert operator.do("queue", wait=60)["jobs"][0]["state"] == "sent"
    got = [bench.stored()[i["sop_instance"]].file_meta.TransferSyntaxUID for i in images]
    assert got == [still, still, clip]
    assert operator.warnings() == []


def test_an_image_that_the_archive_takes_in_no_syntax_is_told_and_the_others_go(bench: Any) -> None:
    bench.pacs(transfer_syntaxes=[mx1.LOSSLESS])
    operator = bench.start()
    images = _exam(bench)
    job = operator.do("queue", wait=60)["jobs"][0]
    assert [i["state"] for i in job["images"]] == ["sent", "sent", "failed"]
    assert job["state"] == "failed"
    warning = operator.warnings()[0]
    assert (warning["service"], warning["sop_instance"]) == ("storage", images[2]["sop_instance"])
    assert set(bench.stored()) == {i["sop_instance"] for i in images[:2]}


def test_all_contexts_refused(bench: Any) -> None:
    bench.pacs(sop_classes=["1.2.840.10008.5.1.4.1.1.1.1"])
    operator = bench.start()
    _exam(bench)
    job = operator.do("queue", wait=60)["jobs"][0]
    assert (job["state"], job["waits_for_operator"]) == ("queued", True)
    (warning,) = operator.warnings()
    assert warning["contexts"] == [3] * 8
    assert {i["state"] for i in operator.do("exam_state")["exam"]["images"]} == {"accepted"}


def test_a_status_of_failure_keeps_the_image_and_the_set_goes_on(bench: Any) -> None:
    archive = bench.pacs()
    archive.command(
        "arm", {"id": "f", "fault": "status", "args": {"on": "C-STORE-RQ", "status": "A700", "count": 1}}
    )
    operator = bench.start()
    images = _exam(bench)
    job = operator.do("queue", wait=60)["jobs"][0]
    assert [i["status"] for i in job["images"]] == ["A700", "0000", "0000"]
    assert operator.warnings()[0]["status"] == "A700"
    assert operator.do("send", wait=60)["done"]
    assert set(bench.stored()) == {i["sop_instance"] for i in images}
    assert len(bench.log.of("pacs.stored")) == 3  # only the one that failed went again


@pytest.mark.parametrize("fault", ["abort", "close"])
def test_a_clip_broken_off_in_the_middle_is_sent_again(bench: Any, fault: str) -> None:
    archive = bench.pacs()
    bench.settings(storage_syntax={"clip": "explicit"})
    archive.command("arm", {"id": "f", "fault": fault, "args": {"on": "C-STORE-RQ", "at_bytes": 2_000_000}})
    operator = bench.start()
    bench.exam()
    clip = operator.do("capture_clip", frames=20)  # 6 MB
    operator.do("complete")
    job = operator.do("queue", wait=60)["jobs"][0]
    assert (job["state"], job["waits_for_operator"]) == ("queued", True)
    (warning,) = operator.warnings()
    assert warning["service"] == "storage"
    assert "in image 1 of 1" in warning["text"]
    assert bench.stored() == {}
    assert operator.do("send", wait=60)["done"]
    got = bench.stored()[clip["sop_instance"]]
    assert mx1.sha256(got.PixelData) == clip["sha256"]


@pytest.mark.parametrize(("at_bytes", "word"), [(1_000_000, "idle"), (None, "dimse")])
def test_an_archive_that_falls_silent_is_given_up(bench: Any, at_bytes: int | None, word: str) -> None:
    archive = bench.pacs()
    bench.settings(
        storage_syntax={"clip": "explicit"},
        timeouts={"connect": 15, "association": 15, "dimse": 1, "idle": 1.5},
    )
    when = {"at_bytes": at_bytes} if at_bytes else {}
    archive.command("arm", {"id": "f", "fault": "stall", "args": {"on": "C-STORE-RQ", **when}})
    operator = bench.start()
    bench.exam()
    operator.do("capture_clip", frames=60)  # 18 MB: more than all buffers on the way
    operator.do("complete")
    job = operator.do("queue", wait=60)["jobs"][0]
    assert (job["state"], job["waits_for_operator"]) == ("queued", True)
    (warning,) = operator.warnings()
    assert warning["timeout"] in (word, "idle")
    archive.command("disarm", {"id": "f"})
    operator.do("configure", timeouts={"dimse": 30, "idle": 30})
    assert operator.do("send", wait=60)["done"]


def test_a_killed_console_keeps_its_images_and_sends_when_told(bench: Any) -> None:
    archive = bench.pacs()
    archive.command("arm", {"id": "f", "fault": "stall", "args": {"on": "C-STORE-RQ", "at_bytes": 100_000}})
    operator = bench.start()
    images = _exam(bench)
    bench.log.wait("fault.fired")
    bench.console.kill()
    archive.command("disarm", {"id": "f"})
    operator = bench.restart()
    state = operator.do("exam_state")
    assert state["recovered"]["interrupted"] == 1
    assert [i["sop_instance"] for i in state["exam"]["images"]] == [i["sop_instance"] for i in images]
    assert operator.do("queue")["jobs"][0]["waits_for_operator"]
    assert operator.do("send", wait=60)["done"]
    assert set(bench.stored()) == {i["sop_instance"] for i in images}


def test_one_association_at_a_time_to_each_archive(bench: Any) -> None:
    tap = bench.pacs(tapped=True)
    other = bench.pacs("second", tapped=True)
    bench.settings(auto_send="accept", storage_syntax={"clip": "explicit"})
    bench.start()
    bench.exam()
    bench.operator.do("capture_clip", frames=20)
    echoes = [threading.Thread(target=_verify, args=(bench,)) for _ in range(4)]
    for thread in echoes:
        thread.start()
    for _ in range(3):
        bench.operator.do("capture_still")
    for thread in echoes:
        thread.join(60)
    assert bench.operator.do("queue", wait=60)["idle"]
    assert len(tap.requests) == 8
    assert (tap.most_open, other.most_open) == (1, 1)


def _verify(bench: Any) -> None:
    operator = mx1.peers.Operator(bench.console.socket)
    operator.do("verify", peer="pacs")
    operator.close()


def test_an_ipv6_peer_is_refused_and_nothing_is_opened(bench: Any) -> None:
    bench.pacs()
    operator = bench.start()
    answer = operator.ask("configure", storage=[{"name": "six", "ae_title": "X", "host": "::1", "port": 104}])
    assert not answer["ok"]
    assert "IPv4" in answer["error"]


def test_without_a_picture_there_is_no_image(tmp_path: Path) -> None:
    with mx1.Mx1Bench(tmp_path) as bench:
        operator = bench.start()
        bench.exam()
        for verb, args in (("capture_still", {}), ("capture_clip", {"frames": 3}), ("freeze", {})):
            answer = operator.ask(verb, **args)
            assert not answer["ok"]
            assert "internal error" not in answer["error"]
        assert not operator.ask("complete")["ok"]
        assert operator.do("discontinue")["images"] == []


@pytest.mark.parametrize(
    ("verb", "args", "said"),
    [
        ("capture_still", {"of": "moon"}, "moon"),
        ("capture_clip", {}, "frames or seconds"),
        ("capture_clip", {"frames": -1}, "frames"),
        ("capture_clip", {"frames": 3, "start_trim": 9}, "start_trim"),
        ("export", {"medium": "floppy"}, "floppy"),
        ("export", {"medium": "usb", "exam": "none"}, "none"),
        ("add", {}, "medium is missing"),
        ("freeze", {"on": "perhaps"}, "on"),
        ("prepare", {"view": "PA"}, "unknown verb"),
        ("knobs", {"warp": 9}, "warp"),
    ],
)
def test_nonsense_is_refused_with_its_name(bench: Any, verb: str, args: dict[str, Any], said: str) -> None:
    usb = bench.folder / "usb"
    usb.mkdir()
    bench.settings(media={"usb": str(usb)})
    operator = bench.start()
    bench.exam()
    operator.do("capture_still")
    answer = operator.ask(verb, **args)
    assert not answer["ok"]
    assert said in answer["error"]
    assert "internal error" not in answer["error"]


@pytest.mark.parametrize(
    ("syntax", "damage"),
    [(mx1.EXPLICIT, "cut"), (mx1.IMPLICIT, "garbage"), (mx1.BASELINE, "cut"), (mx1.LOSSLESS, "gone")],
)
def test_an_image_that_cannot_be_read_keeps_no_other_back(bench: Any, syntax: str, damage: str) -> None:
    bench.pacs(transfer_syntaxes=[syntax])
    bench.settings(auto_send="off")
    operator = bench.start()
    bench.exam()
    images = [operator.do("capture_still") for _ in range(3)]
    operator.do("complete")
    file = bench.folder / "data" / "images" / f"{images[1]['sop_instance']}.dcm"
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(whole[:-1000] if damage == "cut" else b"\xff" * len(whole))
    for _ in range(2):
        operator.do("send", wait=60)
    (job,) = operator.do("queue", wait=60)["jobs"]
    assert [image["state"] for image in job["images"]] in (
        ["sent", "queued", "sent"],
        ["sent", "failed", "sent"],
    )
    assert set(bench.stored()) == {images[0]["sop_instance"], images[2]["sop_instance"]}
    assert all("cannot be sent" in warning["text"] for warning in operator.warnings())
    assert not operator.do("exam_state")["exam"]["sent"]
    file.write_bytes(whole)  # from a backup
    operator.do("send", wait=60)
    assert operator.do("queue", wait=60)["jobs"][0]["state"] == "sent"
    got = bench.stored()[images[1]["sop_instance"]]
    assert got.file_meta.TransferSyntaxUID == syntax
    assert len(bench.log.of("pacs.stored")) == 3
