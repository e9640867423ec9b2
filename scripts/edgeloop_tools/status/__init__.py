"""How a device is: one screen, a line for each thing."""
