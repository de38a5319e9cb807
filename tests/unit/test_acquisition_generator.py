"""The console's side of the serial line, against a scripted device on a socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modality.acquisition.generator import Generator
from modality.acquisition.model import AcquisitionError, GeneratorSettings, Technique
from modality.acquisition.serialline import read_frame, write_frame


def test_frames_are_those_of_the_manual() -> None:
    assert write_frame("22") == b"\x0222,p\x03"
    assert write_frame("10", (4095,)) == b"\x0210,4095,u\x03"
    assert read_frame(b"xx\x0214,3003,}\x03") == ("14", ["3003"])
    for wrong in (b"", b"\x03", b"\x02\x03", b"\x0214,3003,~\x03", b"14,3003,}\x03", b"\x0214,3003,}"):
        assert read_frame(wrong) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_a_frame_or_none(data: bytes) -> None:
    frame = read_frame(data)
    if frame is not None:
        assert data[-1] == 3


@given(st.integers(0, 99), st.lists(st.integers(0, 99999), max_size=6))
def test_what_was_written_is_read(command: int, arguments: list[int]) -> None:
    frame = read_frame(write_frame(f"{command:02d}", tuple(arguments)))
    assert frame == (f"{command:02d}", [str(a) for a in arguments])


STATUS = ["0", "1"] + ["0"] * 24


class Device:
    """Answers each command as ``script`` says: a list of bytes per received frame."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socket://127.0.0.1:{self.listener.getsockname()[1]}"
        self.seen: list[tuple[str, list[str]]] = []
        self.points = [0, 0, 0]
        self.spoil: list[Callable[[bytes], bytes]] = []
        self.special: dict[str, list[str]] = {}
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        self.client: socket.socket | None = None

    def _serve(self) -> None:
        while True:
            try:
                self.client, _ = self.listener.accept()
            except OSError:
                return
            with self.client:
                data = b""
                while piece := self._receive():
                    data += piece
                    while b"\x03" in data:
                        one, data = data.split(b"\x03", 1)
                        frame = read_frame(one + b"\x03")
                        assert frame is not None
                        self.seen.append(frame)
                        answer = self._answer(*frame)
                        with contextlib.suppress(OSError):  # the test hung up
                            self.client.sendall(self.spoil.pop(0)(answer) if self.spoil else answer)

    def _receive(self) -> bytes:
        assert self.client is not None
        try:
            return self.client.recv(100)
        except OSError:
            return b""

    def _answer(self, command: str, arguments: list[str]) -> bytes:
        if command in self.special:
            fields = self.special[command]
        elif command == "50":
            self.points = [int(a) for a in arguments[:3]]
            fields = ["$"]
        else:
            fields = {"22": STATUS, "14": [str(self.points[1])], "15": [str(self.points[2])]}.get(
                command, ["2"]
            )
        body = (",".join([command, *fields]) + ",").encode()
        return b"\x02" + body + bytes([(-sum(body)) & 0x7F | 0x40]) + b"\x03"

    def close(self) -> None:
        self.listener.close()
        if self.client is not None:
            with contextlib.suppress(OSError):
                self.client.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def device() -> Iterator[Device]:
    made = Device()
    yield made
    made.close()


@pytest.fixture
def generator(device: Device) -> Iterator[Generator]:
    made = Generator(GeneratorSettings(url=device.url, reply_timeout_s=1.5, retries=2))
    made.connect()
    yield made
    made.disconnect()


def test_technique_is_set_and_verified(device: Device, generator: Generator) -> None:
    real = generator.set(Technique(109.99, 200.1, 20))
    assert ("50", ["20", "3003", "819", "1"]) in device.seen
    assert (real.kvp, real.ma, real.ms) == (pytest.approx(110.0), pytest.approx(200.0), 20.0)
    device.special["14"] = ["3002"]
    with pytest.raises(AcquisitionError, match="voltage") as caught:
        generator.set(Technique(110, 200, 20))
    assert caught.value.code == "generator-protocol"


