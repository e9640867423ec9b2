"""Whether this device and its nucleus run Edgeloop: tried, step by step, and left as it was."""
