"""Benchmarks: every figure beside the bare limit measured in the same run."""
