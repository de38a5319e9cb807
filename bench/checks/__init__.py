"""Checks: pure functions from journal, capture and objects to findings; nothing live is imported here."""
