"""Measures: pure functions of arrays, ignorant of models."""
