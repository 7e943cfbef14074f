"""Directions of a run: found, measured, ranked, named and kept."""
