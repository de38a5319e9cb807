"""The words for what every product has around it (peers, cables, power) and for the X-ray front end of VXvue.

Rules of this file:

* A fault says what happens, never how long: what undoes it is a step of its own (`undone_by`).
* A fault without `arm` is armed at once and happens at the next occasion.
"""

from __future__ import annotations

from typing import Final

from bench.scenario.fields import (
    DURATION,
    MILLISECONDS,
    PERCENT,
    SIZE,
    STATUS,
    Bool,
    Enum,
    Field,
    Number,
    Ranges,
    Text,
)
from bench.scenario.keywords import Items
from bench.scenario.refs import NAME
from bench.scenario.spec import (
    CHARSET,
    LINK_HOST,
    LINK_MODE,
    LINK_MODES,
    OCCASION,
    PEER,
    PEERS,
    PHANTOM,
    REQUEST,
    StepSpec,
)

TIMES: Final = Number(whole=True, low=0, high=100000)
_COUNT: Final = Field("count", TIMES, "how many times (1 unless said; 0: until recovered)")
_SKIP: Final = Field("skip", TIMES, "let so many occasions pass first")
_ON: Final = Field("on", OCCASION, "at which occasion (`C-STORE` is `C-STORE-RQ`)")
_AT_BYTES: Final = Field(
    "at_bytes", SIZE, "at this byte: of the data set when `on` names a request, else of the connection"
)
FAULT_NAME: Final = Field(
    "fault", Text("the name of an armed fault", NAME.pattern), "one fault only (else all)"
)


def _peer(host: str) -> tuple[StepSpec, ...]:
    """Return what a DICOM peer can be told."""
    return (
        StepSpec(
            f"{host}.reject",
            "Reject an association (PS3.8 9.3.4).",
            (
                Field(
                    "result",
                    Enum(("1", "2"), "result", {"permanent": "1", "transient": "2"}, whole=True),
                    "`permanent` (1, unless said) or `transient` (2)",
                ),
                Field(
                    "source",
                    Enum(
                        ("1", "2", "3"), "source", {"user": "1", "acse": "2", "presentation": "3"}, whole=True
                    ),
                    "`user` (1, unless said), `acse` (2) or `presentation` (3)",
                ),
                Field("reason", Number(whole=True, low=1, high=255), "reason code (1 unless said)"),
                _COUNT,
                _SKIP,
            ),
            fault=True,
            undone_by=f"{host}.recover",
        ),
        StepSpec(
            f"{host}.abort",
            "Abort an association (A-ABORT, PS3.8 9.3.8).",
            (
                _ON,
                _AT_BYTES,
                Field(
                    "source",
                    Enum(("0", "2"), "source", {"user": "0", "provider": "2"}, whole=True),
                    "`user` (0, unless said) or `provider` (2)",
                ),
                Field("reason", Number(whole=True, low=0, high=255), "reason code (0 unless said)"),
                _COUNT,
                _SKIP,
            ),
            fault=True,
            undone_by=f"{host}.recover",
        ),
        StepSpec(
            f"{host}.status",
            "Answer a DIMSE request with this status.",
            (
                Field("of", REQUEST, "which request (`C-STORE` is `C-STORE-RQ`)", required=True),
                Field("status", STATUS, "the status, four hexadecimal digits", required=True),
                Field("comment", Text("a comment", longest=64), "Error Comment (0000,0902)"),
                Field("perform", Bool(), "`true`: do what was asked all the same"),
                _COUNT,
                _SKIP,
            ),
            fault=True,
            undone_by=f"{host}.recover",
        ),
        StepSpec(
            f"{host}.delay",
            "Answer late.",
            (
                Field("on", OCCASION, "which request is answered late", required=True),
                Field("by", DURATION, "how late", required=True),
                _COUNT,
                _SKIP,
            ),
            fault=True,
            undone_by=f"{host}.recover",
        ),
        StepSpec(
            f"{host}.stall",
            "Stop reading and answering, with the connection open.",
            (_ON, _AT_BYTES, _COUNT, _SKIP),
            fault=True,
            undone_by=f"{host}.recover",
        ),
        StepSpec(
            f"{host}.close",
            "Close the TCP connection without a word.",
            (
                _ON,
                _AT_BYTES,
                Field("how", Enum(("fin", "rst"), "way to close"), "`fin` (unless said) or `rst`"),
                _COUNT,
                _SKIP,
            ),
            fault=True,
            undone_by=f"{host}.recover",
        ),
        StepSpec(f"{host}.recover", "Disarm faults; what stalls goes on.", (FAULT_NAME,)),
    )


