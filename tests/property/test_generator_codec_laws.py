"""Laws of the generator's line: any bytes, any chunking, any order of events."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.generator.codec import MAX_BODY, Decoder, Frame, Garbage, checksum, encode
from simulators.generator.dialect import Panel, execute
from simulators.generator.machine import (
    KV_MAX,
    KV_MIN,
    MA_MAX,
    MAS_MAX,
    PREP_AND_EXPOSURE_MS,
    Limits,
    Machine,
    Technique,
)

COMMANDS = st.integers(0, 99).map(lambda n: f"{n:02d}")
ARGS = st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=8), max_size=6)
FRAMES = st.tuples(COMMANDS, ARGS)
LINE = st.lists(
    st.one_of(
        st.binary(max_size=40), FRAMES.map(lambda f: encode(f[0], *f[1])), st.just(b"\x02"), st.just(b"\x03")
    )
).map(b"".join)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(LINE, st.lists(st.integers(0, 10_000), max_size=10))
@settings(max_examples=200)
def test_any_bytes_in_any_chunking_give_the_same_frames(data: bytes, cuts: list[int]) -> None:
    whole = Decoder().feed(data)
    decoder = Decoder()
    parts: list[Frame | Garbage] = []
    for chunk in chunks(data, cuts):
        parts += decoder.feed(chunk)
        assert decoder.held <= MAX_BODY + 2
    keep = [u for u in whole if isinstance(u, Frame) or u.why != "noise"]
    assert [u for u in parts if isinstance(u, Frame) or u.why != "noise"] == keep
    assert sum(u.size for u in parts if isinstance(u, Garbage)) == sum(
        u.size for u in whole if isinstance(u, Garbage)
    )


@given(FRAMES)
def test_what_was_written_is_read(frame: tuple[str, list[str]]) -> None:
    command, args = frame
    assert Decoder().feed(encode(command, *args)) == [Frame(command, tuple(args))]


@given(FRAMES, st.integers(0, 200), st.integers(1, 255))
@settings(max_examples=200)
def test_a_changed_byte_is_never_another_frame_of_the_same_sum(
    frame: tuple[str, list[str]], where: int, flip: int
) -> None:
    """One changed byte is found unless the 6-bit sum is blind to it, which is the protocol's own weakness."""
    data = bytearray(encode(frame[0], *frame[1]))
    where %= len(data)
    data[where] ^= flip
    for unit in Decoder().feed(bytes(data)):
        if isinstance(unit, Frame):
            assert encode(unit.command, *unit.args)[-2] == checksum(bytes(data[1:-2]))
            assert flip & 0x3F == 0 or where in (0, len(data) - 1, len(data) - 2) or data[where] == 0x02


@given(st.binary(max_size=200))
def test_checksum_never_looks_like_a_frame_mark(body: bytes) -> None:
    assert 0x40 <= checksum(body) <= 0x7F


INPUTS = st.lists(
    st.one_of(
        st.tuples(st.just("contact"), st.sampled_from(["prep", "expose"]), st.booleans()),
        st.tuples(st.just("wait"), st.integers(0, 40_000), st.none()),
        st.tuples(st.just("interlock"), st.booleans(), st.none()),
        st.tuples(st.just("arm"), st.sampled_from(["rotor", "filament", "arc", "over_dose"]), st.none()),
        st.tuples(
            st.just("command"),
            st.sampled_from(["22", "50", "10", "11", "74", "52", "99", "61", "34", "78"]),
            st.lists(st.integers(0, 13_000), max_size=4),
        ),
    ),
    max_size=60,
)


@given(INPUTS)
@settings(max_examples=200)
def test_no_sequence_of_events_breaks_the_safety_of_the_machine(
    events: list[tuple[str, object, object]],
) -> None:
    """Photons only after prep and ready, inside the limits, never twice, and always with an end."""
    now = 0
    machine = Machine(Limits(heat_capacity_hu=50_000.0), now)
    panel = Panel()
    machine.set(Technique(80.0, 200.0, 100), now)
    on: dict[str, object] | None = None
    trail: list[str] = ["idle"]
    for what, a, b in events:
        now += 1_000_000
        if what == "contact":
            actions = machine.contact(str(a), bool(b), now)
        elif what == "wait":
            now += int(str(a)) * 1_000_000
            actions = machine.tick(now)
        elif what == "interlock":
            actions = machine.interlock(bool(a), now)
        elif what == "arm":
            setattr(machine.troubles, str(a), 1)
            actions = machine.tick(now)
        else:
            assert isinstance(b, list)
            reply = execute(Frame(str(a), tuple(str(n) for n in b)), machine, panel, now)
            assert reply.command == a
            encode(reply.command, *reply.args)
            actions = list(reply.actions)
        for action in actions:
            if action.kind == "state":
                assert action.data["from"] == trail[-1]
                trail.append(str(action.data["to"]))
                if trail[-1] == "exposing":
                    assert trail[-3:-1] == ["prep", "ready"]
            elif action.kind == "xray_on":
                assert on is None
                assert trail[-1] == "exposing"
                on = action.data
                assert KV_MIN <= float(str(on["kvp"])) <= KV_MAX
                assert float(str(on["ma"])) <= MA_MAX
                assert (
                    float(str(on["ma"])) * float(str(on["ms"])) / 1000 <= MAS_MAX * 2.0
                )  # twice: back-up timer
                assert float(str(on["ms"])) <= PREP_AND_EXPOSURE_MS
            elif action.kind == "xray_off":
                assert on is not None
                exposure = action.data["exposure"]
                assert exposure.ms <= float(str(on["ms"])) + 1e-6
                assert exposure.truncated == (exposure.ms < exposure.set_ms)
                on = None
        assert (on is not None) == (machine.state == "exposing")
        assert machine.deadline() is None or machine.state not in ("idle", "fault")
    now += 100_000 * 1_000_000
    machine.tick(now)
    assert machine.state != "exposing"
