"""RFC 2217 without sockets, as far as contacts need it: ask for modem lines, hear of every change.

Rules of this file:

* Every notification of the server is handed out, also two that come in one piece: a tap is a press and a release.
* Data of the line itself is skipped; options that are not ours are refused; a suboption has a bounded length.
"""

from __future__ import annotations

from typing import Final

IAC, SB, SE = 255, 250, 240
WILL, WONT, DO, DONT = 251, 252, 253, 254
COM_PORT: Final = 44
SET_MASK: Final = 11
NOTIFY: Final = 107
CTS: Final = 0x10
DSR: Final = 0x20
MAX_OPTION: Final = 64


class ModemLines:
    """The client's side of one connection."""

    def __init__(self) -> None:
        self._state = "data"
        self._verb = 0
        self._option = bytearray()
        self._asked = False
        self.outgoing = bytearray(bytes([IAC, WILL, COM_PORT, IAC, DO, COM_PORT]))
        """To be sent and then cleared."""

    def feed(self, data: bytes) -> list[int]:
        """Take what arrived; the states of the lines that were told, oldest first.

        Raises :class:`ValueError` when this is no RFC 2217.
        """
        states: list[int] = []
        for byte in data:
            if self._state == "data":
                self._state = "command" if byte == IAC else "data"
            elif self._state == "command":
                self._command(byte)
            elif self._state == "verb":
                self._negotiate(self._verb, byte)
                self._state = "data"
            elif self._state == "option":
                if byte == IAC:
                    self._state = "option-command"
                else:
                    self._collect(byte)
            elif byte == IAC:  # doubled inside an option
                self._collect(byte)
                self._state = "option"
            else:
                self._state = "data"
                if byte == SE and self._option[:2] == bytes([COM_PORT, NOTIFY]) and len(self._option) == 3:
                    states.append(self._option[2])
        return states

    def _command(self, byte: int) -> None:
        self._state = "data"
        if byte in (WILL, WONT, DO, DONT):
            self._verb, self._state = byte, "verb"
        elif byte == SB:
            self._option.clear()
            self._state = "option"

    def _collect(self, byte: int) -> None:
        if len(self._option) >= MAX_OPTION:
            raise ValueError("an option that does not end")
        self._option.append(byte)

    def _negotiate(self, verb: int, option: int) -> None:
        if option != COM_PORT:
            if verb in (WILL, DO):
                self.outgoing += bytes([IAC, DONT if verb == WILL else WONT, option])
            return
        if verb in (WONT, DONT):
            raise ValueError("the line has no modem lines")
        if not self._asked:
            self._asked = True
            self.outgoing += bytes([IAC, SB, COM_PORT, SET_MASK, IAC, IAC, IAC, SE])
