"""Measures a running line from outside: bus, journal and /proc, never what a component says of itself."""
