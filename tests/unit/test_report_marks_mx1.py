"""The ladder's marks around an ultrasound console: probe, foot switch, barcode reader, media."""

from __future__ import annotations

from typing import Any

import pytest

from bench.journal import Event
from bench.report.ladder import ladder
from bench.report.marks import MAX_TEXT, Mark, mark, marks
from bench.results import CellResult
from bench.verdict import Verdict


def made(kind: str, **data: Any) -> Mark | None:
    return mark(Event(1, 0, "x", 1, kind, data))


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (
            "ultrasound.set",
            {"mode": "B", "depth": 160, "gain": 3},
            ("ultrasound", "B 160 mm, 3 dB", None, "quiet"),
        ),
        (
            "ultrasound.set",
            {"mode": "B", "depth": 160, "gain": 3, "freeze": True},
            ("ultrasound", "B 160 mm, 3 dB, frozen", None, "quiet"),
        ),
        (
            "ultrasound.probe",
            {"probe": "C5-2", "plugged": False},
            ("ultrasound", "probe C5-2 pulled", None, "bad"),
        ),
        (
            "ultrasound.probe",
            {"probe": "C5-2", "plugged": True},
            ("ultrasound", "probe C5-2 plugged in", None, "good"),
        ),
        ("ultrasound.refused", {"reason": "no such mode"}, ("ultrasound", "no such mode", None, "bad")),
        ("ultrasound.dropped", {"why": "fault"}, ("ultrasound", "picture not sent: fault", None, "warn")),
        ("panel.footswitch", {"pressed": True}, ("panel", "foot switch", "modality", "")),
        ("panel.freeze", {"pressed": True}, ("panel", "freeze key", "modality", "")),
        ("panel.barcode", {"text": "004711"}, ("panel", "barcode 004711", "modality", "")),
        (
            "volume.inserted",
            {"volume": "usb", "format": "FAT16", "label": "STICK", "size": 64_000_000},
            ("usb", "in: FAT16 STICK 64 MB", None, "good"),
        ),
        ("volume.removed", {"volume": "sd", "how": "clean"}, ("sd", "taken out", None, "quiet")),
        (
            "volume.removed",
            {"volume": "usb", "how": "yanked", "lost": 2000},
            ("usb", "pulled out, 2 kB lost", None, "bad"),
        ),
        ("volume.refused", {"volume": "usb", "why": "unformatted"}, ("usb", "unformatted", None, "warn")),
        ("volume.synced", {"volume": "usb", "written": 5000}, ("usb", "durable: 5 kB", None, "quiet")),
        (
            "modality.media",
            {"action": "export", "medium": "sd", "files": [{}, {}]},
            ("modality", "export: 2 files", "sd", "good"),
        ),
    ],
)
def test_what_happens_around_the_console_is_drawn(
    kind: str, data: dict[str, Any], said: tuple[str, str, str | None, str]
) -> None:
    found = made(kind, **data)
    assert found is not None
    assert (found.actor, found.text, found.to, found.tone) == said


def test_a_released_switch_and_a_picture_of_the_stream_are_not_drawn() -> None:
    assert made("panel.footswitch", pressed=False) is None
    assert made("ultrasound.frame", sequence=1, sha256="ab") is None


def test_synchronising_again_and_again_is_one_mark() -> None:
    events = [
        Event(n, n * 10**9, "usb", n, "volume.synced", {"volume": "usb", "written": n * 1000})
        for n in range(1, 6)
    ]
    (found,) = marks(events)
    assert found.times == 5
    assert found.seqs == (1, 2, 3, 4, 5)


def test_no_text_is_longer_than_the_drawing_and_a_claim_makes_no_column() -> None:
    """A state, a label or an action may be as long as a peer or the product likes."""
    long = "x" * 5000
    events = [
        Event(1, 0, "pacs", 1, "wire.associate", {"assoc": 1, "calling": long, "called": long}),
        Event(2, 1, "ris", 1, "ris.mpps_set", {"state": long}),
        Event(3, 2, "modality", 1, "modality.media", {"action": long, "medium": f"m-{long}", "files": []}),
        Event(4, 3, "usb", 1, "volume.inserted", {"volume": "usb", "label": long}),
    ]
    found = marks(events)
    assert len(found) == 4
    assert all(len(one.text) <= MAX_TEXT for one in found)
    cell = CellResult(id="x", scenario="s", file="f", line=1, verdict=Verdict.PASS, reason="", seconds=1)
    drawn = ladder(events, cell, "c1")
    assert ">m-x" not in drawn
    assert len(drawn) < 8_000
