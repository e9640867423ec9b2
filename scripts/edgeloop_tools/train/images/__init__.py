"""`train images`: labelled pictures to a package, with the backbone that devices have; no PyTorch is needed."""
