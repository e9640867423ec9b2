"""io.edgeloop.SensorIngest: sensors to samples."""
