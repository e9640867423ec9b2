"""Galleries: classes that are a few pictures each, in a model package; no training."""
