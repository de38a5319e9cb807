"""Laws of the console that hold for any input: text, settings, images, the order of an operator's actions."""

from __future__ import annotations

import io
import shutil
import tempfile
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydicom.dataset import Dataset

from modality.acquisition import DetectorInfo, Shot
from modality.dicom.charset import Unencodable, decode_text, encode_text
from modality.dicom.terms import EXTENSIONS, SINGLE, WHOLE
from modality.dicom.values import decimal
from modality.dicom.worklist import pack
from modality.exam import ExamError
from modality.objects import dx
from modality.objects.common import StepFacts
from modality.products.vxvue.config import VxvueConfig as Config
from modality.products.vxvue.config import parse
from modality.products.vxvue.exam import VxvueExams as Exams
from modality.settings import ConfigError
from modality.store import Store

NOW = datetime(2026, 11, 21, 9, 30)
INFO = DetectorInfo("V", "VIVIX", "SN", None, 0.139, None)
CONFIG = Config(Path("d"), Path("c"))
BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ALONE = [(term,) for term in (*SINGLE, *WHOLE)]
EXTENDED = [term for term in EXTENSIONS if term not in ("ISO 2022 IR 87", "ISO 2022 IR 149")]
TERMS = st.one_of(
    st.sampled_from(ALONE),
    st.tuples(st.sampled_from(["", *EXTENDED]), st.sampled_from(list(EXTENSIONS))),
    st.tuples(st.sampled_from(EXTENDED), st.just("ISO 2022 IR 87"), st.sampled_from(EXTENDED)),
)
LETTERS = st.text(
    st.one_of(
        st.characters(codec="utf-8", categories=["L", "N", "P", "S"]),
        st.sampled_from("abc ÄéŁЯקΩกｱﾞ山田ひ홍길"),
    ).filter(lambda c: c not in "\\^=\x1b"),
    max_size=12,
)


