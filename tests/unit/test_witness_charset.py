"""Character sets at the level of bytes."""

from __future__ import annotations

import pytest

from bench.witness.charset import TERMS, decode, examine, examine_terms, terms_of
from tests.lab.charsets import encode

JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
HALF = "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"
TEXTS = [
    (("ISO_IR 100",), "Äneas^Rüdiger"),
    (("ISO_IR 101",), "Wałęsa^Łech"),
    (("ISO_IR 109",), "Ħaġar^Ċensu"),
    (("ISO_IR 110",), "Ķēniņš^Ādolfs"),
    (("ISO_IR 144",), "Люкceмбypг"),
    (("ISO_IR 127",), "قباني^لنزار"),
    (("ISO_IR 126",), "Διονυσιος"),
    (("ISO_IR 138",), "שרון^דבורה"),
    (("ISO_IR 148",), "Çavuşoğlu"),
    (("ISO_IR 203",), "Œuvre^Žofie €"),
    (("ISO_IR 166",), "สวัสดี"),
    (("ISO_IR 13",), "ﾔﾏﾀﾞ^ﾀﾛｳ‾"),
    (("ISO_IR 192",), "Wang^XiaoDong=王^小东=😀"),
    (("GB18030",), "Wang^XiaoDong=王^小东𠀀"),
    (("GBK",), "Wang^XiaoDong=王^小东"),
    (("ISO 2022 IR 100",), "Äneas^Rüdiger"),
    (("", "ISO 2022 IR 87"), JAPANESE),
    (("ISO 2022 IR 6", "ISO 2022 IR 87"), JAPANESE),
    (("ISO 2022 IR 13", "ISO 2022 IR 87"), HALF),
    (("", "ISO 2022 IR 87", "ISO 2022 IR 13"), "Yamada^ﾀﾛｳ=山田^太郎"),
    (("", "ISO 2022 IR 87", "ISO 2022 IR 159"), "Hata^Jouji=丂^亜"),
    (("", "ISO 2022 IR 149"), "Hong^Gildong=洪^吉洞=홍^길동"),
    (("", "ISO 2022 IR 58"), "Zhang^XiaoDong=张^小东"),
    (("ISO 2022 IR 100", "ISO 2022 IR 144"), "Müller^Люкc"),
    (("ISO 2022 IR 6", "ISO 2022 IR 144", "ISO 2022 IR 126"), "Люкc^Διον=a"),
]


@pytest.mark.parametrize(("terms", "text"), TEXTS)
def test_right_text_is_read_and_has_no_problem(terms: tuple[str, ...], text: str) -> None:
    data = encode(text, terms, person=True)
    assert examine_terms(terms) == ()
    assert examine(terms, data, "PN") == ()
    assert decode(terms, data, "PN") == text


@pytest.mark.parametrize("terms", [t for t, _ in TEXTS])
def test_terms_of_a_value(terms: tuple[str, ...]) -> None:
    assert terms_of("\\".join(terms).encode() + b" ") == terms


def test_the_examples_of_the_standard() -> None:
    """PS3.5 H.3.1, H.3.2 and I.2: names in Japanese and Korean, byte for byte."""
    kanji = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
    assert decode(("", "ISO 2022 IR 87"), kanji, "PN") == JAPANESE
    assert examine(("", "ISO 2022 IR 87"), kanji, "PN") == ()
    romaji = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"
    assert decode(("ISO 2022 IR 13", "ISO 2022 IR 87"), romaji, "PN") == HALF
    assert examine(("ISO 2022 IR 13", "ISO 2022 IR 87"), romaji, "PN") == ()
    korean = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
    assert decode(("", "ISO 2022 IR 149"), korean, "PN") == "Hong^Gildong=洪^吉洞=홍^길동"
    assert examine(("", "ISO 2022 IR 149"), korean, "PN") == ()


def test_a_backslash_in_a_two_byte_character_is_no_delimiter() -> None:
    for text, terms in (("誠\\能", ("", "ISO 2022 IR 87")), ("榎\\誠", ("GB18030",))):
        data = encode(text, terms, delimiters="\\")
        assert decode(terms, data).split("\\") == text.split("\\")
        assert examine(terms, data) == ()
    data = bytes([0x81, 0x5C, 0x5C, 0x81, 0x5C])  # GB18030: the second byte of a character is 5C
    assert len(decode(("GB18030",), data).split("\\")) == 2


def test_the_yen_sign_is_a_delimiter_in_values_and_a_yen_sign_in_texts() -> None:
    assert decode(("ISO_IR 13",), b"A\\B\xb1", "LO") == "A\\Bｱ"
    assert decode(("ISO_IR 13",), b"A\\B\xb1~", "ST") == "A¥Bｱ‾"


