"""Conversations of a VXvue with one defect in one service each, and the rows that it turns."""

from tests.lab.servicedefects import commitment, dose, printing, queries, steps, storage
from tests.lab.servicedefects.registry import DEFECTS

__all__ = ["DEFECTS", "commitment", "dose", "printing", "queries", "steps", "storage"]
