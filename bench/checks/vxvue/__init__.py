"""Checks of what VXvue's statement says about its behaviour."""
