"""A RIS to ask and to report to: Modality Worklist, MPPS and Verification (PS3.4 K, F and A).

``Config`` and ``create`` are what a bench uses; ``modbench simulate ris`` runs one alone.
"""

from simulators.ris.service import Config, Ris, create

__all__ = ["Config", "Ris", "create"]
