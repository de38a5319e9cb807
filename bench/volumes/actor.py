"""A USB stick or SD card as an actor of a cell: put in, taken out, pulled out, and spoiled on command.

Rules of this file:

* The medium is one image file and one device for the whole cell; only ``format`` and ``replace_content`` make it anew.
* What the product does is served by one thread of this process; commands come in others.  A command may wait for the
  serving thread, never the other way round: what a fault starts there is finished by a thread of its own.
* Events say what happened to the medium; how the product took it is not known here.
"""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Mapping
from typing import Any, Final

from bench.volumes import block, mounting
from bench.volumes.backends import Backend, NoBackend, best
from bench.volumes.config import Config, reshaped
from bench.volumes.content import prepare
from bench.volumes.device import BlockDevice
from bench.volumes.media import Busy, Medium, Mounted, Plain
from bench.volumes.trouble import Armed, check, loss
from simulators.base import CommandError, Emit, Simulator

__all__ = ["Config", "Volume", "create"]

VERBS: Final = ("insert", "remove", "format", "replace_content", "state", "arm", "disarm", "watch")
REMOVE_S: Final = 10.0
"""How long taking out waits for the product to close its files."""
VANISH_S: Final = 0.5
"""How long a medium that was pulled out still answers with EIO before its folder goes, as a desktop takes."""


def create(config: Config, emit: Emit) -> Simulator:
    """Build the actor; raises :class:`ValueError` if the backend is not there or cannot do what is wanted."""
    try:
        backend = best(config.backend)
    except NoBackend as error:
        raise ValueError(str(error)) from None
    if backend.name in ("image", "folder"):
        spoilt = {"corrupt-fat", "dotdot-names"} & {item.word for item in config.shape.content}
        for wanted, what in (
            (config.protected, "protect a medium"),
            (config.shape.fat is None, "show an unformatted medium"),
            (bool(spoilt), f"show {', '.join(sorted(spoilt))}"),
        ):
            if wanted:
                raise ValueError(f"volume {config.name}: backend {backend.name} cannot {what}; fuse can")
    return Volume(config, backend, emit)


