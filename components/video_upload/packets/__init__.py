"""Packets of a camera: out of the ring of CameraInference, as frames with exact times."""
