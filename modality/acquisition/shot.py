"""Puts together what an exposure has become: picture, technique as measured, detector, times."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from modality.acquisition.frame import Frame
from modality.acquisition.generator import Exposure
from modality.acquisition.imager import Picture
from modality.acquisition.model import DetectorInfo, Shot, Technique
from modality.acquisition.panel import Panel


def make_shot(
    technique: Technique,
    window_ms: float,
    bits_stored: int,
    frame: Frame,
    panel: Panel,
    temperature_c: float | None,
    picture: Picture,
    exposure: Exposure | None,
) -> Shot:
    """Return the shot; to be called at once, as its start is reckoned back from now.

    The exposure began one integration window before the first packet came.
    """
    now = time.monotonic()
    done = picture.processed
    timings = {
        **done.timings_ms,
        "stream": round((frame.last_s - frame.first_s) * 1000.0, 3),
        "since_last_packet": round((now - frame.last_s) * 1000.0, 3),
    }
    return Shot(
        pixels=done.pixels,
        bits_stored=bits_stored,
        window_center=float(1 << (bits_stored - 1)),
        window_width=float(1 << bits_stored),
        raw_sha256=picture.raw_sha256,
        kvp=exposure.kvp if exposure else None,
        ma=exposure.ma if exposure else None,
        ms=exposure.ms if exposure else None,
        mas=exposure.mas if exposure else None,
        dap_dgycm2=exposure.dap_dgycm2 if exposure else None,
        ei=done.ei,
        target_ei=technique.target_ei,
        di=done.di,
        started=datetime.now().astimezone() - timedelta(seconds=now - frame.first_s + window_ms / 1000.0),
        detector=DetectorInfo(
            panel.info.vendor,
            panel.info.model,
            panel.info.serial,
            temperature_c,
            panel.pixel_pitch_mm,
            picture.calibrated,
        ),
        truncated=exposure.truncated if exposure else False,
        timings_ms=timings,
    )
