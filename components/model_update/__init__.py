"""io.edgeloop.ModelUpdate: desired versions to proven, active models."""
