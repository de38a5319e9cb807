"""The words for what stands around the MX1: the ultrasound front end, its foot switch and barcode reader, media.

Rules of this file:

* Faults are the devices' own (:mod:`simulators.ultrasound.faults`, :mod:`bench.volumes.actor`) under the names that
  people use; what the device calls them is ``calls``.
* A medium is said by its place: ``usb`` or ``sd``; both can do the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from bench.scenario import units
from bench.scenario.fields import (
    DURATION,
    RATE,
    SIZE,
    Bool,
    Context,
    Enum,
    Field,
    ListOf,
    Number,
    Text,
    read_scalar,
)
from bench.scenario.problems import did_you_mean, shorten
from bench.scenario.source import Node
from bench.scenario.spec import MEDIA, US_MODE, US_PROBE, US_SIZE, StepSpec
from bench.scenario.vocabulary_bench import FAULT_NAME

_MX: Final = ("mx1",)
KNOBS: Final = (
    Field("depth", Number(low=20, high=240, unit="mm"), "depth of the picture"),
    Field("gain", Number(low=-30, high=30, unit="dB"), "gain"),
    Field("dynamic_range", Number(low=30, high=90, unit="dB"), "dynamic range"),
    Field("mode", US_MODE, "mode of the picture"),
    Field("probe", US_PROBE, "which probe is in use"),
)
"""What can be turned at an ultrasound front end; a probe allows only some of the depths."""
FORMATS: Final = ("FAT16", "FAT32", "none")
FORMAT: Final = Enum(FORMATS, "format")
LABEL: Final = Text("a volume label", r"[A-Z0-9 _-]{1,11}")
PARTITION: Final = Enum(("mbr", "none"), "partitioning")
CONTENTS: Final[dict[str, str]] = {
    "empty": "nothing",
    "foreign-fileset": "a valid DICOM file-set of another vendor (`foreign-fileset:VARIANT`: one with a defect)",
    "corrupt-dicomdir": "a DICOMDIR that nobody can read",
    "huge-dicomdir": "a DICOMDIR of 2 GB",
    "dicomdir-is-a-directory": "a folder named DICOMDIR",
    "dotdot-names": "a DICOMDIR whose file names lead out of the medium",
    "corrupt-fat": "a damaged file allocation table",
    "files": "`files:N`: so many files that have nothing to do with DICOM",
    "fill": "`fill:SIZE`: so much is left free, like `fill:2 MB`",
}
"""What may lie on a medium beforehand."""
FOREIGN: Final = (
    *(
        "private-records",
        "same-names",
        "reversed",
        "japanese",
        "inactive",
        "lower-case",
        "semicolon",
        "extension",
    ),
    *("wrong-offsets", "looping", "inconsistent", "missing-file", "truncated-file", "escaping"),
    *("truncated-dicomdir", "garbled-dicomdir"),
)
"""Variants of a foreign file-set; a test compares with :mod:`bench.volumes.foreign`."""


@dataclass(frozen=True)
class Content(Text):
    """One thing that lies on a medium: a word of :data:`CONTENTS`, with what it needs behind a colon."""

    say: str = "what lies on a medium, like `empty` or `foreign-fileset`"

    def convert(self, text: str) -> str:
        """Check one word; sizes become bytes."""
        word, colon, rest = text.partition(":")
        if word not in CONTENTS:
            hint = did_you_mean(word, CONTENTS) or "there are " + ", ".join(CONTENTS)
            raise ValueError(f"unknown content '{shorten(text)}' ({hint})")
        if word == "fill":
            return f"fill:{int(rest) if rest.isdigit() else units.size(rest)}"
        if word == "files" and not re.fullmatch(r"[1-9]\d{0,5}", rest):
            raise ValueError(f"'{shorten(text)}': write a number of files, like files:100")
        if colon and word not in ("files", "foreign-fileset"):
            raise ValueError(f"'{shorten(text)}': nothing stands behind '{word}'")
        if word == "foreign-fileset" and colon and rest not in FOREIGN:
            hint = did_you_mean(rest, FOREIGN) or "there are " + ", ".join(FOREIGN)
            raise ValueError(f"unknown foreign file-set '{shorten(rest)}' ({hint})")
        return text

    def schema(self) -> dict[str, Any]:
        """Texts; the loader knows more."""
        words = "|".join(CONTENTS)
        return {"type": "string", "pattern": rf"^(({words})(:.*)?|.*\$\{{.*)$"}


@dataclass(frozen=True)
class MediumSize:
    """A size that a medium can have."""

    def convert(self, text: str) -> int:
        """Check one text."""
        value = units.size(text)
        if not 8 << 20 <= value <= 2 << 40:
            raise ValueError(f"a medium has 8 MiB to 2048 GiB, not {shorten(text)}")
        return value

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it."""
        return read_scalar(node, ctx, what, self.convert, self.words)

    def schema(self) -> dict[str, Any]:
        """Give the pattern."""
        return SIZE.schema()

    @property
    def words(self) -> str:
        """Say it."""
        return "a size like `64 MB`, at least 8 MiB"


