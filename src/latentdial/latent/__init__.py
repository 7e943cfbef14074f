"""Steering: codecs, edits, and what every dimension does. Sees codecs, never models."""
