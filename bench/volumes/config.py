"""How a removable medium is configured: checked once, then plain facts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, cast

from bench.volumes.content import Content, parse_content

SECTOR: Final = 512
LIMITS: Final = (8 << 20, 2 << 40)
"""Smallest and largest medium in bytes."""
FORMATS: Final = ("FAT16", "FAT32", "none")
PARTITIONS: Final = ("mbr", "none")
KINDS: Final = ("usb", "sd")
BACKENDS: Final = ("auto", "block", "fuse", "image", "folder")


@dataclass(frozen=True)
class Shape:
    """What a medium is formatted as; ``cluster`` in bytes, None: as cards of this size are sold."""

    size: int = 256 << 20
    format: str = "FAT16"
    label: str = ""
    partition: str = "mbr"
    cluster: int | None = None
    content: tuple[Content, ...] = ()

    @property
    def fat(self) -> Literal["FAT16", "FAT32"] | None:
        """The FAT to format with, None for an unformatted medium."""
        return None if self.format == "none" else cast(Literal["FAT16", "FAT32"], self.format)


@dataclass(frozen=True)
class Config:
    """One USB stick or SD card of a cell.

    ``mount`` is the folder the product looks at (it exists while the medium is in), ``image`` the file that is the
    medium and remains; ``protected`` is the card's switch.
    """

    name: str
    mount: Path
    image: Path
    kind: str = "usb"
    backend: str = "auto"
    inserted: bool = True
    protected: bool = False
    seed: int = 1
    shape: Shape = field(default_factory=Shape)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Build from plain data; :class:`ValueError` names what is wrong."""
        of_shape = {f.name for f in fields(Shape)}
        known = {*(f.name for f in fields(cls)), *of_shape} - {"shape"}
        _unknown(values, known)
        for name in ("name", "mount", "image"):
            if not values.get(name) or not isinstance(values[name], str | Path):
                raise ValueError(f"volume: {name} is missing")
        made = cls(
            name=str(values["name"]),
            mount=Path(values["mount"]),
            image=Path(values["image"]),
            kind=_one_of(values, "kind", KINDS, str(values["name"]) if values["name"] in KINDS else "usb"),
            backend=_one_of(values, "backend", BACKENDS, "auto"),
            inserted=_flag(values, "inserted", True),
            protected=_flag(values, "protected", False),
            seed=_whole(values, "seed", 1, 0, 2**63),
        )
        if not made.mount.is_absolute() or not made.image.is_absolute():
            raise ValueError("volume: mount and image must be absolute paths")
        shape = Shape(format="FAT32" if made.kind == "usb" and _big(values) else "FAT16")
        return replace(made, shape=reshaped(shape, {k: v for k, v in values.items() if k in of_shape}))


def reshaped(shape: Shape, values: Mapping[str, Any]) -> Shape:
    """Another shape of a medium: what is not given stays; :class:`ValueError` names what is wrong."""
    _unknown(values, {f.name for f in fields(Shape)})
    size = _whole(values, "size", shape.size, *LIMITS)
    if size % SECTOR:
        raise ValueError(f"volume: size must be a multiple of {SECTOR} bytes, not {size}")
    cluster = values.get("cluster", shape.cluster)
    if cluster is not None:
        cluster = _whole({"cluster": cluster}, "cluster", SECTOR, SECTOR, 256 << 10)
    label = values.get("label", shape.label)
    if not isinstance(label, str) or len(label) > 11 or not label.isascii():
        raise ValueError(f"volume: a label has up to 11 ASCII characters, not {label!r}")
    content = shape.content
    if "content" in values:
        given = values["content"]
        if isinstance(given, str):
            given = [given]
        if not isinstance(given, Sequence) and given is not None:
            raise ValueError(f"volume: content is a list, not {given!r}")
        content = parse_content(given or ())
    made = Shape(
        size,
        _one_of(values, "format", FORMATS, shape.format),
        label,
        _one_of(values, "partition", PARTITIONS, shape.partition),
        cluster,
        content,
    )
    if made.fat is None and made.content:
        raise ValueError("volume: an unformatted medium can have no content")
    return made


def _big(values: Mapping[str, Any]) -> bool:
    size = values.get("size", 0)
    return isinstance(size, int) and size > 2 << 30


def _unknown(values: Mapping[str, Any], known: set[str]) -> None:
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(known))}"
            raise ValueError(f"volume: unknown key {name!r}{hint}")


def _one_of(values: Mapping[str, Any], name: str, allowed: Sequence[str], default: str) -> str:
    value = values.get(name, default)
    if value is None:
        return default if name != "format" else "none"
    if value not in allowed:
        raise ValueError(f"volume: {name} must be one of {', '.join(allowed)}, not {value!r}")
    return str(value)


def _flag(values: Mapping[str, Any], name: str, default: bool) -> bool:
    value = values.get(name, default)
    if not isinstance(value, bool):
        raise ValueError(f"volume: {name} must be true or false, not {value!r}")
    return value


def _whole(values: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"volume: {name} must be a whole number from {low} to {high}, not {value!r}")
    return value
