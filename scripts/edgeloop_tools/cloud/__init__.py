"""The cloud side of images: a local Kinesis Video Streams for tests and demos, and the consumer of what arrives."""
