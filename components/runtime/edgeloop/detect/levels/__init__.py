"""Levels: the newest row, and averages over seconds, against a baseline for each context."""
