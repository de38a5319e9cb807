"""``python -m modality``: see :mod:`modality.main`."""

import os
import sys

from .main import main

if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of a library that wait for a dead peer must not keep a console alive that was told to end.
    os._exit(status)
