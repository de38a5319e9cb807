"""Makes a mutant of the reference console: Python runs this file at its start where this folder is in PYTHONPATH.

Rules of this file:

* It acts in one process only, ``python -m modality …``, and only while the file that ``MODBENCH_MUTANT`` names holds
  the name of a mutant.  (A file, because the warm process of a worker keeps the environment it was started with.)
* Whatever goes wrong here is said in the console's log, and the test that does not find ``mutant NAME acts`` there
  fails: a mutant that was never made must not count as one that was found.
"""

import os
import sys

if sys.orig_argv[1:3] == ["-m", "modality"] and os.environ.get("MODBENCH_MUTANT"):
    with open(os.environ["MODBENCH_MUTANT"], encoding="ascii") as chosen:
        name = chosen.read().strip()
    if name:
        import console_mutants

        console_mutants.make(name)
