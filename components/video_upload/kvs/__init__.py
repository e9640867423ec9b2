"""Kinesis Video Streams: PutMedia as its producers in Java and C speak it."""
