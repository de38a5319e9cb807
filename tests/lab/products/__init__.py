"""Modalities that do what their statements say, message by message, for the laboratory."""
