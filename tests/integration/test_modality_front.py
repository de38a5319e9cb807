"""A helper without tests: a front end without hardware, as ``acquisition.driver`` may name a vendor's own."""

import hashlib
import os
import threading
from datetime import datetime

import numpy as np

from modality.acquisition import AcquisitionError, DetectorInfo, Shot


class Front:
    """Every exposure is new noise; the first side of the picture comes from ``FRONT_SIDE``."""

    def __init__(self, config, on_event):
        self.config = config
        self.side = int(os.environ.get("FRONT_SIDE", "64"))
        self.rows = int(os.environ.get("FRONT_ROWS", str(self.side)))
        self.random = np.random.default_rng(int.from_bytes(os.urandom(8), "big"))
        self.technique = None
        self.cancelled = threading.Event()

    def open(self):
        if os.environ.get("FRONT_ABSENT"):
            raise AcquisitionError("detector-absent", "the detector does not answer")

    def prepare(self, technique):
        if technique.kvp > 150:
            raise AcquisitionError("generator-refused", "150 kV is the limit")
        self.technique = technique
        self.cancelled.clear()

    def wait(self, timeout_s):
        technique, self.technique = self.technique, None
        if technique is None:
            raise AcquisitionError("not-prepared", "nothing is prepared")
        if technique.ms >= 5000:  # an exposure that never comes
            self.cancelled.wait(timeout_s)
            raise AcquisitionError("cancelled", "the exposure was given up")
        if technique.ms == 4999:  # a detector that cannot be stopped: the image comes when the file is there
            while not os.path.exists(os.environ["FRONT_RELEASE"]):
                threading.Event().wait(0.01)
        bits = self.config.bits_stored
        pixels = self.random.integers(0, 1 << bits, (self.rows, self.side), dtype=np.uint16)
        info = DetectorInfo(
            "Vieworks", "VIVIX-S 1717N", "SN12345", 31.5, 0.139, datetime(2026, 1, 2, 3, 4, 5)
        )
        return Shot(
            pixels, bits, 2.0 ** (bits - 1), 2.0**bits, hashlib.sha256(pixels).hexdigest(),
            technique.kvp, technique.ma, technique.ms, technique.mas, 2.5, 380.0, 400.0, -0.2, datetime.now(), info,
        )  # fmt: skip

    def cancel(self):
        self.technique = None
        self.cancelled.set()

    def close(self):
        self.cancel()
