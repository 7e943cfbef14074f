"""Codes of whole picture sets on disk: written in shards, read as arrays."""