@pytest.mark.parametrize(
    "technique",
    [Technique(200, 100, 10), Technique(80, 2000, 10), Technique(80, 100, 0), Technique(-80, 100, 5)],
)
def test_impossible_techniques_are_not_even_sent(
    device: Device, generator: Generator, technique: Technique
) -> None:
    with pytest.raises(AcquisitionError) as caught:
        generator.set(technique)
    assert caught.value.code == "technique"
    assert not [c for c, _ in device.seen if c == "50"]


@pytest.mark.parametrize(
    ("code", "words"),
    [("3", "time"), ("4", "voltage"), ("10", "combination"), ("9", "X-rays are on"), ("77", "77")],
)
def test_refusals_become_sentences(device: Device, generator: Generator, code: str, words: str) -> None:
    device.special["50"] = [code]
    with pytest.raises(AcquisitionError, match=words) as caught:
        generator.set(Technique(80, 100, 10))
    assert caught.value.code == "generator-refused"


def test_spoiled_and_missing_answers_are_asked_for_again(device: Device, generator: Generator) -> None:
    device.seen.clear()
    device.spoil = [lambda a: b"", lambda a: a[:3] + b"\x7f" + a[4:]]
    assert generator.status().phase == "standby"
    assert [c for c, _ in device.seen] == ["22", "22", "22"]


def test_a_bad_checksum_at_the_device_is_repeated(device: Device, generator: Generator) -> None:
    device.special["22"] = ["1"]
    with pytest.raises(AcquisitionError) as caught:
        generator.status()
    assert caught.value.code == "generator-absent"
    device.special.clear()
    assert generator.status().interlock_closed


def test_late_answers_to_other_commands_are_skipped(device: Device, generator: Generator) -> None:
    device.spoil = [lambda a: device._answer("14", []) + b"noise" + a]
    assert generator.status().phase == "standby"


def test_silence_and_a_broken_line(device: Device, generator: Generator) -> None:
    device.spoil = [lambda a: b""] * 3
    with pytest.raises(AcquisitionError, match="does not answer"):
        generator.status()
    assert generator.connected
    device.close()
    with pytest.raises(AcquisitionError) as caught:
        generator.status()
    assert caught.value.code == "generator-absent"


@pytest.mark.parametrize(
    ("flag", "phase"),
    [(1, "xray"), (3, "fault"), (4, "prep"), (13, "ready"), (15, "busy"), (20, "hot"), (22, "cooling")],
)
def test_status_is_one_word(device: Device, generator: Generator, flag: int, phase: str) -> None:
    flags = list(STATUS)
    flags[flag - 1] = "1"
    device.special["22"] = flags
    assert generator.status().phase == phase


@pytest.mark.parametrize("answer", [[], ["0"] * 10, ["x"] * 26])
def test_unreadable_status(device: Device, generator: Generator, answer: list[str]) -> None:
    device.special["22"] = answer
    with pytest.raises(AcquisitionError) as caught:
        generator.status()
    assert caught.value.code == "generator-protocol"


def test_exposure_is_read_back(device: Device, generator: Generator) -> None:
    assert generator.last_exposure() is None  # a generator without this command
    device.special["61"] = ["3", "1100", "2000", "100", "2000", "945", "1"]
    last = generator.last_exposure()
    assert last is not None
    assert (last.number, last.kvp, last.ma, last.ms, last.mas, last.dap_dgycm2, last.truncated) == (
        3, 110.0, 200.0, 10.0, 2.0, 0.945, True,
    )  # fmt: skip
    device.special["61"] = ["0"] * 7
    assert generator.last_exposure() is None


def test_faults_have_a_sentence(device: Device, generator: Generator) -> None:
    device.special["62"] = ["9"]
    device.special["52"] = ["10"]
    with pytest.raises(AcquisitionError, match="close the door") as caught:
        generator.clear_faults()
    assert caught.value.code == "generator-fault"
    device.special["52"] = ["$"]
    generator.clear_faults()


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        url = f"socket://127.0.0.1:{busy.getsockname()[1]}"
    with pytest.raises(AcquisitionError) as caught:
        Generator(GeneratorSettings(url=url)).connect()
    assert caught.value.code == "generator-absent"
    with pytest.raises(AcquisitionError):
        Generator(GeneratorSettings(url="bogus://x")).connect()