@pytest.mark.parametrize(
    ("terms", "value", "code"),
    [
        ((), b"M\xfcller", "default"),
        (("ISO 2022 IR 6",), b"M\xfcller", "repertoire"),
        (("ISO_IR 100",), b"M\x9cller", "repertoire"),
        (("ISO_IR 109",), b"\xa5", "repertoire"),
        (("ISO_IR 138",), b"\xa1", "repertoire"),
        (("ISO_IR 13",), b"\xe4", "repertoire"),
        (("ISO_IR 100",), b"a\x1b$B;3\x1b(B", "escape"),
        (("ISO_IR 192",), b"a\x1b$B;3\x1b(B", "escape"),
        (("GB18030",), b"a\x1b(B", "escape"),
        ((), b"a\x1b$B;3\x1b(B", "default"),
        (("", "ISO 2022 IR 87"), b"\x1b$)C\xfb\xf3", "undeclared"),
        (("", "ISO 2022 IR 87"), b"\x1b(Ja", "undeclared"),
        (("", "ISO 2022 IR 87"), b"\x1b(Xa", "escape"),
        (("", "ISO 2022 IR 87"), b"\x1b$B;3ED", "return"),
        (("", "ISO 2022 IR 87"), b"\x1b$B;3ED^\x1b$BB@O:\x1b(B", "return"),
        (("", "ISO 2022 IR 87"), b"\x1b$B;3\r\n\x1b(B", "return"),
        (("", "ISO 2022 IR 87"), b"\x1b$B;3\x7f\x1b(B", None),
        (("", "ISO 2022 IR 87"), b"\x1b$B//\x1b(B", "malformed"),
        (("", "ISO 2022 IR 149"), b"\xfb\xf3", "repertoire"),
        (("", "ISO 2022 IR 149"), b"\x1b$)C\xfb\xf3^\xd1\xce", "repertoire"),
        (("", "ISO 2022 IR 149"), b"\x1b$)C\xfb", "malformed"),
        (("ISO_IR 192",), b"M\xfcller", "malformed"),
        (("ISO_IR 192",), b"\xed\xa0\x80", "malformed"),
        (("GB18030",), b"\x81\x30\x81", "malformed"),
        (("GB18030",), "Müller".encode("latin-1"), None),
        (("GBK",), b"\xff", "malformed"),
    ],
)
def test_each_fault_is_named_once(terms: tuple[str, ...], value: bytes, code: str | None) -> None:
    assert [p.code for p in examine(terms, value, "PN")] == ([code] if code else [])


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        (("ISO_IR 999",), "unknown"),
        (("UTF-8",), "unknown"),
        (("ISO-IR 100",), "unknown"),
        (("iso_ir 100",), "unknown"),
        (("ISO_IR 87",), "unknown"),
        (("ISO 2022 IR 87",), "combination"),
        (("ISO 2022 IR 149", "ISO 2022 IR 100"), "combination"),
        (("ISO_IR 100", "ISO 2022 IR 87"), "combination"),
        (("ISO 2022 IR 6", "ISO_IR 192"), "combination"),
        (("GB18030", "ISO 2022 IR 87"), "combination"),
        (("ISO 2022 IR 6", "", "ISO 2022 IR 87"), "combination"),
    ],
)
def test_terms_that_cannot_be(terms: tuple[str, ...], code: str) -> None:
    assert [p.code for p in examine_terms(terms)] == [code]


@pytest.mark.parametrize(
    "terms", [(), ("ISO_IR 6",), ("ISO 2022 IR 6",), ("ISO 2022 IR 100",), ("ISO_IR 203",)]
)
def test_terms_that_may_be(terms: tuple[str, ...]) -> None:
    assert examine_terms(terms) == ()


def test_every_single_byte_character_of_pydicom_is_known_here() -> None:
    charset = pytest.importorskip("pydicom.charset")
    for term in sorted(TERMS):
        if not term.startswith("ISO_IR") or term in ("ISO_IR 192", "ISO_IR 13", "ISO_IR 203"):
            continue
        codec = charset.python_encoding.get(term)
        if codec is None:
            continue
        for byte in range(0xA0, 0x100):
            data = bytes([byte])
            try:
                wanted = data.decode(codec)
            except UnicodeDecodeError:
                assert examine((term,), data) or (term, byte) == ("ISO_IR 166", 0xA0)  # NBSP of ISO 8859-11
                continue
            assert decode((term,), data) == wanted