@BOUNDED
@example("´ก", ("ISO 2022 IR 166", "ISO 2022 IR 87", "ISO 2022 IR 6"))
@given(LETTERS, TERMS)
def test_what_is_encoded_comes_back_or_is_refused(text: str, terms: tuple[str, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = encode_text(text, terms)
        except Unencodable:
            return
        assert b"?" not in data or "?" in text
        back = decode_text(data, terms)
    if terms[0] in ("ISO_IR 13", "ISO 2022 IR 13"):  # an escape to ASCII is decoded like Romaji
        back, text = back.replace("‾", "~"), text.replace("‾", "~")
        back, text = back.replace("\\", "¥"), text.replace("\\", "¥")
    assert back == text


@BOUNDED
@given(st.binary(max_size=40), TERMS)
def test_any_bytes_are_decoded_to_some_text(data: bytes, terms: tuple[str, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert isinstance(decode_text(data, terms, name=True), str)


KEYS = st.sampled_from(
    ["data_dir", "control", "ae_title", "storage", "worklist", "timeouts", "charset", "x", "receiver"]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(KEYS, st.text(max_size=5)), inner)
    ),
    max_leaves=8,
)


@BOUNDED
@given(st.one_of(st.text(max_size=80), st.dictionaries(KEYS, VALUES)))
def test_any_settings_are_taken_or_refused_with_lines(source: Any) -> None:
    text = source if isinstance(source, str) else yaml.safe_dump(source)
    problems: tuple[str, ...] = ()
    try:
        assert isinstance(parse(text, "f"), Config)
    except ConfigError as error:
        problems = error.problems or ("",)
    for problem in problems:
        assert problem.startswith("f:")
        assert problem.split(":")[1].isdigit()


@BOUNDED
@given(st.floats(-1e300, 1e300))
def test_decimal_strings_fit_and_are_close(value: float) -> None:
    text = decimal(value)
    assert 1 <= len(text) <= 16
    assert abs(float(text) - value) <= abs(value) * 1e-8


@BOUNDED
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([12, 14]),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_pixels_arrive_as_they_were(rows: int, columns: int, bits: int, seed: int, turned: bool) -> None:
    pixels = np.random.default_rng(seed).integers(0, 1 << bits, (rows, columns), dtype=np.uint16)
    pixels = pixels.T if turned else pixels
    shot = Shot(pixels, bits, 1.0, 2.0, "", None, None, None, None, None, None, None, None, NOW, INFO)
    step = StepFacts("1.2", "S", "1.3", "P", NOW, "A", "B", "")
    facts = dx.ImageFacts("2.25.1", 1, "2.25.2", 1, NOW, "p", "d", "CHEST", "PA", "U", NOW, False)
    header, data = dx.build(CONFIG, Dataset(), step, facts, shot)
    made = pydicom.dcmread(io.BytesIO(header + bytes(data)))
    assert (made.pixel_array == pixels).all()
    assert (made.Rows, made.Columns) == pixels.shape
    assert made.SmallestImagePixelValue == pixels.min()
    assert made.LargestImagePixelValue == pixels.max() < 1 << made.BitsStored


class Operator(RuleBasedStateMachine):
    """Any order of actions: refused or done, and the rules of DICOM hold all the time."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store(self.folder)
        self.exams = Exams(self.store)
        self.final: dict[str, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    @property
    def is_open(self) -> bool:
        exam = self.exams.current()
        return exam is not None and exam["state"] == "open"

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Store(self.folder)
        self.exams = Exams(self.store)
        assert self.store.recover()["missing"] == 0

    @rule()
    def start(self) -> None:
        was_open = self.is_open
        try:
            self.exams.start("emergency", pack(Dataset()), "", mpps=True, now=NOW)
            assert not was_open
        except ExamError:
            assert was_open

    @rule()
    def append(self) -> None:
        before = self.exams.current()
        try:
            again = self.exams.append(mpps=True, now=NOW)
        except ExamError:
            assert before is None or before["state"] == "open"
        else:
            assert before is not None
            assert again["study_uid"] == before["study_uid"]

    @precondition(lambda self: hasattr(self, "store") and self.is_open)
    @rule(view=st.sampled_from(["PA", "LL"]), side=st.sampled_from(["L", "U"]))
    def expose(self, view: str, side: str) -> None:
        planned = self.exams.plan_view(CONFIG, {"view": view, "laterality": side}, None)
        shot = Shot(
            np.zeros((2, 2), np.uint16),
            14,
            1.0,
            2.0,
            "",
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            None,
            NOW,
            INFO,
        )
        self.exams.keep(CONFIG, planned, shot, mpps=True)

    @rule(state=st.sampled_from(["accepted", "rejected"]))
    def decide(self, state: str) -> None:
        try:
            row = self.exams.decide(None, state)
        except ExamError:
            exam = self.exams.current()
            assert not self.is_open or (exam is not None and not self.exams.images(exam, "acquired"))
        else:
            assert row["state"] == state

    @rule(state=st.sampled_from(["COMPLETED", "DISCONTINUED"]))
    def close(self, state: str) -> None:
        try:
            _, step = self.exams.close(state, "", NOW)
        except ExamError:
            assert not self.is_open or state == "COMPLETED"
        else:
            assert step["sop_instance"] not in self.final
            self.final[step["sop_instance"]] = state
            assert state == "DISCONTINUED" or self.exams.series(step)

    @invariant()
    def identifiers_are_unique_and_files_match_rows(self) -> None:
        if not hasattr(self, "store"):
            return
        steps = self.store.rows("SELECT * FROM steps")
        for step in steps:
            if step["sop_instance"] in self.final:
                assert step["state"] == self.final[step["sop_instance"]]
        assert sum(step["state"] == "IN PROGRESS" for step in steps) == int(self.is_open)
        uids = [row["u"] for row in self.store.rows(
            "SELECT sop_instance u FROM images UNION ALL SELECT uid FROM series "
            "UNION ALL SELECT sop_instance FROM steps"
        )]  # fmt: skip
        assert len(uids) == len(set(uids))
        kept = {
            row["sop_instance"] for row in self.store.rows("SELECT * FROM images WHERE state<>'rejected'")
        }
        assert {path.stem for path in self.store.images.iterdir()} == kept


Operator.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestOperator = Operator.TestCase
