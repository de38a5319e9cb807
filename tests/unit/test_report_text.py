"""Words and paths for people: durations, sizes, hidden characters, links."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report.text import safe_path, seconds, shorten, size, visible


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (0, "0 µs"), (0.000123, "123 µs"), (0.0012, "1.2 ms"), (0.0123, "12 ms"), (0.9994, "999 ms"),
        (0.9999, "1.00 s"), (1.236, "1.24 s"), (30, "30.0 s"), (120, "120 s"), (599.4, "599 s"), (784, "13 min 04 s"),
        (-0.5, "−500 ms"),
    ],
)  # fmt: skip
def test_seconds(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (18_876_032, "18.9 MB"), (2.5e9, "2.5 GB")],
)
def test_size(value: float | None, text: str) -> None:
    assert size(value) == text


def test_hidden_characters_become_visible() -> None:
    assert visible("a\x00\x1b\x7f\n") == "a␀␛␡␊"
    assert visible("a\nb\tc\r", lines=True) == "a\nb\tc␍"
    assert visible("\u202e\u2066\ufeff\ud83d\x85") == "⟦U+202E⟧⟦U+2066⟧⟦U+FEFF⟧⟦U+D83D⟧⟦U+0085⟧"
    assert visible("山田^太郎 É😀") == "山田^太郎 É😀"


def test_shorten() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab…"
    assert len(shorten("x" * 99, 10)) == 10


def test_safe_path(tmp_path: Path) -> None:
    inside = tmp_path / "cell"
    (inside / "objects").mkdir(parents=True)
    (inside / "objects" / "1.dcm").write_text("")
    (tmp_path / "secret").write_text("")
    (inside / "link").symlink_to(tmp_path / "secret")
    assert safe_path(inside, "objects/1.dcm") == "objects/1.dcm"
    for path in (
        "", ".", "..", "../secret", "objects/../../secret", "/etc/passwd", "link", "missing", "objects//1.dcm",
        "objects/", "objects\\1.dcm", "C:x", "javascript:alert(1)", "-rf", "objects/1.dcm\x00", "objects/1.dcm ",
        "x" * 500, "a?b", "%2e%2e",
    ):  # fmt: skip
        assert safe_path(inside, path) is None, path
