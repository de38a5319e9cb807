"""Checks of PS3.4: the service classes, whatever the statement says (rules STD-SVC-…)."""
