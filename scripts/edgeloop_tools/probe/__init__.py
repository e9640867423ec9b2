"""What is there to read at a device, a server, a broker or a port: `edgeloop source probe`. It never writes."""
