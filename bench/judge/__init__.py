"""Judging a capture or a run folder without any bench: who the SUT is, what is known of it, its verdicts.

Nothing live and nothing Linux-only is imported here: a service engineer judges on a laptop.
"""
