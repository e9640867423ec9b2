"""`edgeloop doctor`: the device's own doctor, from the checkout."""
