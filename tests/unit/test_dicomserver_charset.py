"""Character sets of what the simulators answer: what a set has not is refused, never written as something else."""

from __future__ import annotations

import pytest

from simulators.dicom.charset import decode, encode


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", ("", "ISO 2022 IR 87")),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", ("ISO 2022 IR 13", "ISO 2022 IR 87")),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ", ("ISO_IR 13",)),
        ("Müller^Jürgen", ("ISO_IR 100",)),
        ("Wang^XiaoDong=王^小东", ("GB18030",)),
        ("Hong^Gildong=洪^吉洞=홍^길동", ("", "ISO 2022 IR 149")),
        ("山田^太郎", ("ISO_IR 192",)),
    ],
)
def test_what_a_set_has_comes_back(text: str, terms: tuple[str, ...]) -> None:
    """Written and read again it is the same."""
    assert decode(encode(text, terms, person_name=True), terms) == text


@pytest.mark.parametrize(
    ("text", "terms"),
    [("山田", ("ISO_IR 13",)), ("Aя", ("ISO_IR 100",)), ("ü", ()), ("山田", ("ISO 2022 IR 13",))],
)
def test_what_a_set_has_not_is_refused(text: str, terms: tuple[str, ...]) -> None:
    """Kanji under JIS X 0201 would be bytes of a set that nobody declared."""
    with pytest.raises(UnicodeEncodeError, match=r"not in|codec can't encode"):
        encode(text, terms)
