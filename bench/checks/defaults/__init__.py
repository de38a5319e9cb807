"""Checks of the defaults that were chosen where a statement is silent (VX-D-…, MX-D-…; ruling A3)."""
