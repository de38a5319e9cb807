"""The operator's words: one vocabulary for every way to drive a system under test (DESIGN, Operator actions)."""

from __future__ import annotations

from typing import Final

from bench.scenario.fields import DURATION, Bool, Enum, Field, Number, Text
from bench.scenario.keywords import Keywords
from bench.scenario.setup import CONFIGURE_FIELDS
from bench.scenario.spec import DESTINATION, MEDIUM, PEER, SYNTAX, StepSpec
from bench.scenario.vocabulary_mx1 import KNOBS

TIMEOUT: Final = Field(
    "timeout", DURATION, "how long the answer may take (else the scenario's or the bench's limit)"
)
_PATIENT: Final = Keywords()
_KEYS: Final = Keywords(matching=True)
VIEWS: Final = ("PA", "AP", "LL", "RL", "LLO", "RLO", "RAO", "LAO", "RPO", "LPO")
LATERALITY: Final = ("L", "R", "B", "U")

_TECHNIQUE: Final = (
    Field("view", Enum(VIEWS, "view"), "View Position (0018,5101)"),
    Field(
        "body_part", Text("a body part like `CHEST`", r"[A-Z0-9 _]{1,16}"), "Body Part Examined (0018,0015)"
    ),
    Field("laterality", Enum(LATERALITY, "laterality"), "Image Laterality (0020,0062)"),
    Field("kvp", Number(low=20, high=150, unit="kV"), "tube voltage"),
    Field("ma", Number(low=0.1, high=1000, unit="mA"), "tube current"),
    Field("ms", Number(low=0.1, high=12000, unit="ms"), "exposure time"),
    Field("protocol", Text("a name", longest=64), "Protocol Name (0018,1030)"),
    Field(
        "sid_mm",
        Number(low=100, high=4000, unit="mm"),
        "distance from source to detector, as the operator enters it",
    ),
    Field("target_ei", Number(low=1, high=10000), "target exposure index"),
)
_IMAGE: Final = Field(
    "image", Text("a SOP Instance UID"), "which image (else the last one): `${shot.sop_instance}`"
)
_DESTINATION: Final = Field("destination", DESTINATION, "one destination only (else every configured one)")
_WHAT: Final = Field("what", Enum(("all", "images", "mpps"), "kind of job"), "`all` unless said")
_WAIT: Final = Field("wait", DURATION, "answer when the queue is empty, at the latest after this time")
_IMAGE_RESULTS: Final = (
    *("sop_instance", "sha256", "raw_sha256", "ei", "target_ei", "di", "kvp", "ma", "ms", "mas"),
    *("rows", "columns"),
)
CAPTURE_RESULTS: Final = (
    *(
        "sop_instance",
        "sop_class",
        "kind",
        "sha256",
        "raw_sha256",
        "sequence",
        "first",
        "last",
        "rows",
        "columns",
    ),
    *("samples", "frames", "mode", "start_trim"),
)
"""What a capture gives; `sequence` is the number of the picture, of a clip `first` and `last`."""
MEDIA_RESULTS: Final = ("action", "medium", "files", "count", "dicomdir_sha256")
"""What writing to a medium gives; `count` is the number of files."""
_TO_MEDIUM: Final = (
    Field("medium", MEDIUM, "where to", required=True),
    Field(
        "exam",
        Enum(("current", "all"), "choice of exams"),
        "`current` (this exam, or the one closed last; unless said) or `all`",
    ),
    Field("syntax", SYNTAX, "transfer syntax of the files (else `media_syntax` of the settings)"),
)
_VX: Final = ("vxvue",)
_MX: Final = ("mx1",)

