"""A USB stick or SD card as an actor of a cell: put in, taken out, pulled out, and spoiled on command.

Rules of this file:

* The medium is one image file and one device for the whole cell; only ``format`` and ``replace_content`` make it anew.
* What the product does is served by one thread of this process; commands come in others.  A command may wait for the
  serving thread, never the other way round: what a fault starts there is finished by a thread of its own.
* Events say what happened to the medium; how the product took it is not known here.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from typing import Any, Final

from bench.volumes import block, mounting
from bench.volumes.backends import Backend, NoBackend, best
from bench.volumes.config import Config, reshaped
from bench.volumes.content import prepare
from bench.volumes.device import BlockDevice
from bench.volumes.faults import Faults
from bench.volumes.media import Busy, Medium, Mounted, Plain
from bench.volumes.trouble import PLAIN_BACKENDS
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
    if backend.name in PLAIN_BACKENDS:
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
        self._faults = Faults(config, backend.name, emit, self._pull_folder)
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
            return {
                "state": self._state,
                "arm": self._arm,
                "disarm": self._faults.disarm,
                "watch": self._faults.watch,
            }[verb](args)
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
        if self.backend.name in PLAIN_BACKENDS:
            self._medium = Plain(self.config, device, pack=self.backend.name == "image")
        elif self.backend.name == "block":
            self._medium = block.Blocked(self.config, device, self._trouble)
        else:
            self._medium = Mounted(self.config, device, self._trouble)
        self._faults.attach(device, self._medium)

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
        self._faults.put_in()
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

    def _arm(self, args: Mapping[str, Any]) -> dict[str, Any]:
        device = self._device
        return self._faults.arm(args, there=self._in and device is not None and not device.yanked)

    # -- what is seen ----------------------------------------------------------------------------

    def _pull_folder(self) -> None:
        """A medium that is only a folder is pulled out: nothing else can happen to it."""
        with self._lock:
            assert self._device is not None
            assert self._medium is not None
            self._in = False
            try:
                self._medium.vanish()
            except OSError as error:
                self._trouble(f"packing the image: {error}")
            told = {"written": self._device.written, "unsynced": 0, "lost": 0}
            self._emit("volume.removed", volume=self.config.name, how="yanked", **told)

    def _on_device(self, kind: str, data: dict[str, Any]) -> None:
        """What the device tells, in whichever thread used it."""
        self._faults.on_device(kind, data)
        if kind == "yanked":
            self._emit("volume.removed", volume=self.config.name, how="yanked", **data)
            self._vanishing = threading.Thread(target=self._vanish, name="pulled out", daemon=True)
            self._vanishing.start()

    def _note(self, what: str, op: str, count: int = 0) -> None:
        """What the product does to the files, in the serving thread."""
        if what == "synced":
            assert self._device is not None
            if self._device.written != self._flushed:
                self._flushed = self._device.written
                self._emit("volume.synced", volume=self.config.name, written=self._flushed)
        self._faults.note(what, op, count)

    def _trouble(self, message: str) -> None:
        self._emit("bench.error", where=f"volume {self.config.name}", message=message)
