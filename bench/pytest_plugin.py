"""Pytest plugin: scenario files are collected as test items."""