CONTENT: Final = ListOf(Content(), most=20)


LOST: Final = ("all", "some")


@dataclass(frozen=True)
class Lost:
    """A size, or one of the words ``all`` and ``some``."""

    def convert(self, text: str) -> int | str:
        """Check one text."""
        return text if text in LOST else units.size(text)

    def read(self, node: Node, ctx: Context, what: str) -> Any:
        """Read it."""
        return read_scalar(node, ctx, what, self.convert, self.words)

    def schema(self) -> dict[str, Any]:
        """Give both."""
        return {"anyOf": [{"enum": list(LOST)}, SIZE.schema()]}

    @property
    def words(self) -> str:
        """Say it."""
        return "a size like `4 kB`, or `all`, or `some`"


def _ultrasound(what: str, summary: str, *fields: Field, calls: str = "") -> StepSpec:
    return StepSpec(
        f"ultrasound.{what}",
        summary,
        fields,
        fault=True,
        undone_by="ultrasound.recover",
        products=_MX,
        calls=calls,
    )


_PICTURES: Final = Field(
    "count", Number(whole=True, low=1, high=100_000), "in how many pictures in a row (1 unless said)"
)
_MESSAGE_BYTE: Final = Field("at_bytes", SIZE, "after so many bytes of a picture's message (0 unless said)")
ULTRASOUND_STEPS: Final = (
    StepSpec("ultrasound.set", "Turn knobs at the front end itself.", KNOBS, products=_MX),
    StepSpec(
        "ultrasound.unplug",
        "Pull the probe.",
        fault=True,
        undone_by="ultrasound.plug",
        products=_MX,
        at_once=True,
    ),
    StepSpec("ultrasound.plug", "Plug the probe in again.", products=_MX),
    _ultrasound(
        "stall",
        "Send nothing for a while.",
        Field("for", DURATION, "how long (2 s unless said)", gives="seconds"),
        _MESSAGE_BYTE,
        _PICTURES,
    ),
    _ultrasound("drop", "Make pictures and send them to nobody.", _PICTURES),
    _ultrasound("bad_crc", "Send pictures whose header has a wrong CRC.", _PICTURES, calls="crc"),
    _ultrasound(
        "resize",
        "Let pictures have another size from now on.",
        Field("size", US_SIZE, "the new size (`1024x768` unless said)"),
    ),
    _ultrasound("close", "Cut the connection.", _MESSAGE_BYTE),
    StepSpec("ultrasound.recover", "Disarm faults.", (FAULT_NAME,), products=_MX),
)

_HOW: Final = Field(
    "how", Enum(("tap", "press", "release"), "movement"), "`tap` (press and release) unless said"
)
BEDSIDE_STEPS: Final = (
    StepSpec("panel.footswitch", "Tread on the foot switch.", (_HOW,), products=_MX),
    StepSpec("panel.freeze", "Press the freeze key.", (_HOW,), products=_MX),
    StepSpec(
        "panel.barcode",
        "Hold a code under the barcode reader.",
        (
            Field("text", Text("what the code says", r"[^\r\n]*", 200), "what the code says", required=True),
            Field(
                "aim",
                Text("a symbology like `]C1`", r"\][A-Za-z][0-9A-Za-z]"),
                "what kind of code the reader says",
            ),
        ),
        products=_MX,
    ),
)