PEER_STEPS: Final = (
    StepSpec(
        "ris.worklist",
        "Replace the worklist (or add to it).",
        (
            Field("items", Items(), "the items, with their patients and procedures", required=True),
            Field("charset", CHARSET, "Specific Character Set of the answers"),
            Field("add", Bool(), "`true`: keep what is there already"),
        ),
    ),
    StepSpec("ris.clear", "Forget the worklist and every procedure step."),
    StepSpec("pacs.clear", "Forget every stored object."),
    StepSpec("pacs2.clear", "Forget every stored object."),
    *(spec for host in PEERS for spec in _peer(host)),
)

HOST_STEPS: Final = (
    StepSpec(
        "host.stop",
        "Stop a peer's service: its address answers, its port refuses.",
        (Field("host", PEER, "which peer", required=True),),
        fault=True,
        undone_by="host.start",
        at_once=True,
    ),
    StepSpec(
        "host.start", "Start a peer's service again.", (Field("host", PEER, "which peer", required=True),)
    ),
)

_LINK_HOST: Final = Field("host", LINK_HOST, "whose cable (`detector`: the acquisition link)", required=True)
LINK_STEPS: Final = (
    StepSpec("link.pull", "Pull a cable.", (_LINK_HOST,), fault=True, undone_by="link.plug", at_once=True),
    StepSpec("link.plug", "Plug the cable in again.", (_LINK_HOST,)),
    StepSpec(
        "link.mode",
        "Let a link come up in another mode.",
        (_LINK_HOST, Field("mode", LINK_MODE, "the mode", required=True)),
        fault=True,
        undone_by="link.mode",
        at_once=True,
    ),
)


def _detector(what: str, summary: str, *fields: Field, one_of: tuple[str, ...] = ()) -> StepSpec:
    return StepSpec(
        f"detector.{what}",
        summary,
        fields,
        fault=True,
        undone_by="detector.recover",
        products=("vxvue",),
        one_of=one_of,
    )


_PACKETS: Final = Field("packets", Ranges(), "which packets of a frame")
_SHARE: Final = Field("percent", PERCENT, "which share of the packets of a frame")
_WHICH: Final = ("packets", "percent")
_FRAMES: Final = Field("count", TIMES, "in how many frames (1 unless said; 0: until recovered)")
_BY: Final = Field("by", MILLISECONDS, "how late", gives="ms")
_SPEED: Final = Enum(
    ("10", "100", "1000"), "link mode", {mode: mode.removesuffix("BASE-T") for mode in LINK_MODES}, whole=True
)
_GVCP: Final = Field(
    "command", Text("a GVCP command like `READREG`", r"[A-Z_]{3,20}"), "only for this command"
)
DETECTOR_STEPS: Final = (
    _detector("drop", "Lose image packets.", _PACKETS, _SHARE, _FRAMES, one_of=_WHICH),
    _detector("late", "Send image packets late.", _PACKETS, _SHARE, _BY, _FRAMES, one_of=_WHICH),
    _detector("reorder", "Swap image packets.", _PACKETS, _SHARE, _FRAMES, one_of=_WHICH),
    _detector("duplicate", "Send image packets twice.", _PACKETS, _SHARE, _FRAMES, one_of=_WHICH),
    _detector("missing_leader", "Leave out the leader of a frame.", _FRAMES),
    _detector("missing_trailer", "Leave out the trailer of a frame.", _FRAMES),
    _detector("missed_trigger", "Do not see the beginning of X-ray.", _COUNT),
    _detector("control_loss", "Take control away from the client, as after a heartbeat timeout."),
    _detector(
        "over_temperature",
        "Become too hot.",
        Field("celsius", Number(low=51, high=120, unit="°C"), "how hot it is"),
    ),
    _detector(
        "link_fallback",
        "Come up with 100 Mbit/s.",
        Field("mode", _SPEED, "`100BASE-T` unless said", gives="mbps"),
    ),
    _detector("resend_refused", "Refuse to send packets again.", _COUNT),
    _detector("no_answer", "Do not answer control commands.", _GVCP, _COUNT),
    _detector("pending_ack", "Ask the client to wait for an answer.", _BY, _GVCP, _COUNT),
    StepSpec("detector.recover", "Disarm faults; what lasts ends.", (FAULT_NAME,), products=("vxvue",)),
)


