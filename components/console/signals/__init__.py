"""Streams as charts need them: minima, maxima and means over bins, kept longer than the journal; raw where it is."""