OPERATOR_STEPS: Final = (
    StepSpec(
        "operator.verify",
        "Press the button that sends C-ECHO to a peer.",
        (Field("peer", PEER, "whom to ask", required=True), TIMEOUT),
    ),
    StepSpec(
        "operator.query_worklist",
        "Query the worklist; keywords are matching keys (wildcards and ranges allowed).",
        (TIMEOUT,),
        _KEYS,
    ),
    StepSpec("operator.select", "Select a worklist item by its attributes.", (TIMEOUT,), _PATIENT),
    StepSpec(
        "operator.start_exam",
        "Start an exam: keywords name the worklist item, or are the patient's data of an unscheduled exam.",
        (
            Field(
                "kind",
                Enum(("scheduled", "unscheduled", "emergency"), "kind of exam"),
                "scheduled unless said",
            ),
            TIMEOUT,
        ),
        _PATIENT,
    ),
    StepSpec(
        "operator.prepare",
        "Choose a view and technique, arm the detector and set the generator: ready for the hand switch.",
        (*_TECHNIQUE, TIMEOUT),
        products=_VX,
    ),
    StepSpec(
        "operator.expose",
        "Prepare, press the hand switch through both stages, and wait until the image is on the screen.",
        (*_TECHNIQUE, TIMEOUT),
        products=_VX,
        results=_IMAGE_RESULTS,
    ),
    StepSpec(
        "operator.wait_image",
        "Wait for the image of an exposure that `panel.*` made after `operator.prepare`.",
        (TIMEOUT,),
        products=_VX,
        results=_IMAGE_RESULTS,
    ),
    StepSpec(
        "operator.freeze",
        "Freeze the live picture.",
        (Field("on", Bool(), "`false`: let it live again"), TIMEOUT),
        products=_MX,
    ),
    StepSpec(
        "operator.capture_still",
        "Keep the frozen picture, or the newest one that lives.",
        (
            Field(
                "of",
                Enum(("image", "screen"), "kind of picture"),
                "`image` (an ultrasound image, unless said) or `screen` (a secondary capture of all that is shown)",
            ),
            TIMEOUT,
        ),
        products=_MX,
        results=CAPTURE_RESULTS,
    ),
    StepSpec(
        "operator.capture_clip",
        "Record a clip: so many pictures, or so long.",
        (
            Field("frames", Number(whole=True, low=1, high=10000), "how many pictures"),
            Field("for", DURATION, "how long", gives="seconds"),
            Field("start_trim", Number(whole=True, low=1, high=10000), "first picture to show (Start Trim)"),
            Field("before", Bool(), "`true`: what was seen before, from the cine memory"),
            TIMEOUT,
        ),
        products=_MX,
        results=CAPTURE_RESULTS,
        one_of=("frames", "seconds"),
    ),
    StepSpec("operator.knobs", "Turn knobs at the console.", (*KNOBS, TIMEOUT), products=_MX),
    StepSpec(
        "operator.accept", "Accept an image: it becomes part of the exam.", (_IMAGE, TIMEOUT), products=_VX
    ),
    StepSpec(
        "operator.reject",
        "Reject an image: it is kept, and not sent.",
        (_IMAGE, Field("reason", Text("a reason"), "what the operator chooses or types"), TIMEOUT),
        products=_VX,
    ),
    StepSpec("operator.complete", "Close the exam as completed.", (TIMEOUT,)),
    StepSpec(
        "operator.discontinue",
        "Close the exam as discontinued.",
        (Field("reason", Text("a reason"), "what the operator chooses or types"), TIMEOUT),
    ),
    StepSpec("operator.append", "Open the closed exam again for further images.", (TIMEOUT,)),
    StepSpec("operator.send", "Send what waits in the queue (again).", (_DESTINATION, _WHAT, _WAIT, TIMEOUT)),
    StepSpec(
        "operator.commit",
        "Ask for storage commitment of the exam's images.",
        (_DESTINATION, TIMEOUT),
        products=_VX,
    ),
    StepSpec(
        "operator.print",
        "Print the exam's images on film.",
        (
            Field("copies", Number(whole=True, low=1, high=99), "how many copies"),
            Field(
                "layout", Text("an Image Display Format like `STANDARD\\1,1`"), "how images lie on the film"
            ),
            TIMEOUT,
        ),
        products=_VX,
    ),
    StepSpec(
        "operator.query_archive",
        "Query the archive; with `retrieve` fetch what was found.",
        (Field("retrieve", Bool(), "fetch it too"), TIMEOUT),
        _KEYS,
        products=_VX,
    ),
    StepSpec(
        "operator.send_dose", "Send the dose report of the exam.", (_DESTINATION, TIMEOUT), products=_VX
    ),
    StepSpec(
        "operator.export",
        "Write images to a medium as a new DICOM file-set.",
        (*_TO_MEDIUM, TIMEOUT),
        products=_MX,
        results=MEDIA_RESULTS,
    ),
    StepSpec(
        "operator.add",
        "Add images to the DICOM file-set that a medium already has.",
        (*_TO_MEDIUM, TIMEOUT),
        products=_MX,
        results=MEDIA_RESULTS,
    ),
    StepSpec("operator.configure", "Change settings of the modality.", (*CONFIGURE_FIELDS, TIMEOUT)),
    StepSpec("operator.restart", "Switch the modality off (if it runs) and on again.", (TIMEOUT,)),
    StepSpec(
        "operator.warnings", "Question: which warnings are on the screen? Judge it with `answer`.", (TIMEOUT,)
    ),
    StepSpec("operator.queue", "Question: what waits to be sent? Judge it with `answer`.", (_WAIT, TIMEOUT)),
    StepSpec(
        "operator.exam_state", "Question: in which state is the exam? Judge it with `answer`.", (TIMEOUT,)
    ),
)
