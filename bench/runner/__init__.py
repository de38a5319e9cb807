"""Live part of the bench: from a plan to a run folder."""
