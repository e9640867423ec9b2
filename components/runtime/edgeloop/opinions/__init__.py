"""Second opinions: what the edge was unsure of, asked of a larger model elsewhere. CameraInference asks, VideoUpload
calls, CameraInference decides: one verdict for each part, in time, whatever becomes of the network."""
