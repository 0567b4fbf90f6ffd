"""Samplers: each turns noise into a sample by calls of `predict(e, x, t)`."""
