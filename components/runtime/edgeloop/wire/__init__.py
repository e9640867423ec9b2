"""Bytes and values: batches, record batches, notices (RFC 8949, 8742, 8746)."""
