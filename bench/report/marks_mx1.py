"""What the ladder shows of the things around an ultrasound console: probe, foot switch, barcode reader, media.

Rules of this file:

* Pure; pictures of the stream are never drawn one by one.
"""

from __future__ import annotations

from typing import Any, Final

from bench.journal import Event
from bench.report.text import shorten, size

MEDIA: Final = ("usb", "sd")


def mark_of(event: Event, data: dict[str, Any]) -> dict[str, Any] | None:
    """Return the fields of a mark (:class:`bench.report.marks.Mark`) but its time; None for what is not drawn."""
    match event.kind:
        case "ultrasound.set":
            knobs = f"{data.get('mode')} {data.get('depth')} mm, {data.get('gain')} dB"
            return {
                "actor": "ultrasound",
                "text": knobs + (", frozen" if data.get("freeze") else ""),
                "tone": "quiet",
            }
        case "ultrasound.probe":
            plugged = bool(data.get("plugged"))
            text = f"probe {data.get('probe')} {'plugged in' if plugged else 'pulled'}"
            return {"actor": "ultrasound", "text": text, "tone": "good" if plugged else "bad"}
        case "ultrasound.refused" | "ultrasound.garbage":
            return {"actor": "ultrasound", "text": shorten(f"{data.get('reason')}", 34), "tone": "bad"}
        case "ultrasound.dropped":
            text = f"picture not sent: {data.get('why')}"
            return {"actor": "ultrasound", "text": text, "tone": "warn", "key": "ultrasound dropped"}
        case "panel.footswitch" | "panel.freeze":
            if not data.get("pressed"):
                return None
            what = "foot switch" if event.kind == "panel.footswitch" else "freeze key"
            return {"actor": "panel", "text": what, "to": "modality"}
        case "panel.barcode":
            return {"actor": "panel", "text": shorten(f"barcode {data.get('text')}", 34), "to": "modality"}
    return _medium(event, data)


def _medium(event: Event, data: dict[str, Any]) -> dict[str, Any] | None:
    place = str(data.get("volume") or data.get("medium") or "usb")
    match event.kind:
        case "volume.inserted":
            what = " ".join(str(data[key]) for key in ("format", "label") if data.get(key))
            return {"actor": place, "text": f"in: {what} {_size(data.get('size'))}".strip(), "tone": "good"}
        case "volume.removed":
            clean = data.get("how") == "clean"
            lost = f", {_size(data['lost'])} lost" if data.get("lost") else ""
            text = ("taken out" if clean else "pulled out") + lost
            return {"actor": place, "text": text, "tone": "quiet" if clean else "bad"}
        case "volume.refused":
            return {"actor": place, "text": shorten(f"{data.get('why')}", 34), "tone": "warn"}
        case "volume.synced":
            key = f"{place} synced"
            return {
                "actor": place,
                "text": f"durable: {_size(data.get('written'))}",
                "tone": "quiet",
                "key": key,
            }
        case "modality.media":
            files = data.get("files")
            count = len(files) if isinstance(files, list) else "?"
            return {
                "actor": "modality",
                "text": f"{shorten(str(data.get('action')), 20)}: {count} files",
                "to": place if place in MEDIA else None,  # a claim: no columns of the product's own making
                "tone": "good",
            }
    return None


def _size(value: Any) -> str:
    return size(value) if isinstance(value, int) else ""
