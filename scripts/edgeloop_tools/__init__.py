"""The command-line program: everything that runs on a laptop and not on a device."""
