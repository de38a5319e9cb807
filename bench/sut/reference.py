"""The reference modality software as a process in its own network namespace.

Rules of this file:

* The process is exec'd as a real product would be; nothing of it is imported.
* It is operated through its control socket only, which stands for the touch panel.
* Its warnings and states arrive as events stamped by itself; they are claims.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from bench.sut.base import Answer, SutError, SutGone

Say = Callable[[str, dict[str, Any]], None]
"""(kind, data): an event of the bench about the SUT."""
Claim = Callable[[int, str, dict[str, Any]], None]
"""(monotonic ns, kind, data): an event that the SUT itself stamped."""

READY_WITHIN_S: Final = 20.0
STOP_WITHIN_S: Final = 10.0
_COMMON: Final = frozenset(
    [
        *("verify", "query_worklist", "select", "start_exam", "complete", "discontinue", "append", "send"),
        *("configure", "restart", "warnings", "queue", "exam_state"),
    ]
)
VERBS: Final[Mapping[str, frozenset[str]]] = {
    "vxvue": _COMMON | {"prepare", "wait_image", "accept", "reject"},
    "mx1": _COMMON | {"freeze", "capture_still", "capture_clip", "knobs", "export", "add"},
}
"""What an operator can do at each product."""
PEERS: Final = {"ris": "worklist"}
"""Peers that the console calls by their service."""


class ReferenceSut:
    """``python -m modality PRODUCT --config FILE`` behind the operator's verbs."""

    name = "reference"

    def __init__(
        self,
        product: str,
        config: Mapping[str, Any],
        folder: Path,
        inside: Callable[[], contextlib.AbstractContextManager[None]],
        say: Say,
        claim: Claim,
        scratch: Path | None = None,
    ) -> None:
        """Prepare to run ``product``.

        Args:
            product: name of the product, e.g. ``vxvue``.
            config: its configuration, as its installer would write it.
            folder: where its log goes (kept with the run).
            inside: context manager that puts the calling thread into the modality's network namespace.
            say: journals what the bench does to the SUT.
            claim: journals what the SUT says.
            scratch: where its database and control socket live while it runs; else the system's place.
        """
        self._product = product
        self.verbs = VERBS[product]
        self._folder = folder
        self._inside = inside
        self._say = say
        self._claim = claim
        # A path of a Unix socket is limited to about 100 bytes: never below the run folder.
        self._private = Path(tempfile.mkdtemp(prefix="sut-", dir=scratch))
        self._config = {**config, "control": str(self._private / "control")}
        self._config.setdefault("data_dir", str(self._private / "data"))
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._answers: dict[int, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._next = 0
        self._gone = False
        self._expected_end = False

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process and wait until it answers on its control socket.

        Raises:
            SutError: it ended by itself or did not answer in time; the last lines of its log are in the message.
        """
        file = self._folder / "modality.yaml"
        file.write_text(yaml.safe_dump(self._config, sort_keys=False, allow_unicode=True), encoding="utf-8")
        command = [sys.executable, "-m", "modality", self._product, "--config", str(file)]
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._config["control"])
        self._gone = self._expected_end = False
        with open(self._folder / "modality.log", "ab") as log, self._inside():
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._say(
            "sut.started", {"pid": self._process.pid, "command": [Path(command[0]).name, *command[1:4]]}
        )
        self._socket = self._connect(time.monotonic() + READY_WITHIN_S)
        threading.Thread(target=self._listen, args=(self._socket,), name="sut", daemon=True).start()
        answer = self.do("exam_state", {}, READY_WITHIN_S)
        if not answer.ok:
            raise SutError(f"the modality does not answer: {answer.error}")
        self._say("sut.ready", {})

    def _connect(self, deadline: float) -> socket.socket:
        assert self._process is not None
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(self._config["control"])
                return connection
            except OSError:
                connection.close()
            if self._process.poll() is not None:
                raise SutError(f"the modality ended with status {self._process.returncode}{self._log_tail()}")
            if time.monotonic() > deadline:
                raise SutError(f"the modality did not open its operator interface{self._log_tail()}")
            time.sleep(0.005)  # there is no event for 'a socket file appeared' that every system has

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self._folder / "modality.log").read_text(errors="replace").splitlines()[-8:]
            return ": " + " | ".join(lines) if lines else ""
        return ""

    def _listen(self, connection: socket.socket) -> None:
        """Sort answers from events until the connection ends; body of one thread."""
        reader = connection.makefile("rb")
        with contextlib.suppress(OSError, ValueError):
            while line := reader.readline(16 << 20):
                message = json.loads(line)
                if "event" in message:
                    self._claim(message["t"], message["event"], message.get("data", {}))
                    continue
                with self._changed:
                    self._answers[message.get("id", -1)] = message
                    self._changed.notify_all()
        process, expected = self._process, self._expected_end
        with self._changed:
            if connection is self._socket:
                self._gone = True
            self._changed.notify_all()
        if process is not None and connection is self._socket:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_S)
            self._say("sut.exited", {"status": process.returncode, "expected": expected})

    def do(self, verb: str, args: Mapping[str, Any], timeout: float) -> Answer:
        """Do one operator action; an answer 'no' is an :class:`Answer` too.

        Raises:
            SutError: the console was not started.
            SutGone: it ended by itself, or is silent.
        """
        if verb == "restart":
            return self._restart()
        if self._socket is None:
            raise SutError(f"{verb}: the modality is not running")
        with self._changed:
            self._next += 1
            number = self._next
        if args.get("peer") in PEERS:
            args = {**args, "peer": PEERS[args["peer"]]}
        line = json.dumps({"id": number, "do": verb, "args": dict(args)}, ensure_ascii=False)
        self._say("sut.request", {"do": verb, "args": dict(args)})
        try:
            self._socket.sendall(line.encode() + b"\n")
        except OSError as error:
            raise SutGone(f"{verb}: the modality is gone ({error}){self._log_tail()}") from error
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self._gone, timeout)
            message = self._answers.pop(number, None)
        if message is None:
            why = (
                f"the modality is gone{self._log_tail()}" if self._gone else f"no answer within {timeout:g} s"
            )
            self._say("sut.answer", {"do": verb, "ok": False, "error": why})
            raise SutGone(f"{verb}: {why}")
        answer = Answer(bool(message.get("ok")), message.get("result") or {}, str(message.get("error") or ""))
        self._say(
            "sut.answer",
            {"do": verb, "ok": answer.ok, "result": dict(answer.result), "error": answer.error},
        )
        return answer

    def _restart(self) -> Answer:
        trouble = self._end()
        if trouble:
            return Answer(False, error=trouble)
        self.start()
        return Answer(True)

    def kill(self) -> None:
        """SIGKILL the whole process group: the power cord."""
        if self._process is not None and self._process.poll() is None:
            self._expected_end = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> str | None:
        """Shut down as an operator would; kill it if it does not end."""
        trouble = self._end()
        shutil.rmtree(self._private, ignore_errors=True)
        return trouble

    def _end(self) -> str | None:
        process, connection = self._process, self._socket
        if process is None:
            return None
        trouble = None
        if self._gone and not self._expected_end:
            # Its connection ended before the process did: give it the moment that it needs to be seen as dead.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN_S)
        if process.poll() is not None and not self._expected_end:
            trouble = f"the modality ended by itself with status {process.returncode}{self._log_tail()}"
        self._expected_end = True
        if process.poll() is None and connection is not None:
            with contextlib.suppress(OSError):
                connection.sendall(b'{"id":0,"do":"shutdown","args":{}}\n')
        elif process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
            if process.returncode not in (0, -signal.SIGKILL) and trouble is None:
                trouble = f"the modality ended with status {process.returncode}{self._log_tail()}"
        except subprocess.TimeoutExpired:
            self.kill()
            trouble = f"the modality did not end within {STOP_WITHIN_S:g} s and was killed"
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()
        self._process = self._socket = None
        return trouble
