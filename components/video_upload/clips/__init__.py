"""Clips: fragmented MP4 of the packets as they came, to the upload queue."""
