"""Text in every character set of the statement, against the examples of PS3.5 and pydicom's own decoder."""

from __future__ import annotations

import io
import warnings

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from modality.dicom.charset import Unencodable, choose, decode_text, encode_text, seal, terms_of, thaw
from modality.dicom.terms import EXTENSIONS, SINGLE, WHOLE, normal, unknown_terms

EXAMPLES = [  # PS3.5 annexes H, I, J: the bytes of the standard
    (
        ("", "ISO 2022 IR 87"),
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        b"Yamada^Tarou=\033$B;3ED\033(B^\033$BB@O:\033(B=\033$B$d$^$@\033(B^\033$B$?$m$&\033(B",
    ),
    (
        ("ISO 2022 IR 13", "ISO 2022 IR 87"),
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        b"\324\317\300\336^\300\333\263=\033$B;3ED\033(J^\033$BB@O:\033(J=\033$B$d$^$@\033(J^\033$B$?$m$&\033(J",
    ),
    (
        ("", "ISO 2022 IR 149"),
        "Hong^Gildong=洪^吉洞=홍^길동",
        b"Hong^Gildong=\033$)C\373\363^\033$)C\321\316\324\327=\033$)C\310\253^\033$)C\261\346\265\277",
    ),
    (("ISO_IR 192",), "Wang^XiaoDong=王^小東=", b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1="),
    (("GB18030",), "Wang^XiaoDong=王^小东=", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab="),
    (("ISO_IR 100",), "Buc^Jérôme", b"Buc^J\351r\364me"),
    (("ISO_IR 144",), "Люкceмбypг", b"\273\356\332ce\334\321yp\323"),
    (("ISO_IR 126",), "Διονυσιος", b"\304\351\357\355\365\363\351\357\362"),
    (("ISO_IR 127",), "قباني^لنزار", b"\342\310\307\346\352^\344\346\322\307\321"),
    (("ISO_IR 138",), "שרון^דבורה", b"\371\370\345\357^\343\341\345\370\344"),
    (("ISO_IR 13",), "ﾔﾏﾀﾞ^ﾀﾛｳ", b"\324\317\300\336^\300\333\263"),
    (("ISO_IR 13",), "¥A‾", b"\x5cA\x7e"),
]
SAMPLES = {
    "100": "Jérôme", "101": "Wałęsa Č", "109": "Ġużeppi", "110": "Ķēniņš", "144": "Иванов", "127": "قباني",
    "126": "Διονυσιος", "138": "שרון", "148": "Çavuşoğlu", "166": "นามสกุล", "13": "ﾔﾏﾀﾞ", "6": "Plain", "87": "山田",
    "149": "홍길동",
}  # fmt: skip
ALL_TERMS = sorted({*EXTENSIONS, *SINGLE, *WHOLE} - {""})


@pytest.mark.parametrize(("terms", "text", "data"), EXAMPLES)
def test_examples_of_the_standard(terms: tuple[str, ...], text: str, data: bytes) -> None:
    assert encode_text(text, terms, name=True) == data
    if "¥" not in text:  # on the wire its code is the separator of values
        assert decode_text(data, terms, name=True) == text


@pytest.mark.parametrize("term", ALL_TERMS)
def test_every_term_carries_its_repertoire_through_a_data_set(term: str) -> None:
    sample = SAMPLES.get(term.rpartition(" ")[2], "Ω 山 é")
    order = Dataset()
    order.PatientName = f"A^{sample}"
    order.OtherPatientNames = [sample, "B"]
    order.StudyDescription = sample
    order.PatientComments = f"first\r\n{sample}\tlast"
    inner = Dataset()
    inner.CodeMeaning = sample
    order.ProcedureCodeSequence = [inner]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert seal(order, (term,)) == normal((term,))
        data = encode(order, False, True)
        assert data is not None
        ours = decode(io.BytesIO(data), False, True)
        thaw(ours)
        theirs = decode(io.BytesIO(data), False, True)
        assert theirs.PatientName == f"A^{sample}"
        assert theirs.StudyDescription == sample
    assert terms_of(ours) == normal((term,))
    assert ours.PatientName == f"A^{sample}"
    assert list(ours.OtherPatientNames) == [sample, "B"]
    assert ours.StudyDescription == sample
    assert ours.PatientComments == f"first\r\n{sample}\tlast"
    assert ours.ProcedureCodeSequence[0].CodeMeaning == sample


def test_nothing_is_ever_lost() -> None:
    with pytest.raises(Unencodable):
        encode_text("山", ("ISO_IR 100",))
    with pytest.raises(Unencodable):
        encode_text("a\\~", ("ISO_IR 13",))
    with pytest.raises(Unencodable):
        encode_text("x", ("ISO_IR 100", "GB18030"))
    assert choose([("山", False)], ("ISO_IR 100",), ("GB18030",)) == ("GB18030",)
    assert choose([("山", False)], ("ISO_IR 100",)) == ("ISO_IR 192",)


def test_ascii_requests_have_no_character_set() -> None:
    query = Dataset()
    query.PatientName = "DOE*"
    assert seal(query, ("ISO_IR 192",), ascii_too=False) == ()
    assert "SpecificCharacterSet" not in query
    query.PatientName = "MÜLLER*"
    assert seal(query, ("ISO_IR 192",), ascii_too=False) == ("ISO_IR 192",)


def test_items_with_a_character_set_of_their_own() -> None:
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 144"
    item.CodeMeaning = "Иванов"
    outer = Dataset()
    outer.SpecificCharacterSet = "ISO_IR 100"
    outer.PatientName = "Jérôme"
    outer.ProcedureCodeSequence = [item]
    data = encode(outer, False, True)
    assert data is not None
    back = decode(io.BytesIO(data), False, True)
    thaw(back)
    assert back.PatientName == "Jérôme"
    assert back.ProcedureCodeSequence[0].CodeMeaning == "Иванов"
    assert seal(back, ("ISO_IR 100",)) == ("ISO_IR 192",)
    assert "SpecificCharacterSet" not in back.ProcedureCodeSequence[0]


def test_a_gb18030_character_with_a_backslash_byte_is_not_split() -> None:
    text = "".join(chr(c) for c in range(0x4E00, 0x9FFF) if chr(c).encode("gb18030")[1:] == b"\\")[:4]
    assert text
    item = Dataset()
    item.PatientName = item.StudyDescription = text
    item.OtherPatientNames = [text, text]
    seal(item, ("GB18030",))
    data = encode(item, False, True)
    assert data is not None
    back = decode(io.BytesIO(data), False, True)
    thaw(back)
    assert back.PatientName == text
    assert back.StudyDescription == text
    assert list(back.OtherPatientNames) == [text, text]


def test_terms_are_put_into_the_form_of_the_standard() -> None:
    assert normal(["ISO 2022 IR 87"]) == ("", "ISO 2022 IR 87")
    assert normal(["ISO_IR 192", "ISO_IR 100"]) == ("ISO_IR 192",)
    assert normal([""]) == ()
    assert unknown_terms(["ISO_IR 100", "LATIN1", "ISO 2022 IR 58"]) == ["LATIN1", "ISO 2022 IR 58"]


@pytest.mark.filterwarnings("ignore:Found unknown escape:UserWarning", "ignore:Unknown encoding:UserWarning")
def test_broken_bytes_are_shown_and_raise_nothing() -> None:
    assert "\ufffd" in decode_text(b"\xff\xfe", ("ISO_IR 192",))
    assert isinstance(decode_text(b"\x1b$)Z\xff", ("", "ISO 2022 IR 87")), str)
    assert isinstance(decode_text(b"\xff", ("NO SUCH SET",)), str)