def _volume(place: str) -> tuple[StepSpec, ...]:
    """Return what can happen to a medium."""

    def fault(what: str, summary: str, *fields: Field) -> StepSpec:
        undone = f"{place}.insert" if what == "yank" else f"{place}.recover"
        return StepSpec(f"{place}.{what}", summary, fields, fault=True, undone_by=undone, products=_MX)

    layout = (
        Field("format", FORMAT, "its file system; `none`: not formatted"),
        Field("label", LABEL, "its volume label"),
        Field("partition", PARTITION, "`mbr` (one partition) or `none`"),
    )
    return (
        StepSpec(f"{place}.insert", "Put the medium in.", products=_MX),
        StepSpec(
            f"{place}.remove",
            "Take the medium out properly: everything is written, then it goes.",
            fault=True,
            undone_by=f"{place}.insert",
            products=_MX,
            at_once=True,
        ),
        fault(
            "yank",
            "Pull the medium out while it may be written.",
            Field("at_bytes", SIZE, "when so many bytes were written since this was armed (else at once)"),
            Field(
                "lose",
                Lost(),
                "how many of the newest unsynced bytes are lost (none unless said), or `all`, or `some` by chance",
            ),
        ),
        fault("protect", "Push the write protection."),
        fault("full", "Fill the medium.", Field("leave", SIZE, "what is left free (nothing unless said)")),
        fault("slow", "Make the medium slow.", Field("rate", RATE, "how fast it is then", required=True)),
        fault(
            "io_error",
            "Fail reading or writing.",
            Field("on", Enum(("read", "write"), "access"), "`write` unless said"),
            Field("after_bytes", SIZE, "after so many bytes (at once unless said)"),
            Field(
                "count",
                Number(whole=True, low=0, high=100_000),
                "how many times (1 unless said; 0: until recovered)",
            ),
        ),
        fault(
            "wear",
            "Let places fail that are read too often.",
            Field(
                "after_reads",
                Number(whole=True, low=1, high=1_000_000),
                "how often they can be read",
                required=True,
            ),
        ),
        StepSpec(f"{place}.recover", "Disarm faults; what lasts ends.", (FAULT_NAME,), products=_MX),
        StepSpec(
            f"{place}.format",
            "Format the medium anew (elsewhere: it is taken out and put in again).",
            layout,
            products=_MX,
        ),
        StepSpec(
            f"{place}.replace",
            "Put other things on the medium, elsewhere.",
            (Field("content", CONTENT, "what lies on it then", required=True),),
            products=_MX,
            calls="replace_content",
        ),
    )


VOLUME_STEPS: Final = tuple(spec for place in MEDIA for spec in _volume(place))
VOLUME_SETUP: Final = (
    Field("size", MediumSize(), "how large it is (256 MiB unless said)"),
    Field(
        "format",
        FORMAT,
        "its file system (FAT16 up to 2 GB, above that FAT32, unless said); `none`: not formatted",
    ),
    Field("label", LABEL, "its volume label"),
    Field("partition", PARTITION, "`mbr` (one partition, unless said) or `none`"),
    Field("content", CONTENT, "what lies on it (nothing unless said)"),
    Field("inserted", Bool(), "`false`: it is put in by a step"),
    Field("protected", Bool(), "`true`: its write protection is pushed"),
    Field("seed", Number(whole=True, low=0, high=2**31 - 1), "seed of what lies on it"),
)
ULTRASOUND_SETUP: Final = (
    Field("size", US_SIZE, "size of the picture (`640x480` unless said)"),
    Field("fps", Number(low=1, high=60), "pictures a second (30 unless said)"),
    *(item for item in KNOBS if item.name != "dynamic_range"),
    Field("bank", Bool(), "`false`: every picture is made anew, not taken from the cine bank"),
    Field("protocol", Number(whole=True, low=1, high=3), "version of OpenIGTLink (3 unless said)"),
    Field("seed", Number(whole=True, low=0, high=2**31 - 1), "seed of the speckle"),
)
