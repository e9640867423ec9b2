"""Figures of detection over corpora of recordings: the product, trivial rules, peers where they are installed."""
