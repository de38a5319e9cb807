"""The ultrasound front end: an OpenIGTLink server that streams pictures at a steady pace and obeys its knobs.

Rules of this file:

* Devices on the line: IMAGE ``Image_Probe``; STRING ``UsSettings`` (JSON: knobs, geometry, first sequence number it
  holds for), sent to a new client and, in the queue before the first picture that it describes, after every change;
  STATUS ``UsProbe``.  Settings are those that pictures were made with: a knob that was turned while a picture was
  made, or while it is frozen, is told with the first picture that shows it.
* Knobs come back as STRING ``UsSet`` or COMMAND ``Set`` (``depth=120;gain=6``), answered by STATUS ``UsSet`` or
  RTS_COMMAND.  GET_STATUS and GET_STRING are answered.
* Pictures are due at multiples of the frame period of CLOCK_MONOTONIC after the first client came.  A slot that could
  not be kept is skipped and told (``ultrasound.late``), never sent later in a burst.
* A picture has a sequence number from 1, whether or not it was sent; nothing is made while nobody listens, the
  picture is frozen or no probe is plugged in.
* ``ultrasound.frame`` is emitted before any byte of the picture leaves.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from simulators.base import CommandError, Emit
from simulators.ultrasound import igtl
from simulators.ultrasound.clients import Client, Door, Parcel, prefer
from simulators.ultrasound.config import Config
from simulators.ultrasound.engine import Engine, Geometry, Picture, matrix, metadata
from simulators.ultrasound.faults import Armed, Book
from simulators.ultrasound.igtl import Command, Image, Message, Other, Status, Text
from simulators.ultrasound.knobs import SIZES, Knobs, parse

IMAGE, SETTINGS, PROBE, SET = "Image_Probe", "UsSettings", "UsProbe", "UsSet"
VERBS: Final = ("set", "freeze", "unfreeze", "unplug", "plug", "state", "arm", "disarm", "watch")


class Ultrasound:
    """One front end."""

    def __init__(self, config: Config, emit: Emit) -> None:
        self._config = config
        self._emit = emit
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._stop = False
        self._knobs = config.knobs
        self._size = config.size
        self._plugged = True
        self._replug: float | None = None
        self._breaks = 0
        """How often pictures stopped: one that was begun before a break is not shown after it."""
        self._sequence = 0
        self._geometry = 0
        self._described: tuple[Knobs, Geometry] | None = None
        """What was sent last."""
        self._settings = ""
        self._book = Book()
        self._watches: dict[str, int] = {}
        self._door: Door | None = None
        self._numbers = 0
        self._engine: Engine | None = None
        self._thread: threading.Thread | None = None
        self._version = 2 if config.protocol >= 3 else 1

    # ---------------------------------------------------------------- life

    def start(self) -> Mapping[str, Any]:
        """Fill the cine bank, then listen."""
        c = self._config
        listener = socket.create_server((c.host, c.port), backlog=8)
        self._engine = Engine(c.seed, c.fps, SIZES[self._size], self._knobs, bank=c.bank)
        self._engine.fill_bank()
        self._describe(self._engine.knobs, self._engine.geometry)
        self._door = Door(listener, c.max_clients, self._welcome)
        self._thread = threading.Thread(target=self._run, name="ultrasound", daemon=True)
        self._thread.start()
        self._door.open()
        host, port = listener.getsockname()[:2]
        return {"host": host, "port": port, "model": c.model, "serial": c.serial}

    def stop(self) -> None:
        """End; idempotent."""
        with self._lock:
            self._stop = True
            door, self._door = self._door, None
            self._changed.notify_all()
        if door is not None:
            door.close()
        if self._thread is not None:
            self._thread.join(10.0)

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Turn knobs, pull the probe, arm faults; see :data:`VERBS`."""
        match verb:
            case "set":
                return self._turn(args, "bench")
            case "freeze" | "unfreeze":
                _none(verb, args)
                return self._turn({"freeze": verb == "freeze"}, "bench")
            case "unplug" | "plug":
                _none(verb, args)
                self._plug(verb == "plug")
                return {"plugged": self._plugged}
            case "state":
                _none(verb, args)
                with self._lock:
                    return {
                        **self._knobs.to_json(),
                        "size": self._size,
                        "plugged": self._plugged,
                        "sequence": self._sequence,
                        "clients": len(self._door.clients()) if self._door else 0,
                    }
            case "arm":
                return self._arm(args)
            case "disarm":
                with self._lock:
                    return {"known": self._book.disarm(str(args.get("id", "")))}
            case "watch":
                return self._watch(args)
        raise CommandError(f"an ultrasound front end cannot {verb!r}; it can {', '.join(VERBS)}")

    # ---------------------------------------------------------------- knobs

    def _turn(self, values: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Set knobs; takes effect with the next picture.  Raises :class:`CommandError`."""
        with self._lock:
            try:
                self._knobs = self._knobs.turned(values)
            except ValueError as error:
                self._emit("ultrasound.refused", by=by, reason=str(error))
                raise CommandError(str(error)) from None
            self._breaks += self._knobs.freeze
            self._emit("ultrasound.set", by=by, **self._knobs.to_json())
            if (
                self._knobs.freeze and self._described is not None
            ):  # no picture will come that could announce it
                knobs, geometry = self._described
                self._describe(replace(knobs, freeze=True), geometry)
            self._changed.notify_all()
            return self._knobs.to_json()

    def _plug(self, plugged: bool) -> None:
        with self._lock:
            if plugged == self._plugged:
                return
            self._plugged = plugged
            self._breaks += not plugged
            self._replug = None
            self._emit("ultrasound.probe", probe=self._knobs.probe, plugged=plugged)
            self._broadcast(Message(self._probe_status(), PROBE))
            self._changed.notify_all()

    def _probe_status(self) -> Status:
        if self._plugged:
            return Status(igtl.OK, 0, "", self._knobs.probe)
        return Status(igtl.NOT_PRESENT, 0, "NoProbe", "no probe is plugged in")

    def _arm(self, args: Mapping[str, Any]) -> dict[str, Any]:
        if unknown := set(args) - {"id", "fault", "args", "when"}:
            raise CommandError(f"arm: unknown argument {', '.join(sorted(unknown))}")
        given, when = args.get("args") or {}, args.get("when") or {}
        if not isinstance(given, Mapping) or not isinstance(when, Mapping):
            raise CommandError("arm: args and when have names and values")
        with self._lock:
            item = self._book.arm(str(args.get("id", "")), str(args.get("fault", "")), given, when)
            self._emit("fault.armed", id=item.id, fault=item.fault)
            return {"id": item.id}

    def _watch(self, args: Mapping[str, Any]) -> dict[str, Any]:
        frame = args.get("frame")
        if set(args) != {"id", "frame"} or isinstance(frame, bool) or not isinstance(frame, int):
            raise CommandError("watch: give id and frame")
        with self._lock:
            self._watches[str(args["id"])] = frame
        return {}

    # ---------------------------------------------------------------- clients

    def _welcome(self, sock: socket.socket, peer: str) -> Client:
        with self._lock:
            self._numbers += 1
            return Client(self._numbers, sock, peer, self, self._emit, self._config.queue)

    def joined(self, client: Client) -> None:
        """Tell a new client how the device is set; pictures begin."""
        self._emit("ultrasound.client", client=client.number, peer=client.peer, how="joined")
        with self._lock:
            client.put(self._parcel(Message(self._probe_status(), PROBE)))
            client.put(self._parcel(Message(Text(self._settings), SETTINGS)))
            door = self._door
            if door is not None:
                door.add(client)
            self._changed.notify_all()
        if door is None:
            client.end("stopped")

    def left(self, client: Client) -> None:
        """A client has gone."""
        door = self._door
        if door is not None:
            door.forget(client)

    def arrived(self, client: Client, message: Message) -> None:
        """A client turned a knob or asked for something."""
        body = message.body
        if isinstance(body, Text) and message.device == SET:
            code, name, text = self._obey(body.text, client)
            client.put(self._parcel(Message(Status(code, 0, name, text), SET)))
        elif isinstance(body, Command) and not body.reply:
            if body.name == "Set":
                code, _, text = self._obey(body.text, client)
            else:
                code, text = igtl.NOT_FOUND, f"there is no command {body.name[:40]!r}; there is 'Set'"
            answer = f'{{"code": {code}, "text": {json.dumps(text)}}}'
            device = message.device if message.device.isascii() else SET
            client.put(self._parcel(Message(Command(body.number, "Set", answer, True), device)))
        elif isinstance(body, Other) and body.type == "GET_STATUS":
            with self._lock:
                client.put(self._parcel(Message(self._probe_status(), PROBE)))
        elif isinstance(body, Other) and body.type == "GET_STRING":
            with self._lock:
                client.put(self._parcel(Message(Text(self._settings), SETTINGS)))

    def _obey(self, text: str, client: Client) -> tuple[int, str, str]:
        try:
            values = parse(text[:1000])
        except ValueError as error:
            self._emit("ultrasound.refused", by=f"client {client.number}", reason=str(error))
            return igtl.CONFIGURATION, "Knob", str(error)
        try:
            self._turn(values, f"client {client.number}")
        except CommandError as error:
            return igtl.CONFIGURATION, "Knob", str(error)
        return igtl.OK, "", text[:1000]

    def _parcel(self, message: Message) -> Parcel:
        stamped = Message(message.body, message.device, time.time_ns(), self._version)
        return Parcel((igtl.encode(stamped),))

    def _broadcast(self, message: Message) -> None:
        parcel = self._parcel(message)
        for client in self._door.clients() if self._door else ():
            client.put(parcel)

    # ---------------------------------------------------------------- pictures

    def _streaming(self) -> bool:
        return bool(self._plugged and not self._knobs.freeze and self._door and self._door.clients())

    def _run(self) -> None:
        """The frame clock."""
        prefer()
        period = round(1e9 / self._config.fps)
        due = 0
        while True:
            with self._lock:
                while not self._stop and not self._streaming():
                    due = 0
                    self._changed.wait(self._until_replug())
                    self._check_replug()
                if self._stop:
                    return
                now = time.monotonic_ns()
                due = due or now
                while now < due and not self._stop and self._streaming():
                    self._changed.wait((due - now) / 1e9)
                    now = time.monotonic_ns()
                if self._stop or not self._streaming():
                    continue
                if now - due >= period:
                    missed = (now - due) // period
                    late = round(missed * period / 1e9, 3)
                    self._emit("ultrasound.late", slots=missed, seconds=late, after=self._sequence)
                    due += missed * period
            self._frame(due)
            due += period

    def _until_replug(self) -> float | None:
        return None if self._replug is None else max(0.0, self._replug - time.monotonic())

    def _check_replug(self) -> None:
        if self._replug is not None and time.monotonic() >= self._replug:
            self._plug(True)

    def _frame(self, due: int) -> None:
        """Make one picture and hand it to everybody."""
        engine = self._engine
        assert engine is not None
        with self._lock:
            sequence = self._sequence + 1
            for item in self._due(sequence, "resize"):
                self._size = str(item.args["size"])
            for item in self._due(sequence, "unplug"):
                self._plug(False)
                seconds = float(item.args["seconds"])
                self._replug = time.monotonic() + seconds if seconds else None
            if not self._plugged or self._knobs.freeze:
                return
            knobs, size, breaks = self._knobs, self._size, self._breaks
        if (engine.knobs, engine.size) != (knobs, SIZES[size]):
            engine.set(SIZES[size], knobs)
        picture = engine.render(sequence - 1)
        self._tell(picture, sequence, knobs, due, breaks)

    def _due(self, sequence: int, *faults: str) -> list[Armed]:
        """Faults of this picture; told as fired."""
        found = self._book.due(sequence, *faults)
        for item in found:
            self._emit("fault.fired", id=item.id, fault=item.fault, where={"frame": sequence})
        return found

    def _tell(self, picture: Picture, sequence: int, knobs: Knobs, due: int, breaks: int) -> None:
        """Emit the truth, then send."""
        g = picture.geometry
        digest = hashlib.sha256(picture.pixels).hexdigest()
        with self._lock:
            if breaks != self._breaks:  # frozen or unplugged while it was made: nobody shall see it
                return
            self._describe(knobs, g)
            self._sequence = sequence
            region = g.regions[0]
            self._emit(
                "ultrasound.frame",
                sequence=sequence,
                sha256=digest,
                width=g.width,
                height=g.height,
                components=g.components,
                mode=knobs.mode,
                source=picture.source,
                geometry=self._geometry,
                spacing_mm=g.spacing_mm,
                region=[region.x0, region.y0, region.x1, region.y1],
                due=due,
            )
            for id_ in [i for i, frame in self._watches.items() if sequence >= frame]:
                del self._watches[id_]
                self._emit("trigger.hit", id=id_)
            dropped = self._due(sequence, "drop")
            if dropped:
                self._emit("ultrasound.dropped", client=None, sequence=sequence, why="fault")
                return
            message = Message(
                Image((g.width, g.height, 1), picture.pixels, matrix(g), g.components),
                IMAGE,
                time.time_ns(),
                self._version,
                sequence & 0xFFFFFFFF,
                metadata(g, sequence, knobs.mode, self._geometry),
            )
            spoil = bool(self._due(sequence, "crc"))
            stalls, cuts = self._due(sequence, "stall"), self._due(sequence, "close")
            parcel = Parcel(
                igtl.pieces(message, spoil=spoil),
                sequence,
                int(stalls[0].args["at_bytes"]) if stalls else None,
                float(stalls[0].args["seconds"]) if stalls else 0.0,
                int(cuts[0].args["at_bytes"]) if cuts else None,
            )
            for client in self._door.clients() if self._door else ():
                client.put(parcel)

    def _describe(self, knobs: Knobs, geometry: Geometry) -> None:
        """STRING UsSettings to everybody, and kept for those who come later, when it says anything new."""
        if (knobs, geometry) == self._described:
            return
        if self._described is None or self._described[1] != geometry:
            self._geometry += 1
            self._emit("ultrasound.geometry", geometry=self._geometry, **geometry.to_json())
        self._described = (knobs, geometry)
        self._settings = json.dumps(
            {
                "model": self._config.model,
                "serial": self._config.serial,
                "fps": self._config.fps,
                "from": self._sequence + 1,
                "knobs": knobs.to_json(),
                "number": self._geometry,
                "geometry": geometry.to_json(),
            }
        )
        self._broadcast(Message(Text(self._settings), SETTINGS))


def _none(verb: str, args: Mapping[str, Any]) -> None:
    if args:
        raise CommandError(f"{verb}: unknown argument {', '.join(sorted(args))}")
