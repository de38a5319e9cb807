"""The system under test behind one small adapter."""

from __future__ import annotations

from bench.sut.base import Answer, SutAdapter, SutError, SutGone
from bench.sut.reference import ReferenceSut

__all__ = ["Answer", "ReferenceSut", "SutAdapter", "SutError", "SutGone"]
