"""Cables between the simulated hosts and the modality: shaping, calibration, capture, pull and plug.

Rules of this package:

* Everything lives in namespaces made by the sandbox and dies with them; nothing is ever changed outside.
* A backend says what it is and what it cannot prove (``fidelity``); it never pretends.
* Importing any module of it works on every system; what needs Linux is reached when it is used.
"""
