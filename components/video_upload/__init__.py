"""Video and pictures of cameras to the cloud, and second opinions back."""
