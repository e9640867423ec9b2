"""Data off the device, from its journal."""
