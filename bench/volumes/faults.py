"""The faults of one medium: armed, given to the device or the volume on it, felt by somebody, taken back.

Rules of this file:

* What can be armed is in :mod:`bench.volumes.trouble`; where it is done is here.
* Arming comes in the thread of a command, firing in whichever thread used the device: the book of what is armed is
  locked for moments only, and events are told without the lock.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Mapping
from typing import Any

from bench.volumes.config import Config
from bench.volumes.device import BlockDevice
from bench.volumes.media import Medium
from bench.volumes.trouble import PLAIN_BACKENDS, Armed, check, loss
from simulators.base import CommandError, Emit


class Faults:
    """What is armed at a medium."""

    def __init__(self, config: Config, backend: str, emit: Emit, pull_folder: Callable[[], None]) -> None:
        """Args:
        pull_folder: takes away a medium that is only a folder.
        """
        self._config = config
        self._backend = backend
        self._emit = emit
        self._pull_folder = pull_folder
        self._book = threading.Lock()
        self._armed: dict[str, Armed] = {}
        self._device: BlockDevice | None = None
        self._medium: Medium | None = None

    def attach(self, device: BlockDevice, medium: Medium) -> None:
        """Another device is on the image: it has what is armed."""
        self._device, self._medium = device, medium
        with self._book:
            waiting = list(self._armed.values())
        for item in waiting:
            item.base = item.read = 0
            item.token = None
            self._apply(item)

    def put_in(self) -> None:
        """The medium is in: what is done in its file system is done again."""
        for item in self._lasting("full"):
            self._apply(item)

    def arm(self, args: Mapping[str, Any], *, there: bool) -> dict[str, Any]:
        """Arm {"id", "fault", "args"}; `there`: the medium is in."""
        if unknown := set(args) - {"id", "fault", "args"}:
            raise CommandError(f"arm: unknown argument {', '.join(sorted(unknown))}")
        if not args.get("id") or not args.get("fault"):
            raise CommandError("arm: give id and fault")
        fault = str(args["fault"])
        made = check(fault, args.get("args") or {}, self._backend)
        assert self._device is not None
        if fault == "yank" and made["at_bytes"] is None and not there:
            raise CommandError(f"{self._config.name} is not in: it cannot be pulled out")
        item = Armed(str(args["id"]), fault, made, base=self._device.written)
        with self._book:
            if item.id in self._armed:
                raise CommandError(f"fault {item.id!r} is armed already")
            if any(other.fault == fault and not _spent(other) for other in self._armed.values()):
                raise CommandError(f"fault {fault} is armed already at {self._config.name}")
            self._armed[item.id] = item
        self._emit("fault.armed", id=item.id, fault=fault)
        try:
            self._apply(item)
        except CommandError:
            with self._book:
                self._armed.pop(item.id, None)
            raise
        return {}

    def _apply(self, item: Armed) -> None:
        """Give a fault to the device (or, if it is in, to the volume on it)."""
        device, medium, args = self._device, self._medium, item.args
        assert device is not None
        assert medium is not None
        if _spent(item):
            return
        match item.fault:
            case "yank":
                if self._backend in PLAIN_BACKENDS:
                    self._fire(item, {"at": "once"})
                    self._pull_folder()
                    return
                lose = loss(item, self._config.seed)
                if args["at_bytes"] is None:
                    device.yank(lose)
                else:
                    device.yank_at(item.base + int(args["at_bytes"]), lose)
            case "protect":
                device.protected = True
            case "full":
                try:
                    felt = medium.leave(int(args["leave"]))
                except OSError as error:
                    raise CommandError(f"fault full: {error.strerror}") from None
                if felt is not None:
                    self._fire(item, felt)
            case "slow":
                device.rate = float(args["rate"])
            case "wear":
                item.token = device.wear(None, int(args["after_reads"]), name=item.id)
            case "io_error":
                after = int(args["after_bytes"])
                if not after:
                    self._spoil(item)
                elif args["on"] == "write":
                    device.watch(item.base + after, f"io_error {item.id}")

    def _spoil(self, item: Armed) -> None:
        assert self._device is not None
        if item.token is None:
            item.token = self._device.bad(None, item.args["on"], item.args["count"] or None, name=item.id)

    def disarm(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Take back the fault {"id"}, or all ("*"); how many were known, and had fired."""
        name = str(args.get("id", "*"))
        with self._book:
            gone = [item for item in self._armed.values() if name in ("*", item.id)]
            for item in gone:
                del self._armed[item.id]
        device, medium = self._device, self._medium
        assert device is not None
        assert medium is not None
        for item in gone:
            if item.fault == "yank" and not item.fired:
                device.yank_at(None)
            elif item.fault == "protect":
                device.protected = self._config.protected
            elif item.fault == "slow":
                device.rate = None
            elif item.fault == "full":
                medium.leave(None)
            if item.token is not None:
                device.heal(item.token)
        return {"known": len(gone), "fired": sum(item.fired for item in gone)}

    def watch(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Tell "trigger.hit" {"id"} when {"written_bytes"} more were written."""
        count = args.get("written_bytes")
        if set(args) != {"id", "written_bytes"} or isinstance(count, bool) or not isinstance(count, int):
            raise CommandError("watch: give id and written_bytes, a whole number counted from now on")
        if self._backend in PLAIN_BACKENDS:
            raise CommandError(f"watch: the {self._backend} backend sees no bytes; the fuse backend does")
        assert self._device is not None
        self._device.watch(self._device.written + count, f"watch {args['id']}")
        return {}

    def _lasting(self, fault: str) -> list[Armed]:
        with self._book:
            return [item for item in self._armed.values() if item.fault == fault]

    def _fire(self, item: Armed, where: Mapping[str, Any]) -> None:
        with self._book:
            if item.fired:
                return
            item.fired = True
        self._emit("fault.fired", id=item.id, host=self._config.name, fault=item.fault, where=dict(where))

    def on_device(self, kind: str, data: dict[str, Any]) -> None:
        """What the device tells, in whichever thread used it."""
        if kind == "yanked":
            for item in self._lasting("yank"):
                self._fire(item, {"written_bytes": data["written"] - item.base, "written": data["written"]})
        elif kind == "io_error":
            failed = self._armed.get(str(data["name"]))
            if failed is not None:
                self._fire(failed, {key: data[key] for key in ("on", "offset", "length")})
        elif kind == "reached":
            what, _, name = str(data["name"]).partition(" ")
            waiting = self._armed.get(name)
            if what == "watch":
                self._emit("trigger.hit", id=name, host=self._config.name)
            elif waiting is not None:
                self._spoil(waiting)

    def note(self, what: str, op: str, count: int = 0) -> None:
        """What the product does to the files, in the serving thread."""
        for item in list(self._armed.values()):
            if (
                (item.fault == "slow" and what in ("read", "written"))
                or (item.fault == "protect" and what == "refused" and count == errno.EROFS)
                or (item.fault == "full" and what == "refused" and count == errno.ENOSPC)
            ):
                self._fire(item, {"doing": op})
            elif item.fault == "full" and what == "asked":
                self._fire(item, {"doing": op, "free": count})
            elif item.fault == "io_error" and what == "read" and item.args["on"] == "read":
                item.read += count
                if item.read >= int(item.args["after_bytes"]):
                    self._spoil(item)


def _spent(item: Armed) -> bool:
    """A yank happens once; the other faults last until they are disarmed."""
    return item.fault == "yank" and item.fired
