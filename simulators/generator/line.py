"""The serial line of the generator over RFC 2217, a plain socket or a pty, with the timing of a real one.

Rules of this file:

* One client at a time.  The next one waits in the listen queue, or is refused, by configuration; a
  client that vanished without a word is noticed by TCP keep-alive after about six seconds.
* A byte takes ten bit times, both ways, at the client's baud rate (RFC 2217 and pty know it; a plain
  socket has none, so the generator's own is used).
* A client at another speed than the generator's is noise to it (``strict_baud``).
* RFC 2217 carries the modem lines: CTS follows the prep contact, DSR the expose contact, CD is the
  generator's power; RTS and DTR of the client are kept.  They are for clients that want to see them: the
  switch itself is wired to the generator.
* Whatever a client sends, memory stays bounded (an unfinished Telnet option of more than 64 bytes ends the
  connection) and the line goes on serving.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from simulators.generator.config import Config

CHUNK = 256
MAX_OPTION = 64


class VirtualPort:
    """What pyserial's ``PortManager`` expects of a serial port, without any tty."""

    def __init__(self, baud: int) -> None:
        self.name = "generator"
        self.baudrate = baud
        self.bytesize = 8
        self.parity = "N"
        self.stopbits = 1
        self.xonxoff = self.rtscts = self.dsrdtr = False
        self.cts = self.dsr = False
        self.cd = True
        self.ri = False
        self.rts = self.dtr = True
        self.break_condition = False
        self.timeout: float | None = None

    def reset_input_buffer(self) -> None:
        """Nothing is buffered."""

    def reset_output_buffer(self) -> None:
        """Nothing is buffered."""

    def get_settings(self) -> dict[str, Any]:
        """No settings to save."""
        return {}


