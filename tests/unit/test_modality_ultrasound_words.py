"""What the front end says about itself and what is drawn: settings, regions, counting, clips, letters."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest

from modality.ultrasound import Frame, Region, ScannerError, Settings, UltrasoundConfig
from modality.ultrasound.cine import Cine, Recording, frame_time_ms, make_clip
from modality.ultrasound.geometry import read_settings
from modality.ultrasound.igtl import Message, Picture, Refused, Status, Text
from modality.ultrasound.intake import CALM, Intake
from modality.ultrasound.knobs import UNANSWERED, Requests, read_answer
from modality.ultrasound.lettering import drawable, romanise
from modality.ultrasound.overlay import legible
from modality.ultrasound.teller import MOST, Teller

TISSUE = {
    "kind": "tissue",
    "rectangle": [2, 3, 60, 40],
    "units": ["mm", "mm"],
    "delta": [0.4, 0.4],
    "reference": [29.5, -2.25],
    "value": [0.0, 0.0],
}


def said(*regions: Any, **top: Any) -> str:
    knobs = {
        "depth": 160.0,
        "gain": 0.0,
        "dynamic_range": 60.0,
        "freeze": False,
        "probe": "C5-2",
        "mode": "B",
    }
    geometry = {"width": 64, "height": 48, "components": 1, "spacing_mm": 0.4, "regions": list(regions)}
    values = {"model": "US-1", "serial": "1", "fps": 30.0, "from": 1, "knobs": knobs, "number": 1}
    return json.dumps({**values, "geometry": geometry, **top})


# -------------------------------------------------------------------------------- settings and regions


def test_units_become_those_of_the_standard_and_nothing_else_changes() -> None:
    settings, left_out = read_settings(said(TISSUE))
    assert left_out == ()
    (region,) = settings.regions
    assert region == Region(
        1, 1, 0, 2, 3, 60, 40, 3, 3, region.delta_x, region.delta_y, 30, 0, *region.value(32, 3)
    )
    assert (region.delta_x, region.delta_y) == (pytest.approx(0.04), pytest.approx(0.04))
    assert region.value(2 + 29.5, 3 - 2.25) == pytest.approx((0.0, 0.0))
    assert region.reference_value_x == pytest.approx(0.5 * 0.04)
    assert region.reference_value_y == pytest.approx(2.25 * 0.04)


@pytest.mark.parametrize(
    ("kind", "units", "codes"),
    [
        ("tissue", ["mm", "mm"], (1, 1, 1, 3, 3)),
        ("colour", ["cm", "cm"], (1, 2, 0, 3, 3)),
        ("motion", ["s", "mm"], (2, 1, 0, 4, 3)),
        ("spectrum", ["s", "mm/s"], (3, 3, 0, 4, 7)),
        ("spectrum", ["ms", "Hz"], (3, 3, 4, 4, 5)),
        ("spectrum", ["s", "cm/s"], (3, 3, 0, 4, 7)),
    ],
)
def test_codes_of_the_standard(kind: str, units: list[str], codes: tuple[int, ...]) -> None:
    regions = ({**TISSUE, "kind": kind, "units": units}, {**TISSUE, "kind": "colour"})
    region = read_settings(said(*regions))[0].regions[0]
    assert (region.spatial_format, region.data_type, region.flags, region.units_x, region.units_y) == codes


@pytest.mark.parametrize(
    "flaw",
    [
        {"kind": "elastography"},
        {"units": ["mm", "furlong"]},
        {"delta": [0.4, 0.0]},
        {"delta": [0.4, float("nan")]},
        {"delta": [0.4]},
        {"delta": [0.4, True]},
        {"rectangle": [2, 3, 64, 40]},
        {"rectangle": [2, 3, 2, 40]},
        {"rectangle": [2.5, 3, 60, 40]},
        {"reference": None},
        {"value": ["0", "0"]},
    ],
)
def test_a_region_that_cannot_be_is_left_out_and_named(flaw: dict[str, Any]) -> None:
    settings, left_out = read_settings(said({**TISSUE, **flaw}, TISSUE))
    assert len(settings.regions) == 1
    assert len(left_out) == 1
    assert left_out[0].startswith("region 1: ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "depth=16",
        "[]",
        "{}",
        said(knobs={}),
        said(geometry=[]),
        said(number="1"),
        said(fps=None),
        "[" * 60000,
        "x" * 70000,
    ],
)
def test_settings_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_settings(text)


# -------------------------------------------------------------------------------- counting


class Desk:
    """An intake and its warnings."""

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.intake = Intake(lambda code, text: self.codes.append(code))
        self.intake.joined()
        self.intake.text(Text(said(TISSUE)))

    def picture(
        self, sequence: int | None, shape: tuple[int, ...] = (48, 64), spacing: float = 0.4, **meta: str
    ) -> Frame | None:
        matrix = (spacing, 0, 0, 0, spacing, 0, 0, 0, 1, 0, 0, 0)
        metadata = meta if sequence is None else {"sequence": str(sequence), **meta}
        message = Message(
            Picture(np.zeros(shape, np.uint8), matrix), "IMAGE", "Image_Probe", 0, 2, 0, metadata
        )
        assert isinstance(message.content, Picture)
        return self.intake.picture(message, message.content, 0.0)


def test_gaps_are_lost_pictures_and_refused_ones_are_not() -> None:
    desk = Desk()
    desk.picture(1)
    desk.picture(5)
    desk.picture(7)
    assert (desk.intake.dropped, desk.codes) == (4, ["pictures-lost"])
    desk.picture(8)
    desk.intake.refuse(Refused("IMAGE", "Image_Probe", "checksum", True))
    desk.intake.refuse(Refused("IMAGE", "Image_Probe", "checksum", True))
    desk.picture(12)
    assert (desk.intake.dropped, desk.intake.refused) == (5, 2)
    assert desk.codes == ["pictures-lost", "picture-spoiled"]
    for n in range(13, 13 + CALM):
        desk.picture(n)
    desk.picture(100)
    assert desk.codes == ["pictures-lost", "picture-spoiled", "pictures-lost"]


def test_a_repeated_picture_is_refused_and_a_new_count_is_no_loss() -> None:
    desk = Desk()
    assert desk.picture(7) is not None
    assert desk.picture(7) is None
    again = desk.picture(1)
    assert again is not None
    assert (again.connection, desk.intake.dropped, desk.intake.refused) == (2, 0, 1)


def test_who_numbers_nothing_is_counted() -> None:
    desk = Desk()
    frames = [desk.picture(None), desk.picture(None)]
    assert [f.sequence for f in frames if f] == [1, 2]


@pytest.mark.parametrize(
    "other",
    [{"shape": (40, 64)}, {"shape": (48, 64, 3)}, {"spacing": 0.5}, {"geometry": "2"}, {"mode": "PW"}],
)
def test_a_picture_that_does_not_fit_its_settings_is_not_calibrated(other: dict[str, Any]) -> None:
    desk = Desk()
    good = desk.picture(1, geometry="1")
    assert good is not None
    assert len(good.settings.regions) == 1
    frame = desk.picture(2, **other)
    assert frame is not None
    assert (frame.settings.regions, frame.settings.spacing_mm) == ((), (0.0, 0.0))
    assert (frame.settings.depth_mm, frame.settings.probe) == (0.0, "")
    assert (frame.mode, frame.settings.fps) == (other.get("mode", ""), 30.0)
    assert (frame.settings.rows, frame.settings.columns) == frame.pixels.shape[:2]
    assert desk.intake.wanting
    desk.picture(3, **other)
    assert desk.codes == ["calibration"]
    assert not frame.like(good)
    fourth, fifth = desk.picture(4, geometry="4"), desk.picture(5, geometry="5")
    assert fourth is not None
    assert fifth is not None
    assert not fourth.like(fifth)  # both without calibration, and not alike for that


def test_the_probe_is_told_and_strange_states_too() -> None:
    desk = Desk()
    assert desk.intake.status(Status(16, "NoProbe", "")) is True
    assert desk.intake.status(Status(16, "NoProbe", "")) is False
    assert not desk.intake.plugged
    assert desk.intake.status(Status(13, "NotReady", "warming up")) is False
    assert desk.codes == ["status"]
    assert desk.intake.status(Status(1, "", "C5-2")) is True
    assert desk.intake.text(Text("nonsense")) is None
    assert desk.codes == ["status", "settings"]


def test_regions_that_are_left_out_are_told_once_whatever_is_wrong_with_them() -> None:
    desk = Desk()
    for n in range(50):
        desk.intake.text(Text(said({**TISSUE, "kind": f"kind {n}"})))
    assert desk.codes == ["region"]
    desk.intake.text(Text(said(TISSUE)))
    desk.intake.text(Text(said({**TISSUE, "kind": "another"})))
    assert desk.codes == ["region", "region"]


# -------------------------------------------------------------------------------- knobs


def requests(sent: list[bytes]) -> tuple[Requests, threading.Condition]:
    changed = threading.Condition(threading.RLock())

    def send(data: bytes) -> bool:
        sent.append(data)
        return True

    return Requests(send, changed), changed


def test_a_late_answer_is_not_that_of_the_next_question() -> None:
    """Header version 1 has no numbers: answers come in the order that was asked, also those nobody waits for now."""
    sent: list[bytes] = []
    asked, changed = requests(sent)
    with changed:
        with pytest.raises(ScannerError) as error:
            asked.ask({"gain": 1}, 0.0, lambda: True, 1)
        assert error.value.code == "frontend-silent"
        late = threading.Timer(0.05, lambda: _answer(asked, changed, [(10, "no"), (1, "")]))
        late.start()
        asked.ask({"depth": 100}, 10.0, lambda: True, 1)  # the refusal was that of the first
        late.join()
        assert (asked._open, asked._unwaited) == ({}, set())
        for _ in range(500):
            asked.tell({"gain": 1}, 1)
        assert len(asked._open) == len(asked._unwaited) == UNANSWERED
        asked.forget()
        assert (asked._open, asked._unwaited) == ({}, set())


def _answer(asked: Requests, changed: threading.Condition, answers: list[tuple[int, str]]) -> None:
    with changed:
        for code, text in answers:
            asked.answered(None, code, text)


def test_an_answer_is_read_or_it_is_none() -> None:
    assert read_answer('{"code": 1, "text": "depth=100"}') == (1, "depth=100")
    assert read_answer('{"code": 10}') == (10, "")
    for text in ("", "1", "[1]", '{"code": true}', '{"code": 1e999}', '{"code": "1"}', "[" * 9000):
        assert read_answer(text) is None


# -------------------------------------------------------------------------------- events


def test_events_that_nobody_takes_do_not_pile_up() -> None:
    """States and warnings make room; what an operator did is told whatever happens."""
    told: list[tuple[str, dict[str, Any]]] = []
    teller = Teller(lambda kind, data: told.append((kind, data)))
    teller.post("barcode", {"text": "A"})
    for n in range(5 * MOST):
        teller.post("state", {"n": n})
    teller.post("footswitch", {"pressed": True})
    teller.open()
    teller.close()
    assert len(told) == MOST
    assert (told[0], told[-1][0]) == (("barcode", {"text": "A"}), "footswitch")
    assert [d["n"] for k, d in told if k == "state"] == list(range(4 * MOST + 2, 5 * MOST))


# -------------------------------------------------------------------------------- memory and clips


def frame(
    sequence: int, *, size: int = 10, connection: int = 1, ms: float = 0.0, depth: float = 100.0
) -> Frame:
    pixels = np.full((1, size), sequence % 256, np.uint8)
    return Frame(pixels, sequence, 0.0, Settings(depth_mm=depth, fps=25.0), int(ms * 1e6), connection)


def test_the_cine_memory_forgets_the_oldest() -> None:
    cine = Cine(5, 35)
    for n in range(10):
        cine.add(frame(n))
    assert (len(cine), cine.bytes) == (3, 30)
    small = Cine(5, 10_000)
    for n in range(10):
        small.add(frame(n))
    assert len(small) == 5
    tiny = Cine(5, 1)
    tiny.add(frame(1))
    assert len(tiny) == 1
    assert tiny.find(1) is not None
    assert tiny.find(2) is None


def test_looking_back_stops_where_the_picture_was_another() -> None:
    cine = Cine(100, 10_000)
    for one in (frame(1, size=5), frame(2), frame(3), frame(5), frame(6)):
        cine.add(one)
    newest = cine.newest
    assert newest is not None

    def run(until: Frame, count: int | None, span: int | None) -> tuple[list[int], bool]:
        frames, whole = cine.run(until, Recording(count, span))
        return [f.sequence for f in frames], whole

    assert run(newest, 10, None) == ([2, 3, 5, 6], False)
    assert run(newest, 4, None) == ([2, 3, 5, 6], True)
    assert run(newest, 2, None) == ([5, 6], True)
    assert run(newest, None, 4) == ([3, 5, 6], True)
    assert run(newest, None, 3) == ([5, 6], True)  # the first of the three numbers was lost
    assert run(newest, None, 5) == ([2, 3, 5, 6], True)
    assert run(newest, None, 6) == ([2, 3, 5, 6], False)
    assert run(cine._frames[2], 2, None) == ([2, 3], True)
    cine.add(frame(1, connection=2))
    newest = cine.newest
    assert newest is not None
    assert run(newest, 10, None) == ([1], False)


def test_a_recording_knows_its_end() -> None:
    by_count = Recording(3, None)
    for n in (4, 6, 9, 10):
        by_count.add(frame(n))
    assert ([f.sequence for f in by_count.frames], by_count.ended) == ([4, 6, 9], "whole")
    by_span = Recording(None, 4)
    for n in (4, 6, 9):
        by_span.add(frame(n))
    assert ([f.sequence for f in by_span.frames], by_span.ended) == ([4, 6], "whole")
    mixed = Recording(9, None)
    for one in (frame(1), frame(2), frame(3, depth=50.0), frame(4)):
        mixed.add(one)
    assert ([f.sequence for f in mixed.frames], mixed.ended) == ([1, 2], "picture-changed")


def test_a_recording_takes_no_more_than_its_memory() -> None:
    recording = Recording(9, None, 25)
    for n in range(1, 6):
        recording.add(frame(n))
    assert ([f.sequence for f in recording.frames], recording.ended) == ([1, 2], "memory")
    one = Recording(9, None, 5)
    one.add(frame(1))
    assert len(one.frames) == 1


def test_gaps_and_time_between_pictures() -> None:
    clip = make_clip([frame(n, ms=40.5 * n) for n in (1, 2, 5, 6, 8)], "whole")
    assert clip.gaps == ((3, 4), (7, 7))
    assert (clip.missing, clip.first, clip.last, clip.frame_time_ms) == (3, 1, 8, 40.0)
    assert frame_time_ms([frame(n, ms=100.0 * n) for n in range(6)]) == 100.0
    assert frame_time_ms([frame(1)]) == 40.0


# -------------------------------------------------------------------------------- letters


@pytest.mark.parametrize(
    ("kana", "latin"),
    [
        ("ヤマダ", "yamada"),
        ("キョウコ", "kyouko"),
        ("シュンジ", "shunji"),
        ("ジョウ", "jou"),
        ("チャチャ", "chacha"),
        ("ホッカイドウ", "hokkaidou"),
        ("マッチャ", "matcha"),
        ("ファーラー", "fara"),
        ("ケンイチ", "kenichi"),
    ],
)
def test_kana_in_latin_letters(kana: str, latin: str) -> None:
    assert romanise(kana) == latin


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("YAMADA^TARO 山田^太郎", "YAMADA TARO"),
        ("やまだ ﾀﾛｳ", "Yamada Tarou"),
        ("Müller-Łukasz", "Muller-Lukasz"),
        ("山田", ""),
        ("ID 患者7 42 mm", "ID 42 mm"),
        ("Иванов", ""),
        ("ＡＢＣ１２", "ABC12"),
    ],
)
def test_nothing_rather_than_a_wrong_sign(text: str, drawn: str) -> None:
    assert legible(text) == drawn
    assert "?" not in drawable(text, lambda sign: sign.isascii())


# -------------------------------------------------------------------------------- configuration


def test_settings_of_the_console_are_checked() -> None:
    made = UltrasoundConfig.from_settings(
        {"address": "10.0.0.2", "stall_s": 2, "footswitch": "rfc2217://h:1"}
    )
    assert (made.port, made.stall_s) == (18944, 2)
    for wrong, words in (
        ({"adress": "x"}, "did you mean 'address'"),
        ({"port": "1"}, "must be int"),
        ({"port": 70000}, "1-65535"),
        ({"cine_bytes": 0}, "more than 0"),
        ({"stall_s": True}, "must be float"),
    ):
        with pytest.raises(ValueError, match=words):
            UltrasoundConfig.from_settings(wrong)