def _generator(what: str, summary: str, *fields: Field) -> StepSpec:
    return StepSpec(
        f"generator.{what}", summary, fields, fault=True, undone_by="generator.recover", products=("vxvue",)
    )


_ONCE: Final = Field("count", Number(whole=True, low=1, high=100000), "how many times (1 unless said)")
_COMMAND: Final = Field("command", Text("a command number", r"\d{2}"), "only for this command")
GENERATOR_STEPS: Final = (
    _generator("interlock", "The door is open."),
    _generator("rotor", "The rotor does not come up to speed.", _ONCE),
    _generator("filament", "The filament is open.", _ONCE),
    _generator(
        "arc",
        "An arc in the tube cuts the exposure short.",
        Field("fraction", Number(low=0.01, high=0.99), "the part of the exposure that was done"),
        _ONCE,
    ),
    _generator(
        "over_dose",
        "The exposure does not end by itself; the back-up timer ends it.",
        Field("factor", Number(low=1.01, high=10), "how many times the set time"),
        _ONCE,
    ),
    _generator(
        "kv_drift",
        "The voltage is off.",
        Field("percent", Number(low=-50, high=50, unit="percent"), "by how much"),
    ),
    _generator("stuck_busy", "Stay busy."),
    _generator("no_answer", "Do not answer commands.", _COMMAND, _ONCE),
    _generator("garbled", "Answer with spoiled bytes.", _COMMAND, _ONCE),
    _generator("bad_checksum", "Answer with a wrong checksum.", _COMMAND, _ONCE),
    StepSpec("generator.recover", "Disarm faults and reset.", (FAULT_NAME,), products=("vxvue",)),
)

PANEL_STEPS: Final = tuple(
    StepSpec(f"panel.{what}", summary, fields, products=("vxvue",))
    for what, summary, fields in (
        ("press_prep", "Press the hand switch to its first stage.", ()),
        ("press_expose", "Press it to its second stage.", ()),
        ("release", "Let it go.", ()),
        (
            "expose",
            "Press both stages, hold until X-ray is off, let go.",
            (Field("timeout", DURATION, "give up waiting for ready then"),),
        ),
        (
            "release_early",
            "Press both stages and let go before the exposure ends.",
            (Field("hold", MILLISECONDS, "how long X-ray is on before that", gives="after_ms"),),
        ),
        (
            "bounce",
            "Press with bouncing contacts.",
            (
                Field("contact", Enum(("prep", "expose"), "contact"), "which stage"),
                Field("times", Number(whole=True, low=1, high=100), "how often it bounces"),
                Field("by", MILLISECONDS, "time between two bounces", gives="ms"),
                Field("closed", Bool(), "`true`: it ends closed"),
            ),
        ),
    )
)

OTHER_STEPS: Final = (
    StepSpec(
        "world.phantom",
        "Put something else on the table.",
        (Field("name", PHANTOM, "what", required=True),),
        products=("vxvue",),
    ),
    StepSpec(
        "world.sid",
        "Move the tube.",
        (
            Field(
                "mm", Number(low=100, high=4000, unit="mm"), "distance from source to detector", required=True
            ),
        ),
        products=("vxvue",),
    ),
    StepSpec(
        "sut.kill",
        "Cut the modality's power (SIGKILL).",
        fault=True,
        undone_by="operator.restart",
        at_once=True,
    ),
    StepSpec("wait", "Let time pass.", (Field("for", DURATION, "how long", required=True),)),
)
