"""Checks of what the MX1's statement says about its behaviour."""
