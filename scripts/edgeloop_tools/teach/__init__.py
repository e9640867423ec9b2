"""`edgeloop teach`: the first model of a product, on the laptop."""
