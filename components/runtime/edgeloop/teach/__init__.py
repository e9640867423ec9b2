"""The first model of a product, from a few good pictures: what is taught is what is normal."""
