"""The command line of the simulators, and what one costs that runs alone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators import cli
from simulators.dicom.client import AssociationLost, NotEstablished, Requestor
from simulators.dicom.elements import EXPLICIT_LE, encode
from simulators.dicom.keywords import from_mapping
from simulators.ris.alone import load_worklist

ROOT = Path(__file__).resolve().parents[2]
DX = "1.2.840.10008.5.1.4.1.1.1.1"


@pytest.mark.parametrize(
    "arguments", [[], ["typewriter"], ["pacs", "--store", "x", "--discard"], ["pacs", "--port", "x"]]
)
def test_wrong_arguments_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_simulator_that_is_not_there_is_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(cli.SIMULATORS, "typewriter", ("simulators.typewriter.alone", "types"))
    assert cli.main(["typewriter"]) == 2
    assert "cannot be run alone yet" in capsys.readouterr().err


def test_help_names_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "pacs" in shown
    assert "ris" in shown


def test_other_simulators_are_not_imported_for_one() -> None:
    code = "import sys; from simulators import cli; cli.build_parser('pacs'); print('simulators.ris' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"


def test_a_worklist_file_keeps_its_text(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("items:\n- {PatientID: 007, ScheduledProcedureStepStartTime: 0930, PatientSex: no}\n")
    assert load_worklist(str(file)) == [
        {"PatientID": "007", "ScheduledProcedureStepStartTime": "0930", "PatientSex": "no"}
    ]
    for wrong in ("a: b", "- [", "!!python/object/apply:os.system [echo]"):
        file.write_text(wrong)
        with pytest.raises(ValueError, match=r"w\.yaml"):
            load_worklist(str(file))


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_large_object_costs_little_memory_and_signals_end_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulators", "pacs", "--discard", "--quiet"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        word, _, endpoint = process.stdout.readline().partition(" ")
        assert word == "listening"
        before = _peak(process.pid)
        size = 150_000_000
        head = encode(from_mapping({"SOPClassUID": DX, "SOPInstanceUID": "1.2.3"}), EXPLICIT_LE)
        head += struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, size)
        from simulators.wire import dimse

        command = dimse.Command.new(
            "C-STORE-RQ", MessageID=1, AffectedSOPClassUID=DX, AffectedSOPInstanceUID="1.2.3"
        )
        block = bytes(1_000_000)
        with Requestor("127.0.0.1", json.loads(endpoint)["port"], timeout_s=60) as peer:
            peer.associate("PACS", "TEST", {DX: [EXPLICIT_LE]})
            parts = (head if n < 0 else block for n in range(-1, size // len(block)))
            for chunk in peer.connection.message_chunks(1, command, parts):
                peer.sock.sendall(chunk)
            assert peer.receive()[0].status == 0
        assert _peak(process.pid) - before < 64_000_000
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


@contextlib.contextmanager
def _alone(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A simulator that runs, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulators", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        word, _, endpoint = process.stdout.readline().partition(" ")
        assert word == "listening"
        yield process, json.loads(endpoint)["port"]
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()
        process.stderr.close()


def _echo(port: int, count: int = 1) -> None:
    with Requestor("127.0.0.1", port, timeout_s=20) as peer:
        peer.associate("PACS", "TEST", {"1.2.840.10008.1.1": ["1.2.840.10008.1.2"]})
        for _ in range(count):
            peer.ask("C-ECHO-RQ", AffectedSOPClassUID="1.2.840.10008.1.1")
        peer.release()


def test_it_ends_with_its_reader() -> None:
    with _alone("pacs") as (process, port):
        assert process.stdout is not None
        process.stdout.close()
        with contextlib.suppress(
            NotEstablished, AssociationLost, OSError
        ):  # it may end at any moment of this
            _echo(port)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_though_nobody_reads_its_lines(number: signal.Signals) -> None:
    with _alone("pacs") as (process, port):
        assert process.stdout is not None
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)

        def talk() -> None:
            with contextlib.suppress(NotEstablished, AssociationLost, OSError):
                _echo(port, 500)

        talking = threading.Thread(target=talk)
        talking.start()
        before, now = -1, 0
        while now != before or not now:  # full when what is in it does not grow any more
            before = now
            talking.join(0.3)
            now = int.from_bytes(fcntl.ioctl(process.stdout, termios.FIONREAD, bytes(4)), sys.byteorder)
        process.send_signal(number)
        assert process.wait(20) == 0
        talking.join(20)
        assert not talking.is_alive()
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_port_that_is_taken_is_one_line() -> None:
    with _alone("ris") as (_, port):
        done = subprocess.run(
            [sys.executable, "-m", "simulators", "pacs", "--port", str(port)],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert str(port) in done.stderr


@pytest.mark.parametrize("option", ["--artim", "--idle"])
@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1", "1e300"])
def test_times_that_are_none_are_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pacs", f"{option}={value}"]) == 2
    assert "must be positive" in capsys.readouterr().err
