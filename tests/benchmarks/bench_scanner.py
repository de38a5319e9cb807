"""The console's receiver of ultrasound pictures on one core, against the 60 pictures a second of the front end.

* ``scanner.gray``, ``scanner.colour``: 1024x768 with 1 or 3 components, header, CRC and content checked, per second of
  processor time, against 60.

``python tests/benchmarks/bench_scanner.py [--quick]``; exit 1 below a committed ratio (``--quick``: below half).
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from simulators.ultrasound import igtl  # noqa: E402

PICTURES: Final = 60
GOAL: Final = 60


def calls() -> Any:
    """The file that may import the modality."""
    spec = importlib.util.spec_from_file_location("scanner_calls", HERE / "test_modality_scanner_calls.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Measure, compare with the committed ratios and tell."""
    quick = "--quick" in sys.argv
    decode = calls().decode
    committed = json.loads((HERE / "ratios.json").read_text("utf-8"))
    bad = 0
    for name, components in (("scanner.gray", 1), ("scanner.colour", 3)):
        pixels = bytes(range(256)) * (1024 * 768 * components // 256)
        image = igtl.Image((1024, 768, 1), pixels, (0.2,) + (0.0,) * 11, components)
        data = igtl.encode(igtl.Message(image, "Image_Probe", 0, 2, 1, {"sequence": "1"}))
        seconds = []
        for _ in range(2 if quick else 5):
            began = time.process_time()
            good = decode(data, PICTURES)
            seconds.append(time.process_time() - began)
            if good != PICTURES:
                raise SystemExit(f"{name}: {PICTURES - good} pictures were not accepted")
        ratio = PICTURES / min(seconds) / GOAL
        least = committed[name] * (0.5 if quick else 1.0)
        bad += ratio < least
        print(f"{name:16s} {ratio:7.2f}  (at least {least})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
