"""Model packages: anyone's model, looked at, tried on pictures, and written with what a camera has to know of it."""
