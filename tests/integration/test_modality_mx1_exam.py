"""The MX1 from the worklist to the archive: what was on the probe is what is stored, in every transfer syntax."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
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


def _pixels(dataset: Any) -> Any:
    return dataset.pixel_array


@pytest.mark.parametrize(
    ("word", "syntax"),
    [
        ("explicit", mx1.EXPLICIT),
        ("implicit", mx1.IMPLICIT),
        ("big", mx1.BIG),
        ("jpeg", mx1.BASELINE),
        ("lossless", mx1.LOSSLESS),
    ],
)
def test_from_the_worklist_to_the_archive_in_every_syntax(bench: Any, word: str, syntax: str) -> None:
    bench.ris(mx1.item())
    bench.pacs()
    clip_word = "explicit" if word == "lossless" else word
    bench.settings(storage_syntax={"still": word, "clip": clip_word, "screen": word})
    operator = bench.start()
    assert operator.do("query_worklist")["count"] == 1
    operator.do("start_exam", AccessionNumber="A1")
    operator.do("freeze")
    still = operator.do("capture_still")
    screen = operator.do("capture_still", of="screen")
    operator.do("freeze", on=False)
    clip = operator.do("capture_clip", frames=4, start_trim=2)
    exam = operator.do("complete")
    assert operator.do("queue", wait=60)["jobs"][0]["state"] == "sent"
    assert operator.warnings() == []

    stored = bench.stored()
    assert set(stored) == {still["sop_instance"], screen["sop_instance"], clip["sop_instance"]}
    folder = bench.folder / "data" / "images"
    for claim, sop_class in ((still, mx1.US), (screen, mx1.SC), (clip, mx1.CLIP)):
        got = stored[claim["sop_instance"]]
        native = mx1.pydicom.dcmread(folder / f"{claim['sop_instance']}.dcm")
        assert mx1.sha256(native.PixelData) == claim["sha256"]
        assert claim["sop_class"] == got.SOPClassUID == sop_class
        wanted = mx1.EXPLICIT if word == "lossless" and claim is clip else syntax
        assert got.file_meta.TransferSyntaxUID == wanted
        if wanted == mx1.BASELINE:
            assert got.LossyImageCompression == "01"
            assert np.abs(_pixels(got).astype(int) - _pixels(native).astype(int)).mean() < 6
        else:
            assert np.array_equal(_pixels(got), _pixels(native))
        assert (got.PatientID, got.AccessionNumber, got.Modality) == ("PID-1", "A1", "US")
        assert got.StudyInstanceUID == "1.2.826.0.1.3680043.2.1" == exam["study_instance"]
        assert got.SoftwareVersions == "V1.20"
    # the pixels of still and clip are those that left the probe
    truth = {event["sequence"]: event["sha256"] for event in bench.log.of("ultrasound.frame")}
    assert still["raw_sha256"] == truth[still["sequence"]] == still["sha256"]
    frames = "".join(truth[number] for number in range(clip["first"], clip["last"] + 1))
    assert clip["raw_sha256"] == mx1.sha256(frames.encode())
    assert stored[clip["sop_instance"]].StartTrim == 2
    assert stored[clip["sop_instance"]].NumberOfFrames == 4


def test_proposals_identity_and_pdu_sizes(bench: Any) -> None:
    tap = bench.pacs(tapped=True, max_pdu=0)
    ris = bench.ris(mx1.item(), max_pdu=0)
    operator = bench.start()
    operator.do("verify", peer="pacs")
    three = (mx1.IMPLICIT, mx1.EXPLICIT, mx1.BIG)
    assert tap.contexts() == [("1.2.840.10008.1.1", three)]
    operator.do("query_worklist")
    assert ris.contexts() == [("1.2.840.10008.5.1.4.31", (mx1.IMPLICIT,))]
    bench.exam()
    operator.do("capture_still", of="screen")
    operator.do("complete")
    assert operator.do("queue", wait=30)["idle"]
    assert sorted((uid, len(syntaxes)) for uid, syntaxes in tap.contexts()) == sorted(
        [(mx1.CLIP, 3), (mx1.CLIP, 1), *[(uid, n) for uid in (mx1.US, mx1.SC) for n in (3, 1, 1)]]
    )
    assert (mx1.CLIP, (mx1.LOSSLESS,)) not in tap.contexts()
    for wire in (tap, ris):
        said = wire.user_information()
        assert int.from_bytes(said[0x51]) == 65536
        assert said[0x52] == b"1.2.392.200036.9107.804"
        assert said[0x55] == b"KM_SMGMX1_1.00"
        assert set(said) == {0x51, 0x52, 0x55}
    assert tap.longest() == 131072


@pytest.mark.parametrize(
    ("version", "limit", "longest"), [("1.10", 0, 20480), ("1.20", 4096, 4096), ("1.20", 16383, 16382)]
)
def test_pdus_are_never_longer_than_either_side_allows(
    bench: Any, version: str, limit: int, longest: int
) -> None:
    tap = bench.pacs(tapped=True, max_pdu=limit)
    bench.settings(version=version)
    operator = bench.start()
    bench.exam()
    claim = operator.do("capture_still")
    operator.do("complete")
    assert operator.do("queue", wait=30)["jobs"][0]["state"] == "sent"
    assert tap.longest() == longest
    got = bench.stored()[claim["sop_instance"]]
    assert mx1.sha256(got.PixelData) == claim["sha256"]
    assert got.SoftwareVersions == f"V{version}"


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 87", "ISO 2022 IR 13"], "Yamada^Tarou=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ"),
        (["ISO_IR 100"], "Müller^Jörg"),
        (["ISO_IR 192"], "Wang^XiaoDong=王^小东"),
        (["GB18030"], "Wang^XiaoDong=王^小东"),
    ],
)
def test_the_six_character_sets_from_the_worklist_and_from_the_keyboard(
    bench: Any, charset: list[str], name: str
) -> None:
    bench.ris(mx1.item(PatientName=name), charset="\\".join(charset))
    bench.pacs()
    bench.settings(charset=["ISO_IR 192"] if charset != ["ISO_IR 192"] else ["GB18030"])
    operator = bench.start()
    operator.do("query_worklist")
    operator.do("start_exam", AccessionNumber="A1")
    scheduled = operator.do("capture_still")
    operator.do("complete")
    operator.do("configure", charset=charset)
    bench.exam(PatientName=name, PatientID="P2")
    typed = operator.do("capture_still")
    operator.do("complete")
    assert operator.do("queue", wait=30)["idle"]
    for claim in (scheduled, typed):
        got = bench.stored()[claim["sop_instance"]]
        said = got.SpecificCharacterSet
        assert (list(said) if not isinstance(said, str) else [said]) == charset
        assert str(got.PatientName) == name


def test_worklist_keys_are_those_of_the_statement(bench: Any) -> None:
    bench.ris(mx1.item())
    operator = bench.start()
    operator.do("query_worklist", PatientName="Doe^J", AccessionNumber="A1")
    query = bench.log.wait("ris.queried")[0]["identifier"]
    step = query["00400100"]["Value"][0]
    assert query["00100010"]["Value"] == [{"Alphabetic": "Doe^J"}]  # as typed, without a wildcard
    assert query["00080050"]["Value"] == ["A1"]
    assert step["00400001"]["Value"] == ["MX1"]
    assert step["00080060"]["Value"] == ["US"]
    assert step["00400002"]["Value"] == [time.strftime("%Y%m%d")]
    assert "00080005" in query
    from bench.statements import load

    rows = [c.attribute for c in load("mx1").clauses if c.id.startswith(("MX-MWL-MK", "MX-MWL-RK"))]
    wanted = {(*row.path, row.tag) for row in rows if row is not None}

    def tags(dataset: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        for tag, element in dataset.items():
            here = (*path, f"({tag[:4]},{tag[4:]})")
            yield here
            for one in element.get("Value", []) if element["vr"] == "SQ" else []:
                yield from tags(one, here)

    assert set(tags(query)) == wanted


def test_foot_switch_freeze_key_and_barcode(tmp_path: Path) -> None:
    from simulators.ultrasound.contacts import BarcodeReader, Contacts

    with mx1.Mx1Bench(tmp_path, {"size": "640x480"}) as bench:
        contacts, reader = Contacts(bench.log), BarcodeReader(bench.log)
        line, codes = bench.run(contacts), bench.run(reader)
        bench.console.settings["ultrasound"] |= {
            "footswitch": f"rfc2217://127.0.0.1:{line['port']}",
            "barcode": f"socket://127.0.0.1:{codes['port']}",
        }
        bench.ris(mx1.item(), mx1.item(PatientID="PID-2", AccessionNumber="A2", PatientName="Roe^R"))
        operator = bench.start()

        def told(what: str) -> list[dict[str, Any]]:
            operator.do("queue")  # reads the events on the way
            return [e["data"] for e in operator.events if e["data"].get("what") == what]

        bench.until(lambda: reader.command("scan", {"text": "PID-2"})["delivered"])
        bench.until(lambda: operator.do("exam_state")["barcode"] == "PID-2")
        bench.until(lambda: bool(told("barcode")))
        assert told("barcode")[0]["text"] == "PID-2"
        assert [i["PatientID"] for i in operator.do("query_worklist")["items"]] == ["PID-2"]
        assert operator.do("exam_state")["barcode"] is None  # used once
        operator.do("start_exam", PatientID="PID-2")
        for _ in range(10):  # the console hears the pedal from some moment on; nobody is told which
            contacts.command("tap", {"contact": "footswitch"})
            with contextlib.suppress(AssertionError):
                bench.until(lambda: bool(operator.do("exam_state")["exam"]["images"]), 3)
                break
        assert operator.do("exam_state")["exam"]["images"][0]["kind"] == "still"
        contacts.command("tap", {"contact": "freeze"})
        bench.until(lambda: operator.do("exam_state")["acquisition"] == "frozen")


def test_export_and_add_are_judged_conforming(bench: Any) -> None:
    from bench.cli import main

    usb = bench.folder / "usb"
    bench.settings(media={"usb": str(usb), "sd": str(bench.folder / "sd")})
    operator = bench.start()
    bench.exam(PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
    first = operator.do("capture_still")
    operator.do("capture_still", of="screen")
    assert not operator.ask("export", medium="usb")["ok"]  # nothing is in
    assert operator.warnings()[-1]["code"] == "no-medium"
    assert operator.do("exam_state")["media"] == {"usb": False, "sd": False}
    usb.mkdir()
    saved = operator.do("export", medium="usb")
    assert (saved["action"], len(saved["files"])) == ("export", 2)
    again = operator.ask("export", medium="usb")
    assert not again["ok"]
    assert operator.warnings()[-1]["code"] == "exists"
    clip = operator.do("capture_clip", frames=3)
    more = operator.do("add", medium="usb", syntax="jpeg")
    assert [f["sop_instance"] for f in more["files"]] == [clip["sop_instance"]]
    assert more["files"][0]["syntax"] == mx1.BASELINE
    told = [e for e in operator.events if e["event"] == "modality.media"]
    assert [e["data"]["action"] for e in told] == ["export", "add"]
    for file in (*saved["files"], *more["files"]):
        data = usb.joinpath(*file["file_id"].split("/")).read_bytes()
        assert (mx1.sha256(data), len(data)) == (file["sha256"], file["bytes"])
    assert mx1.sha256((usb / "DICOMDIR").read_bytes()) == more["dicomdir_sha256"]
    images = operator.do("exam_state")["exam"]["images"]
    assert all(image["saved_on"] == ["usb"] for image in images)
    got = mx1.pydicom.dcmread(usb.joinpath(*saved["files"][0]["file_id"].split("/")))
    assert mx1.sha256(got.PixelData) == first["sha256"]
    assert got.file_meta.ImplementationClassUID == "1.2.392.200036.9107.700.1"
    config = bench.folder / "judge.yaml"
    config.write_text("medium: usb\n")
    assert main(["judge", str(usb), "--statement", "mx1", "--config", str(config)]) == 0


def test_discontinue_keeps_the_images_and_append_goes_on(bench: Any) -> None:
    bench.pacs()
    bench.settings(auto_send="off")
    operator = bench.start()
    started = bench.exam()
    operator.do("capture_still")
    ended = operator.do("discontinue", reason="patient left")
    assert ended["state"] == "discontinued"
    assert [image["state"] for image in ended["images"]] == ["accepted"]
    assert not operator.ask("capture_still")["ok"]
    appended = operator.do("append")
    assert appended["study_instance"] == started["study_instance"]
    operator.do("capture_still")
    operator.do("complete")
    assert operator.do("send", wait=30)["done"]
    assert len(bench.stored()) == 2
