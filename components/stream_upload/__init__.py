"""io.edgeloop.StreamUpload: what is on the disk → Stream Manager → S3 and Kinesis."""
