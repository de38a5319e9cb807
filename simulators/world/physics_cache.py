"""Maps that take long to make and never change: kept on disk, mapped into memory.

Rules of this file:

* The key is everything a map depends on; its hash is the folder's name.  Nothing else decides.
* A folder appears whole (written beside, then renamed), so that two processes may make the same one.
* Without a cache folder the last few maps stay in this process.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Maps = Mapping[str, npt.NDArray[Any]]
_KEPT: Final = 12
_memory: OrderedDict[tuple[Any, ...], Maps] = OrderedDict()
_lock = threading.Lock()


def folder(cache_dir: str, key: tuple[Any, ...]) -> Path:
    """Where the maps of a key lie."""
    return Path(cache_dir) / f"{key[0]}-{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}"


def cached(cache_dir: str | None, key: tuple[Any, ...], make: Callable[[], Maps]) -> Maps:
    """The maps of a key: from memory, from disk (read-only, mapped), or made now."""
    with _lock:
        if (cache_dir, *key) in _memory:
            _memory.move_to_end((cache_dir, *key))
            return _memory[(cache_dir, *key)]
    maps = make() if cache_dir is None else _from_disk(cache_dir, key, make)
    with _lock:
        _memory[(cache_dir, *key)] = maps
        while len(_memory) > _KEPT:
            _memory.popitem(last=False)
    return maps


def _from_disk(cache_dir: str, key: tuple[Any, ...], make: Callable[[], Maps]) -> Maps:
    where = folder(cache_dir, key)
    if not where.is_dir():
        publish(where, lambda new: _save(new, make()))
    return {p.stem: np.load(p, mmap_mode="r") for p in sorted(where.glob("*.npy"))}


def _save(where: Path, maps: Maps) -> None:
    for name, a in maps.items():
        np.save(where / f"{name}.npy", a)


def publish(where: Path, write: Callable[[Path], Any]) -> None:
    """Make a folder appear at once with everything ``write`` put into it."""
    where.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{where.name}-", dir=where.parent))
    try:
        write(new)
        os.rename(new, where)
    except OSError:
        if not where.is_dir():  # somebody else was first: theirs is the same
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
