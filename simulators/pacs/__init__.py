"""A PACS to send to: Storage and Verification, every object kept as it came (PS3.4 A and B).

``Config`` and ``create`` are what a bench uses; ``modbench simulate pacs`` runs one alone.
"""

from simulators.pacs.service import Config, Pacs, create

__all__ = ["Config", "Pacs", "create"]