class Volume:
    """One medium; see :data:`VERBS` for what it obeys."""

    def __init__(self, config: Config, backend: Backend, emit: Emit) -> None:
        self.config = config
        self.backend = backend
        self._emit = emit
        self._shape = config.shape
        self._lock = threading.RLock()  # one coming or going at a time
        self._book = threading.Lock()  # the faults; held for moments only
        self._armed: dict[str, Armed] = {}
        self._device: BlockDevice | None = None
        self._medium: Medium | None = None
        self._in = False
        self._made = False
        self._ending = threading.Event()
        self._vanishing: threading.Thread | None = None
        self._flushed = -1

    # -- Simulator -------------------------------------------------------------------------------

    def start(self) -> Mapping[str, Any]:
        """Make the medium (the first time) and put it in, if it is to be in."""
        with self._lock:
            self._ending.clear()
            if not self._made:
                self._make()
            elif self._device is None:
                self._open()
            if self.config.inserted and not self._in:
                self._insert()
        return {
            "mount": str(self.config.mount),
            "image": str(self.config.image),
            "backend": self.backend.name,
            "cannot_prove": list(self.backend.cannot_prove),
        }

    def command(self, verb: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do what a step says; raises :class:`CommandError` when it cannot be done."""
        if verb not in VERBS:
            raise CommandError(f"a medium cannot {verb!r}; there are {', '.join(VERBS)}")
        if self._device is None:
            raise CommandError(f"{self.config.name} was not started")
        if verb in ("state", "arm", "disarm", "watch"):
            return {"state": self._state, "arm": self._arm, "disarm": self._disarm, "watch": self._watch}[
                verb
            ](args)
        self._settle()
        with self._lock:
            if verb == "insert":
                self._insert()
            elif verb == "remove":
                seconds = args.get("timeout", REMOVE_S)
                if (
                    isinstance(seconds, bool)
                    or not isinstance(seconds, int | float)
                    or not 0 <= seconds <= 60
                ):
                    raise CommandError(f"remove: timeout must be 0 to 60 seconds, not {seconds!r}")
                self._remove(float(seconds))
            else:
                self._change(verb, args)
        return self._state({})

    def stop(self) -> None:
        """Take the medium out, whoever uses it, and leave the image; idempotent."""
        self._ending.set()
        self._settle()
        with self._lock:
            device, medium = self._device, self._medium
            if device is None or medium is None:
                return
            device.rate = None  # nobody waits for a slow medium any more
            if self._in:
                self._remove(2.0, force=True)
            medium.close()
            device.close()
            self._device = self._medium = None

    # -- coming and going ------------------------------------------------------------------------

    def _make(self) -> None:
        """Make the image anew."""
        if self._device is not None:
            self._device.close()
        shape = self._shape
        self.config.image.parent.mkdir(parents=True, exist_ok=True)
        prepare(
            self.config.image,
            size=shape.size,
            fat=shape.fat,
            label=shape.label,
            cluster=shape.cluster,
            partition=shape.partition,
            content=shape.content,
            seed=self.config.seed,
        )
        if self.backend.name == "folder":
            shutil.rmtree(self.config.image.with_suffix(""), ignore_errors=True)
        self._made = True
        self._open()

    def _open(self) -> None:
        """Put a device on the image, with the faults that are armed."""
        device = BlockDevice(self.config.image, on_event=self._on_device)
        device.protected = self.config.protected
        self._device = device
        if self.backend.name in ("image", "folder"):
            self._medium = Plain(self.config, device, pack=self.backend.name == "image")
        elif self.backend.name == "block":
            self._medium = block.Blocked(self.config, device, self._trouble)
        else:
            self._medium = Mounted(self.config, device, self._trouble)
        with self._book:
            waiting = list(self._armed.values())
        for item in waiting:
            item.base = 0
            self._apply(item)

    def _insert(self) -> None:
        assert self._device is not None
        assert self._medium is not None
        if self._in:
            raise CommandError(f"{self.config.name} is in already")
        if self._device.yanked:
            self._device.reinsert()
        if self.config.mount.exists():
            raise CommandError(f"{self.config.name}: something else is at the place where it would appear")
        why = self._medium.insert(self._note)
        self._in = True
        facts = {"volume": self.config.name, "backend": self.backend.name, "size": self._shape.size}
        if why:
            self._emit("volume.refused", why=why, **facts)
            return
        for item in self._lasting("full"):
            self._apply(item)
        self._emit("volume.inserted", format=self._shape.format, label=self._shape.label, **facts)

    def _remove(self, seconds: float, *, force: bool = False) -> None:
        assert self._device is not None
        assert self._medium is not None
        if not self._in:
            raise CommandError(f"{self.config.name} is not in")
        try:
            why = self._medium.remove(seconds, force=force)
        except Busy as busy:
            raise CommandError(str(busy)) from None
        except OSError as error:
            if not force:
                raise CommandError(f"{self.config.name} cannot be taken out: {error.strerror}") from error
            why = str(error.strerror)
            self._trouble(f"taking out: {error}")
        self._in = False
        device = self._device
        data: dict[str, Any] = {"written": device.written, "unsynced": device.unsynced, "lost": 0}
        if why:
            data["why"] = why
        if force:
            data["by"] = "end"
        if not device.yanked:
            self._emit("volume.removed", volume=self.config.name, how="clean", **data)

    def _change(self, verb: str, args: Mapping[str, Any]) -> None:
        """Format or fill the medium elsewhere: it is taken out for that, and put in again if it was in."""
        values = dict(args)
        if verb == "format":
            values.setdefault("content", [])
        elif set(values) != {"content"}:
            raise CommandError("replace_content: give content")
        try:
            shape = reshaped(self._shape, values)
        except ValueError as error:
            raise CommandError(f"{verb}: {error}") from None
        was_in = self._in
        if was_in:
            self._remove(REMOVE_S)
        before, self._shape = self._shape, shape
        try:
            self._make()
        except ValueError as error:
            self._shape = before
            raise CommandError(f"{verb}: {error}") from None
        self._note_before()
        if was_in:
            self._insert()

    def _note_before(self) -> None:
        """What lies there now was not written by the product: kept for those who read the medium back."""
        from bench.judge.volumes import note_before

        note_before(self.config.image)

    def _settle(self) -> None:
        """Wait until a medium that was pulled out is gone; never with the lock, which that needs."""
        vanishing = self._vanishing
        if vanishing is not None:
            vanishing.join(5.0)

    def _vanish(self) -> None:
        self._ending.wait(VANISH_S)
        with self._lock:
            if self._in and self._device is not None and self._device.yanked:
                assert self._medium is not None
                self._in = False
                try:
                    left = self._medium.vanish()
                except OSError as error:
                    self._trouble(f"after pulling out: {error}")
                    return
                if left:
                    self._emit(
                        "bench.note",
                        message=f"{self.config.name}: after the medium was pulled out, something was written to the "
                        f"empty place where it had been: {', '.join(left)}",
                    )

    def _state(self, args: Mapping[str, Any]) -> dict[str, Any]:
        device, medium = self._device, self._medium
        assert device is not None
        assert medium is not None
        return {
            "inserted": self._in and not device.yanked,
            "backend": self.backend.name,
            "size": self._shape.size,
            "format": self._shape.format,
            "label": self._shape.label,
            "protected": device.protected,
            "written": device.written,
            "unsynced": device.unsynced,
            "free": medium.free(),
            "mounted": mounting.mounted(self.config.mount) is not None,
        }

    # -- faults ----------------------------------------------------------------------------------

    def _arm(self, args: Mapping[str, Any]) -> dict[str, Any]:
        if unknown := set(args) - {"id", "fault", "args"}:
            raise CommandError(f"arm: unknown argument {', '.join(sorted(unknown))}")
        if not args.get("id") or not args.get("fault"):
            raise CommandError("arm: give id and fault")
        fault = str(args["fault"])
        made = check(fault, args.get("args") or {}, self.backend.name)
        device = self._device
        assert device is not None
        if fault == "yank" and made["at_bytes"] is None and (not self._in or device.yanked):
            raise CommandError(f"{self.config.name} is not in: it cannot be pulled out")
        item = Armed(str(args["id"]), fault, made, base=device.written)
        with self._book:
            if item.id in self._armed:
                raise CommandError(f"fault {item.id!r} is armed already")
            if any(other.fault == fault and not _spent(other) for other in self._armed.values()):
                raise CommandError(f"fault {fault} is armed already at {self.config.name}")
            self._armed[item.id] = item
        self._emit("fault.armed", id=item.id, fault=fault)
        self._apply(item)
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
                if self.backend.name in ("image", "folder"):
                    self._pull_folder(item)
                    return
                lose = loss(item, self.config.seed)
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

    def _pull_folder(self, item: Armed) -> None:
        with self._lock:
            assert self._device is not None
            assert self._medium is not None
            self._in = False
            try:
                self._medium.vanish()
            except OSError as error:
                self._trouble(f"packing the image: {error}")
            self._fire(item, {"at": "once"})
            told = {"written": self._device.written, "unsynced": 0, "lost": 0}
            self._emit("volume.removed", volume=self.config.name, how="yanked", **told)

    def _disarm(self, args: Mapping[str, Any]) -> dict[str, Any]:
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
                device.protected = self.config.protected
            elif item.fault == "slow":
                device.rate = None
            elif item.fault == "full":
                medium.leave(None)
            if item.token is not None:
                device.heal(item.token)
        return {"known": len(gone), "fired": sum(item.fired for item in gone)}

    def _watch(self, args: Mapping[str, Any]) -> dict[str, Any]:
        count = args.get("written_bytes")
        if set(args) != {"id", "written_bytes"} or isinstance(count, bool) or not isinstance(count, int):
            raise CommandError("watch: give id and written_bytes, a whole number counted from now on")
        if self.backend.name in ("image", "folder"):
            raise CommandError(f"watch: the {self.backend.name} backend sees no bytes; the fuse backend does")
        assert self._device is not None
        self._device.watch(self._device.written + count, f"watch {args['id']}")
        return {}

    # -- what is seen ----------------------------------------------------------------------------

    def _lasting(self, fault: str) -> list[Armed]:
        with self._book:
            return [item for item in self._armed.values() if item.fault == fault]

    def _fire(self, item: Armed, where: Mapping[str, Any]) -> None:
        with self._book:
            if item.fired:
                return
            item.fired = True
        self._emit("fault.fired", id=item.id, host=self.config.name, fault=item.fault, where=dict(where))

    def _on_device(self, kind: str, data: dict[str, Any]) -> None:
        """What the device tells, in whichever thread used it."""
        if kind == "yanked":
            for item in self._lasting("yank"):
                self._fire(item, {"written_bytes": data["written"] - item.base, "written": data["written"]})
            self._emit("volume.removed", volume=self.config.name, how="yanked", **data)
            self._vanishing = threading.Thread(target=self._vanish, name="pulled out", daemon=True)
            self._vanishing.start()
        elif kind == "io_error":
            failed = self._armed.get(str(data["name"]))
            if failed is not None:
                self._fire(failed, {key: data[key] for key in ("on", "offset", "length")})
        elif kind == "reached":
            what, _, name = str(data["name"]).partition(" ")
            waiting = self._armed.get(name)
            if what == "watch":
                self._emit("trigger.hit", id=name, host=self.config.name)
            elif waiting is not None:
                self._spoil(waiting)

    def _note(self, what: str, op: str, count: int = 0) -> None:
        """What the product does to the files, in the serving thread."""
        if what == "synced":
            assert self._device is not None
            if self._device.written != self._flushed:
                self._flushed = self._device.written
                self._emit("volume.synced", volume=self.config.name, written=self._flushed)
        if not self._armed:
            return

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

    def _trouble(self, message: str) -> None:
        self._emit("bench.error", where=f"volume {self.config.name}", message=message)


def _spent(item: Armed) -> bool:
    """A yank happens once; the other faults last until they are disarmed."""
    return item.fault == "yank" and item.fired
