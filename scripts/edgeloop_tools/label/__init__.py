"""Labels: data sets of pictures, what other programs make of them, and a page to set them on."""
