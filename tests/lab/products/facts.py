"""Who is examined, for what, and in which character set: the facts that a conversation tells.

Rules of this file: facts only, no elements.  Every text of a person lies in the repertoire of the person's set; times
are those of the laboratory's clock, UTC.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from tests.lab.conversation import START


def uid(*parts: object) -> str:
    """A UUID-derived UID that only depends on ``parts`` (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(map(str, parts))).int}"


def da(time: float) -> str:
    """A date (DA) of the laboratory's clock."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y%m%d")


def tm(time: float) -> str:
    """A time (TM) of the laboratory's clock."""
    return datetime.fromtimestamp(time, UTC).strftime("%H%M%S")


@dataclass(frozen=True, slots=True)
class Person:
    """A patient with texts in a character set (terms of Specific Character Set; () = default repertoire)."""

    charset: tuple[str, ...] = ()
    name: str = "Doe^Jane"
    physician: str = "Smith^John"
    procedure: str = "Chest, two views"
    step: str = "Chest PA"
    comment: str = "Cough for two weeks"
    institution: str = "Test Hospital"
    sex: str = "F"
    birth: str = "19700215"
    age: str = "055Y"


PERSONS: Final[dict[str, Person]] = {
    "default": Person(),
    "ir6": Person(("ISO 2022 IR 6",)),
    "latin1": Person(("ISO_IR 100",), "Müller^Jürgen", "Gärtner^Zoë", "Röntgen Thorax", "Thorax", "später", "Köln"),
    "latin1x": Person(("ISO 2022 IR 100",), "Müller^Jürgen", "Gärtner^Zoë", "Röntgen Thorax", "Thorax p. a.", "häufig"),
    "latin2": Person(("ISO_IR 101",), "Wałęsa^Łukasz", "Dvořák^Jiří", "Zdjęcie klatki", "Płuca PA", "źle", "Łódź"),
    "latin3": Person(("ISO_IR 109",), "Ħaddad^Ġorġ", "Borġ^Ċensu", "Raġġi tas-sider", "Sider PA", "ħażin"),
    "latin4": Person(("ISO_IR 110",), "Bērziņš^Jānis", "Kļaviņa^Ilze", "Krūškurvja attēls", "Krūtis PA", "sāp"),
    "latin5": Person(("ISO_IR 148",), "Öztürk^Işıl", "Çağlar^Gül", "Göğüs röntgeni", "Göğüs PA", "öksürük"),
    "cyrillic": Person(("ISO_IR 144",), "Люксембург^Роза", "Иванов^Пётр", "Рентген груди", "Грудь", "кашель", "Москва"),
    "cyrillicx": Person(("ISO 2022 IR 144",), "Люксембург^Роза", "Иванов^Пётр", "Рентген груди", "Грудь ПП", "кашель"),
    "arabic": Person(("ISO_IR 127",), "قباني^لنزار", "طبيب^حسن", "صورة الصدر", "صدر", "سعال"),
    "greek": Person(("ISO_IR 126",), "Διονυσιος^Ελενη", "Ιατρος^Νικος", "Ακτινογραφια", "Θωραξ", "βηχας", "Αθηνα"),
    "hebrew": Person(("ISO_IR 138",), "שרון^דבורה", "לוי^דוד", "צילום חזה", "חזה", "שיעול"),
    "katakana": Person(("ISO_IR 13",), "ﾔﾏﾀﾞ^ﾀﾛｳ", "ｽｽﾞｷ^ﾊﾅｺ", "ｷｮｳﾌﾞ ﾃﾝｼﾞｭﾝ", "ｷｮｳﾌﾞ", "ｾｷ", "ﾋﾞｮｳｲﾝ"),
    "kanji": Person(
        ("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎=やまだ^たろう", "Suzuki^Hanako=鈴木^花子=すずき^はなこ",
        "胸部正面", "胸部 PA", "二週間の咳\r\n熱なし", "東京病院",
    ),
    "kanjix": Person(
        ("ISO 2022 IR 13", "ISO 2022 IR 87"), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        "ｽｽﾞｷ^ﾊﾅｺ=鈴木^花子=すずき^はなこ", "胸部正面", "ｷｮｳﾌﾞ 胸部", "咳", "東京病院",
    ),
    "korean": Person(
        ("", "ISO 2022 IR 149"), "Hong^Gildong=洪^吉洞=홍^길동", "Kim^Hee=金^喜=김^희", "흉부 촬영", "흉부 PA",
        "기침\r\n2 weeks", "서울 병원",
    ),
    "thai": Person(("ISO_IR 166",), "ใจดี^สมชาย", "แพทย์^มานี", "เอกซเรย์ทรวงอก", "ทรวงอก", "ไอ"),
    "utf8": Person(
        ("ISO_IR 192",), "Wang^XiaoDong=王^小东", "Müller^Łucja", "胸部 Röntgen грудь", "Θωραξ PA",
        "אבג ไอ 기침", "東京",
    ),
    "gb18030": Person(("GB18030",), "Wang^XiaoDong=王^小东", "Li^Lei=李^雷", "胸部正位", "胸部 PA", "咳嗽", "北京医院"),
}  # fmt: skip
"""One person for each character set of the statements."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One image: view, technique, dose and detector values, all true to each other."""

    number: int = 1
    view: str = "PA"
    kvp: int = 120
    ma: int = 200
    ms: int = 10
    dap_dgycm2: float = 0.8
    ei: int = 380
    target: int = 400
    bits: int = 14
    rows: int = 48
    columns: int = 64
    body_part: str = "CHEST"
    series: int = 1

    @property
    def mas(self) -> float:
        """Exposure in mAs."""
        return self.ma * self.ms / 1000

    @property
    def di(self) -> str:
        """Deviation Index (IEC 62494-1)."""
        return f"{10 * math.log10(self.ei / self.target):.2f}"

    @property
    def dap_ugym2(self) -> float:
        """Dose area product in µGy·m²: 1 dGy·cm² = 10 µGy·m²."""
        return self.dap_dgycm2 * 10

    def pixels(self) -> bytes:
        """Little endian words: a gradient with some structure, within the bits, reaching neither bound."""
        top = (1 << self.bits) - 1
        out = bytearray()
        for row in range(self.rows):
            for column in range(self.columns):
                value = (
                    (row * 97 + column * 61 + (row * column) % 37 * 11)
                    * top
                    // (self.rows * 97 + self.columns * 61)
                )
                out += min(max(value, 3), top - 5).to_bytes(2, "little")
        return bytes(out)


@dataclass(slots=True)
class Exam:
    """An exam as the worklist (or the operator) gave it, and what became of it."""

    person: Person = field(default_factory=Person)
    number: int = 1
    scheduled: bool = True
    exposures: tuple[Exposure, ...] = (Exposure(),)
    start: float = START - 600
    station_ae: str = "VXVUE"
    codes: bool = True
    veterinary: bool = False

    def uid(self, *parts: object) -> str:
        """A UID of this exam."""
        return uid("exam", self.number, self.person.name, *parts)

    @property
    def study(self) -> str:
        """Study Instance UID."""
        return self.uid("study")

    @property
    def step(self) -> str:
        """SOP Instance UID of the performed procedure step."""
        return self.uid("step")

    @property
    def patient_id(self) -> str:
        """Patient ID."""
        return f"PAT{self.number:05d}"

    @property
    def accession(self) -> str:
        """Accession Number; empty when nothing was ordered."""
        return f"ACC{self.number:05d}" if self.scheduled else ""

    @property
    def requested_id(self) -> str:
        """Requested Procedure ID."""
        return f"RP{self.number:04d}" if self.scheduled else ""

    @property
    def scheduled_id(self) -> str:
        """Scheduled Procedure Step ID."""
        return f"SPS{self.number:04d}" if self.scheduled else ""

    @property
    def performed_id(self) -> str:
        """Performed Procedure Step ID."""
        return f"PPS{self.number:04d}"

    def image(self, exposure: Exposure) -> str:
        """SOP Instance UID of an image."""
        return self.uid("image", exposure.number)

    def series(self, exposure: Exposure) -> str:
        """Series Instance UID of an image."""
        return self.uid("series", exposure.series)

    def event(self, exposure: Exposure) -> str:
        """Irradiation Event UID."""
        return self.uid("event", exposure.number)

    def time(self, exposure: Exposure) -> float:
        """When the exposure was."""
        return self.start + 30 + 20 * exposure.number

    @property
    def report(self) -> str:
        """SOP Instance UID of the dose report."""
        return self.uid("dose")