class SerialServer:
    """Serves one line: ``on_bytes`` gets what arrived and returns what to answer."""

    def __init__(
        self,
        config: Config,
        on_bytes: Callable[[bytes], bytes],
        on_client: Callable[[str, int], None],
        on_noise: Callable[[bytes, str], None],
    ) -> None:
        self._config = config
        self._on_bytes = on_bytes
        self._on_client = on_client
        self._on_noise = on_noise
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._guard = threading.Lock()
        self._send = threading.Lock()
        self._telnet: Any = None
        self._prep = self._expose = False
        self._port = VirtualPort(config.baud)
        self._fds: list[int] = []
        self._arrived = 0.0

    @property
    def modem(self) -> VirtualPort:
        """The line's settings and modem lines as the client left them."""
        return self._port

    def start(self) -> Mapping[str, Any]:
        """Open the line and return where it is."""
        if self._config.transport == "pty":
            return self._start_pty()
        listener = socket.create_server((self._config.host, self._config.port), backlog=4)
        self._listener = listener
        host, port = listener.getsockname()[:2]
        self._run(self._accept, "generator-line")
        scheme = "rfc2217" if self._config.transport == "rfc2217" else "socket"
        return {
            "url": f"{scheme}://{host}:{port}",
            "transport": scheme,
            "host": host,
            "port": port,
            "baud": self._config.baud,
        }

    def stop(self) -> None:
        """Close the line; idempotent."""
        self._stop.set()
        with self._guard:
            for sock in (self._listener, self._client):
                if sock is not None:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
                    sock.close()
            self._listener = self._client = None
        if len(self._fds) == 4:
            os.write(self._fds[3], b"x")
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5.0)
        self._threads.clear()
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def lines(self, *, prep: bool, expose: bool) -> None:
        """Tell the client how the contacts are (CTS, DSR), if the line has modem lines."""
        with self._send:
            self._prep, self._expose = prep, expose
            self._port.cts, self._port.dsr = prep, expose
            if self._telnet is not None:
                with contextlib.suppress(OSError):
                    self._telnet.check_modem_lines()

    # ---------------------------------------------------------------- sockets

    def _run(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        listener = self._listener
        assert listener is not None
        busy: threading.Thread | None = None
        while not self._stop.is_set():
            if self._config.second_client == "wait" and busy is not None:
                busy.join()
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if busy is not None and busy.is_alive():
                client.close()
                self._on_client("refused", self._config.baud)
                continue
            _guard_connection(client)
            with self._guard:
                if self._stop.is_set():
                    client.close()
                    return
                self._client = client
            busy = threading.Thread(target=self._serve, args=(client,), name="generator-client", daemon=True)
            self._threads[1:] = [busy]
            busy.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self._config.transport == "rfc2217":
                self._serve_rfc2217(client)
            else:
                self._on_client("opened", self._config.baud)
                while data := client.recv(CHUNK):
                    self._exchange(data, self._config.baud, client.sendall)
        except OSError:
            pass  # the client went away, or stop() closed the line
        finally:
            with self._send:
                self._telnet = None
            with self._guard:
                if self._client is client:
                    self._client = None
            client.close()
            if not self._stop.is_set():
                self._on_client("left", self._port.baudrate)

    def _serve_rfc2217(self, client: socket.socket) -> None:
        from serial import rfc2217

        _port_manager: Callable[[Any, Any], Any] = rfc2217.PortManager

        class Writer:
            """The connection as PortManager wants it; called with the send lock held."""

            write = staticmethod(client.sendall)

        port = self._port = VirtualPort(self._config.baud)
        with self._send:
            port.cts, port.dsr = self._prep, self._expose
            telnet = self._telnet = _port_manager(port, Writer())
        self._on_client("opened", port.baudrate)

        def send(data: bytes) -> None:
            with self._send:
                client.sendall(b"".join(telnet.escape(data)))

        while data := client.recv(CHUNK):
            with self._send:
                try:
                    plain = b"".join(telnet.filter(data))
                except (struct.error, KeyError, TypeError, ValueError, IndexError):
                    plain = None
            if plain is None or len(telnet.suboption or b"") > MAX_OPTION:
                self._on_noise(data, "no RFC 2217")
                return
            if plain:
                self._exchange(plain, port.baudrate, send)

    # ---------------------------------------------------------------- pty

    def _start_pty(self) -> Mapping[str, Any]:
        import tty  # here: not every system has it, and sockets do without

        master, slave = os.openpty()
        tty.setraw(master)
        tty.setraw(slave)
        wake_r, wake_w = os.pipe()
        self._fds = [master, slave, wake_r, wake_w]
        self._run(self._serve_pty, "generator-pty")
        return {"url": os.ttyname(slave), "transport": "pty", "baud": self._config.baud}

    def _serve_pty(self) -> None:
        master, slave, wake, _ = self._fds

        def send(data: bytes) -> None:
            while data and not self._stop.is_set():
                _, ready, _ = select.select([], [master], [], 0.2)
                if ready:
                    data = data[os.write(master, data) :]

        os.set_blocking(master, False)
        while True:
            ready, _, _ = select.select([master, wake], [], [])
            if wake in ready:
                return
            with contextlib.suppress(BlockingIOError):
                data = os.read(master, CHUNK)
                self._exchange(data, _pty_baud(slave, self._config.baud), send)

    # ---------------------------------------------------------------- timing

    def _exchange(self, data: bytes, baud: int, send: Callable[[bytes], None]) -> None:
        """Take bytes after they have 'arrived', answer, and let the answer take its time."""
        self._last_byte_of(len(data), baud)
        if baud != self._config.baud and self._config.strict_baud:
            self._on_noise(data, f"client at {baud} baud")
            return
        answer = self._on_bytes(data)
        for start in range(0, len(answer), 16):
            piece = answer[start : start + 16]
            self._last_byte_of(len(piece), baud)
            send(piece)

    def _last_byte_of(self, count: int, baud: int) -> None:
        """Wait until ``count`` bytes have passed a line that was busy until now."""
        if not self._config.pace:
            return
        now = time.monotonic()
        self._arrived = max(self._arrived, now) + count * 10.0 / baud
        wait = self._arrived - now
        if wait > 0:
            self._stop.wait(wait)


def _guard_connection(client: socket.socket) -> None:
    """No delay, and notice a peer that is gone."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 3), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            client.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 6000)


def _pty_baud(fd: int, default: int) -> int:
    """Return the speed that the client set on a pty."""
    import termios

    code = termios.tcgetattr(fd)[5]
    names = {getattr(termios, n): int(n[1:]) for n in dir(termios) if n[:1] == "B" and n[1:].isdigit()}
    return names.get(code, default) or default
