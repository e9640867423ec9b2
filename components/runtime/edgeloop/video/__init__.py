"""Video of cameras: what a line says of it, and what its keeper and its sender agree on."""
