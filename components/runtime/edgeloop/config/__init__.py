"""Typed configuration: declared once, validated at the edge, trusted inside."""
