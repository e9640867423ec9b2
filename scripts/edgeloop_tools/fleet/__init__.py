"""From the checkout to a fleet: component versions into an AWS account, and from there to a thing group."""
