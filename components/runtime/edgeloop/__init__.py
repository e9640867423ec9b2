"""Edgeloop: machine learning where sensors and cameras are. The library every component carries."""

__version__ = "0.1.0"
